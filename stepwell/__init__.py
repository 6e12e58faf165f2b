"""Stepwell: a durable step-graph engine.

A `Package` declares an entrypoint and executors; `connect()` gives a `Runtime` that starts runs
and works on them; an executor sees its step through a `StepContext`.
"""

from stepwell.connect import VERSION as __version__
from stepwell.connect import connect
from stepwell.engine.builder import RunBuilder
from stepwell.engine.clock import Clock, SystemClock, VirtualClock
from stepwell.engine.context import StepContext
from stepwell.engine.errors import (
    Canceled,
    Conflict,
    CorruptData,
    InvalidGraph,
    InvalidInput,
    InvalidPackage,
    InvalidPayload,
    InvalidSettings,
    LeaseLost,
    NotFound,
    Permanent,
    RefusedByState,
    Retryable,
    RetryAfter,
    RuntimeClosed,
    StepError,
    StepwellError,
    StoreError,
    StoreVersionError,
    WaitTimeout,
)
from stepwell.engine.events import Event, EventType
from stepwell.engine.model import (
    ArtifactRef,
    CycleResult,
    Dependency,
    Lease,
    Queue,
    QueueStatus,
    Record,
    Run,
    Step,
    StepHandle,
    StepResult,
)
from stepwell.engine.package import ExecutorFunction, Package
from stepwell.engine.ports import (
    ArtifactStore,
    Executor,
    Projection,
    ProjectionStore,
    RunStore,
    Transaction,
)
from stepwell.engine.retry import Retry
from stepwell.engine.runtime import RunHandle, Runtime
from stepwell.engine.settings import Settings
from stepwell.engine.states import Condition, RunStatus, StepStatus

__all__ = [
    "ArtifactRef",
    "ArtifactStore",
    "Canceled",
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
    "Lease",
    "LeaseLost",
    "NotFound",
    "Package",
    "Permanent",
    "Projection",
    "ProjectionStore",
    "Queue",
    "QueueStatus",
    "Record",
    "RefusedByState",
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
    "StoreVersionError",
    "SystemClock",
    "Transaction",
    "VirtualClock",
    "WaitTimeout",
    "__version__",
    "connect",
]
