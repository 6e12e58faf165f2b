"""Stepwell: a durable step-graph engine.

A `Package` declares an entrypoint and executors; `connect()` gives a `Runtime` that starts runs
and works on them; an executor sees its step through a `StepContext`.
"""

import stepwell.clone  # noqa: F401  # pyright: ignore[reportUnusedImport]  # it finds the rooms
from stepwell.connect import VERSION as __version__
from stepwell.connect import connect
from stepwell.engine.builder import RunBuilder
from stepwell.engine.checkpoint import (
    AtomicCheckpointer,
    Checkpoint,
    Checkpointer,
    CheckpointUpdate,
    JournalingCheckpointer,
    Operation,
)
from stepwell.engine.checkpoint_fence import fenced
from stepwell.engine.checkpoint_text import dump as dump_checkpoint
from stepwell.engine.checkpoint_text import parse as parse_checkpoint
from stepwell.engine.checkpointing import pause_in_checkpoint, unpause_in_checkpoint
from stepwell.engine.clock import Clock, SystemClock, VirtualClock
from stepwell.engine.context import StepContext
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
    Projection,
    ProjectionStore,
    RunStore,
    Transaction,
)
from stepwell.engine.retry import Retry
from stepwell.engine.run_handle import RunHandle
from stepwell.engine.runtime import Runtime
from stepwell.engine.settings import Settings
from stepwell.engine.states import Condition, RunStatus, StepStatus
from stepwell.engine.verification import Verification, Violation
from stepwell.stores.checkpoints.opening import open_checkpointer

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
    "Operation",
    "Package",
    "Permanent",
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
    "fenced",
    "open_checkpointer",
    "parse_checkpoint",
    "pause_in_checkpoint",
    "unpause_in_checkpoint",
]
