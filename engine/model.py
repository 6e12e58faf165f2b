"""The values that users see: frozen, slotted, and without behaviour.

Times are aware UTC datetimes. The values between store and worker are in `exchange`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from stepwell.engine.durations import Lasting, read_duration
from stepwell.engine.states import Condition, RunStatus, StepStatus

T = TypeVar("T")

DEFAULT_QUEUE = "default"


@dataclass(frozen=True, slots=True)
class Run:
    """One durable execution of an entrypoint, as of when it was read.

    `queue` and `priority` are what its steps take that name none. `replaced` counts how often a
    start with the same `dedup_key` gave it a new input before it began. `error` is its first
    failure that nothing handled, with the step it happened in; None until the run has ended.
    """

    id: str
    package: str
    entrypoint: str
    name: str
    status: RunStatus
    input: Any
    metadata: Mapping[str, Any]
    tags: tuple[str, ...]
    total_steps: int
    open_steps: int
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    parent_run: str | None = None
    parent_step: str | None = None
    queue: str | None = None
    priority: int | None = None
    partition_key: str | None = None
    version: str | None = None
    summary: str | None = None
    dedup_key: str | None = None
    dedup_for: timedelta | None = None
    replaced: int = 0
    start_at: datetime | None = None
    start_by: datetime | None = None
    timeout: timedelta | None = None
    deadline: datetime | None = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt or a step did not succeed.

    `code` is stable; `step` names the step where it began, if the cause lies upstream.
    """

    code: str
    message: str
    retryable: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    cause: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class StepWait:
    """What a waiting step waits for: a `kind` of `Wait`, with its topic, run or value (run, key).

    `until` None means no time limit; while the step is held, `left` replaces it. `waits` are the
    parts of a wait for any or all of several.
    """

    kind: str
    operation: str | None = None
    topic: str | None = None
    run_id: str | None = None
    value: tuple[str, str] | None = None
    until: datetime | None = None
    left: timedelta | None = None
    waits: tuple[StepWait, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a run's graph, as of when it was read.

    `attempt` counts claims that were not released; `failures` counts failed attempts since the
    step was created or last retried by an operator. `wait` is set while the step is waiting,
    `held` while an operator holds the step itself, and not only its run.
    """

    id: str
    run_id: str
    kind: str
    queue: str
    status: StepStatus
    priority: int
    input: Any
    metadata: Mapping[str, Any]
    attempt: int
    failures: int
    max_attempts: int
    pending: int
    dedup_key: str | None
    package: str
    parent: str | None
    allow_failure: bool
    timeout: timedelta | None
    worker: str | None
    error: Failure | None
    created_at: datetime
    ready_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    wait: StepWait | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Dependency:
    """An edge to another step, by id or handle, with the condition that counts as met.

    `condition` is "succeeded" (required), "finished" (any end will do) or "failed" (a catch).
    """

    step: Any
    condition: Condition | str = Condition.SUCCEEDED


@dataclass(frozen=True, slots=True)
class StepHandle(Generic[T]):
    """A step of the graph under construction; `T` is the type of its result."""

    id: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one step and to commit what it produced, until `expires_at`.

    `token` is larger than every earlier token of the same step.
    """

    run_id: str
    step_id: str
    worker_id: str
    token: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Queue:
    """Where steps wait to be claimed, and how many may run.

    `max_in_flight` bounds the running steps over all workers, `max_per_worker` those of each;
    None means no bound. Only workers that have all of `labels` claim from the queue.
    `rate_limit` allows that many claims per `rate_period` (a duration), refilled steadily, with
    bursts of up to `burst` (default: `rate_limit`). After a quiet time, one period may see a burst
    and the refill; with `burst=1` it never sees more than `rate_limit`.
    """

    name: str
    max_in_flight: int | None = None
    rate_limit: float | None = None
    rate_period: Lasting[timedelta] = field(default=cast("Any", timedelta(seconds=1)))
    burst: int | None = None
    max_per_worker: int | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        period = read_duration(self.rate_period)
        if period is not None:  # else it is refused, by its name, where the queue is declared
            object.__setattr__(self, "rate_period", period)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """A queue and its present content. `tokens` is None without a rate limit."""

    name: str
    ready: int
    running: int
    max_in_flight: int | None
    rate_limit: float | None
    rate_period: timedelta
    burst: int | None
    tokens: float | None
    max_per_worker: int | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """The defaults for steps of a kind, and the pool that runs them.

    `pool` is the name of a pool; None means asyncio for coroutine functions and thread for the
    rest. `timeout` None means no limit.
    """

    queue: str = DEFAULT_QUEUE
    retry: Any = None
    timeout: timedelta | None = None
    priority: int = 0
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """An artifact without its bytes. `uri` is None when the bytes are inline in the store."""

    id: str
    run_id: str
    step_id: str
    name: str
    kind: str
    content_type: str
    size: int
    sha256: str
    uri: str | None
    metadata: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in an artifact store, addressed by their SHA-256 (lower-case hexadecimal)."""

    sha256: str
    size: int
    uri: str


@dataclass(frozen=True, slots=True)
class RecordRef:
    """Where a step wrote a record."""

    collection: str
    key: str


@dataclass(frozen=True, slots=True)
class Record:
    """A keyed document of a package, as last committed."""

    package: str
    collection: str
    key: str
    value: Any
    run_id: str
    step_id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StepResult:
    """Everything a step produced. `error` is set if it did not succeed."""

    run_id: str
    step_id: str
    status: StepStatus
    value: Any
    records: tuple[RecordRef, ...]
    artifacts: tuple[ArtifactRef, ...]
    emitted: tuple[str, ...]
    error: Failure | None
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a run. `received_by` is the step that took it, or None.

    `refused`: the message did not fit the type that this step expected.
    """

    id: int
    run_id: str
    topic: str
    payload: Any
    key: str | None
    sender: str | None
    received_by: str | None
    created_at: datetime
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """A decision: who made it, when, and with what comment."""

    approved: bool
    comment: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ValueEntry:
    """One value a run gave to a key; `number` counts from 1."""

    key: str
    number: int
    value: Any
    step_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class KeyValue:
    """An entry of the key-value store. `version` rises with every write of the key."""

    key: str
    value: Any
    version: int
    expires_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What one `run_once()` did: the steps made ready again, those executed, and how they ended."""

    refreshed: int = 0
    processed: int = 0
    succeeded: int = 0
    retried: int = 0
    failed: int = 0
    released: int = 0
    waiting: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """An overview of a store: schema version, and runs, steps and workers by status."""

    store: str
    schema_version: int
    runs: Mapping[str, int]
    open_steps: int
    running_steps: int
    queues: Sequence[QueueStatus]
    workers: int


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Counts of a run's steps, cheap to read while it runs."""

    status: RunStatus
    total: int
    open: int
    succeeded: int
    failed: int
    canceled: int
    skipped: int
    running: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """One stored dependency between two steps of a run, by their ids."""

    step: str
    target: str
    condition: Condition
    subtree: bool


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list, newest first; None means any. Their ids begin with `prefix`."""

    package: str | None = None
    status: RunStatus | None = None
    tag: str | None = None
    name: str | None = None
    limit: int = 100
    before: str | None = None
    prefix: str | None = None
    dead: bool = False


@dataclass(frozen=True, slots=True)
class StepFilter:
    """Which steps of a run to list, in order of creation; None means any.

    Status "held" also finds pending and waiting steps that will be held when they would be ready.
    `after` is the id of the last step of the previous page.
    """

    status: StepStatus | None = None
    kind: str | None = None
    limit: int | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, and why; stored in the event of the act."""

    by: str = "operator"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as the store knows it."""

    id: str
    host: str
    pid: int
    version: str
    queues: tuple[str, ...] | None
    started_at: datetime
    seen_at: datetime
    kinds: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
