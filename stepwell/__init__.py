"""Stepwell: a durable step-graph engine.

A `Package` declares an entrypoint and executors; `connect()` gives a `Runtime` that starts runs
and works on them; an executor sees its step through a `StepContext`.

What is behind a name is loaded when the name is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import stepwell.clone  # noqa: F401  # pyright: ignore[reportUnusedImport]  # it finds the rooms
from stepwell.defaults import VERSION as __version__

if TYPE_CHECKING:
    from stepwell.composition import connect
    from stepwell.engine.checkpoints.capabilities import pause_in_checkpoint, unpause_in_checkpoint
    from stepwell.engine.checkpoints.checkpoint import (
        AtomicCheckpointer,
        Checkpoint,
        Checkpointer,
        CheckpointUpdate,
        JournalingCheckpointer,
        Operation,
    )
    from stepwell.engine.checkpoints.fence import fenced
    from stepwell.engine.checkpoints.text import dump as dump_checkpoint
    from stepwell.engine.checkpoints.text import parse as parse_checkpoint
    from stepwell.engine.clock import Clock, SystemClock, VirtualClock
    from stepwell.engine.errors import (
        Canceled,
        CheckpointCorrupt,
        CheckpointVersionError,
        Conflict,
        CorruptData,
        InvalidGraph,
        InvalidInput,
        InvalidPackage,
        InvalidPayload,
        InvalidSettings,
        LeaseLost,
        NoCheckpoint,
        NotFound,
        NotTriggerable,
        Permanent,
        RefusedByState,
        ReplayMismatch,
        Retryable,
        RetryAfter,
        RuntimeClosed,
        StepError,
        StepwellError,
        StoreError,
        StoreGone,
        StoreVersionError,
        WaitTimeout,
    )
    from stepwell.engine.events import Event, EventType
    from stepwell.engine.executor_methods import executor_method
    from stepwell.engine.graph.builder import RunBuilder
    from stepwell.engine.key_values import KeyValueStore
    from stepwell.engine.model import (
        Approval,
        ArtifactRef,
        CycleResult,
        Dependency,
        KeyValue,
        Lease,
        Message,
        Queue,
        QueueStatus,
        Record,
        Run,
        Step,
        StepHandle,
        StepResult,
        ValueEntry,
    )
    from stepwell.engine.package import ExecutorFunction, Package, Workflow
    from stepwell.engine.ports import (
        ArtifactStore,
        Executor,
        Pool,
        Projection,
        ProjectionStore,
        RunStore,
        Task,
        Transaction,
    )
    from stepwell.engine.retry import Retry
    from stepwell.engine.runtime.run_handle import RunHandle
    from stepwell.engine.runtime.runtime import Runtime
    from stepwell.engine.settings import Settings
    from stepwell.engine.states import Condition, RunStatus, StepStatus
    from stepwell.engine.step.context import StepContext
    from stepwell.engine.verification import Verification, Violation
    from stepwell.engine.worker.pool_spec import PoolParts, PoolSpec
    from stepwell.executors.pools.attempt import perform
    from stepwell.stores.checkpoints.opening import open_checkpointer

# Where each public name is: a module below `stepwell`, and behind a colon what it is called there.
_PLACES = {
    "Approval": "engine.model",
    "ArtifactRef": "engine.model",
    "ArtifactStore": "engine.ports",
    "AtomicCheckpointer": "engine.checkpoints.checkpoint",
    "Canceled": "engine.errors",
    "Checkpoint": "engine.checkpoints.checkpoint",
    "CheckpointCorrupt": "engine.errors",
    "CheckpointUpdate": "engine.checkpoints.checkpoint",
    "CheckpointVersionError": "engine.errors",
    "Checkpointer": "engine.checkpoints.checkpoint",
    "Clock": "engine.clock",
    "Condition": "engine.states",
    "Conflict": "engine.errors",
    "CorruptData": "engine.errors",
    "CycleResult": "engine.model",
    "Dependency": "engine.model",
    "Event": "engine.events",
    "EventType": "engine.events",
    "Executor": "engine.ports",
    "ExecutorFunction": "engine.package",
    "InvalidGraph": "engine.errors",
    "InvalidInput": "engine.errors",
    "InvalidPackage": "engine.errors",
    "InvalidPayload": "engine.errors",
    "InvalidSettings": "engine.errors",
    "JournalingCheckpointer": "engine.checkpoints.checkpoint",
    "KeyValue": "engine.model",
    "KeyValueStore": "engine.key_values",
    "Lease": "engine.model",
    "LeaseLost": "engine.errors",
    "Message": "engine.model",
    "NoCheckpoint": "engine.errors",
    "NotFound": "engine.errors",
    "NotTriggerable": "engine.errors",
    "Operation": "engine.checkpoints.checkpoint",
    "Package": "engine.package",
    "Permanent": "engine.errors",
    "Pool": "engine.ports",
    "PoolParts": "engine.worker.pool_spec",
    "PoolSpec": "engine.worker.pool_spec",
    "Projection": "engine.ports",
    "ProjectionStore": "engine.ports",
    "Queue": "engine.model",
    "QueueStatus": "engine.model",
    "Record": "engine.model",
    "RefusedByState": "engine.errors",
    "ReplayMismatch": "engine.errors",
    "Retry": "engine.retry",
    "RetryAfter": "engine.errors",
    "Retryable": "engine.errors",
    "Run": "engine.model",
    "RunBuilder": "engine.graph.builder",
    "RunHandle": "engine.runtime.run_handle",
    "RunStatus": "engine.states",
    "RunStore": "engine.ports",
    "Runtime": "engine.runtime.runtime",
    "RuntimeClosed": "engine.errors",
    "Settings": "engine.settings",
    "Step": "engine.model",
    "StepContext": "engine.step.context",
    "StepError": "engine.errors",
    "StepHandle": "engine.model",
    "StepResult": "engine.model",
    "StepStatus": "engine.states",
    "StepwellError": "engine.errors",
    "StoreError": "engine.errors",
    "StoreGone": "engine.errors",
    "StoreVersionError": "engine.errors",
    "SystemClock": "engine.clock",
    "Task": "engine.ports",
    "Transaction": "engine.ports",
    "ValueEntry": "engine.model",
    "Verification": "engine.verification",
    "Violation": "engine.verification",
    "VirtualClock": "engine.clock",
    "WaitTimeout": "engine.errors",
    "Workflow": "engine.package",
    "connect": "composition",
    "dump_checkpoint": "engine.checkpoints.text:dump",
    "executor_method": "engine.executor_methods",
    "fenced": "engine.checkpoints.fence",
    "open_checkpointer": "stores.checkpoints.opening",
    "parse_checkpoint": "engine.checkpoints.text:parse",
    "pause_in_checkpoint": "engine.checkpoints.capabilities",
    "perform": "executors.pools.attempt",
    "unpause_in_checkpoint": "engine.checkpoints.capabilities",
}


def __getattr__(name: str) -> Any:
    if name == "composition":
        return import_module("stepwell.composition")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), attribute or name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})


__all__ = [
    "Approval",
    "ArtifactRef",
    "ArtifactStore",
    "AtomicCheckpointer",
    "Canceled",
    "Checkpoint",
    "CheckpointCorrupt",
    "CheckpointUpdate",
    "CheckpointVersionError",
    "Checkpointer",
    "Clock",
    "Condition",
    "Conflict",
    "CorruptData",
    "CycleResult",
    "Dependency",
    "Event",
    "EventType",
    "Executor",
    "ExecutorFunction",
    "InvalidGraph",
    "InvalidInput",
    "InvalidPackage",
    "InvalidPayload",
    "InvalidSettings",
    "JournalingCheckpointer",
    "KeyValue",
    "KeyValueStore",
    "Lease",
    "LeaseLost",
    "Message",
    "NoCheckpoint",
    "NotFound",
    "NotTriggerable",
    "Operation",
    "Package",
    "Permanent",
    "Pool",
    "PoolParts",
    "PoolSpec",
    "Projection",
    "ProjectionStore",
    "Queue",
    "QueueStatus",
    "Record",
    "RefusedByState",
    "ReplayMismatch",
    "Retry",
    "RetryAfter",
    "Retryable",
    "Run",
    "RunBuilder",
    "RunHandle",
    "RunStatus",
    "RunStore",
    "Runtime",
    "RuntimeClosed",
    "Settings",
    "Step",
    "StepContext",
    "StepError",
    "StepHandle",
    "StepResult",
    "StepStatus",
    "StepwellError",
    "StoreError",
    "StoreGone",
    "StoreVersionError",
    "SystemClock",
    "Task",
    "Transaction",
    "ValueEntry",
    "Verification",
    "Violation",
    "VirtualClock",
    "WaitTimeout",
    "Workflow",
    "__version__",
    "connect",
    "dump_checkpoint",
    "executor_method",
    "fenced",
    "open_checkpointer",
    "parse_checkpoint",
    "pause_in_checkpoint",
    "perform",
    "unpause_in_checkpoint",
]
