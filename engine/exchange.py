"""The values that store and worker exchange: new runs and steps, claims, outcomes and answers.

Times are epoch microseconds (int) here, and payloads are JSON text. A `key` is the store's integer
for a row; it never leaves the store and the worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stepwell.engine.model import Failure, Run
from stepwell.engine.run_options import RunOptions, Start
from stepwell.engine.states import Condition


class Edge(NamedTuple):
    """A dependency of a new step. `subtree` extends it to everything the target emits."""

    target: str
    condition: Condition = Condition.SUCCEEDED
    subtree: bool = False


@dataclass(slots=True)
class NewStep:
    """A step to be stored. `input`, `retry` and `metadata` are JSON text.

    Not frozen, for speed: a graph may have a million of them.

    `max_recoveries` is how often it may run again after a lost lease; None leaves that to the
    workers' `max_lost_leases`.
    """

    id: str
    kind: str
    queue: str
    input: str
    package: str
    priority: int = 0
    max_attempts: int = 1
    timeout: int | None = None
    retry: str | None = None
    dedup_key: str | None = None
    metadata: str | None = None
    edges: tuple[Edge, ...] = ()
    allow_failure: bool = False
    max_recoveries: int | None = None


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be stored with its first steps. `input`, `metadata` and `tags` are JSON text."""

    id: str
    package: str
    entrypoint: str
    name: str
    input: str
    metadata: str
    tags: str
    steps: Sequence[NewStep]
    summary: str | None = None
    options: RunOptions | None = None


@dataclass(frozen=True, slots=True)
class Reopening:
    """What a retry gives a run that has ended: another deadline (epoch µs), another dedup key.

    With `rekeyed`, `dedup_key` replaces the run's own; None leaves it without one.
    """

    deadline: int | None = None
    rekeyed: bool = False
    dedup_key: str | None = None


SAME = Reopening()


class StoredRun(NamedTuple):
    """A run, and how it came by what was asked to be started."""

    run: Run
    start: Start = Start.STARTED


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What an execution knows about its run; shared by all steps of the run.

    `raw_input` is the run's input as JSON text, `created_at` epoch microseconds, `parent` the key
    of the run that started it. `queue` and `priority` are for steps whose executors name none.
    """

    key: int
    id: str
    package: str
    entrypoint: str
    name: str
    metadata: Mapping[str, Any]
    tags: tuple[str, ...]
    raw_input: str
    created_at: int
    parent: int | None = None
    queue: str | None = None
    priority: int | None = None


@dataclass(slots=True)
class ClaimedStep:
    """A step this worker now holds. `retry` and `metadata` are JSON text or None.

    Not frozen, for speed: one is made for every execution. Renewing changes `expires_at`.
    """

    key: int
    token: int
    run: RunInfo
    id: str
    kind: str
    queue: str
    input: str
    attempt: int
    failures: int
    lost_leases: int
    max_attempts: int
    priority: int
    timeout: int | None
    retry: str | None
    metadata: str | None
    dedup_key: str | None
    package: str
    parent: str | None
    allow_failure: bool
    wait: str | None
    wake_at: int | None
    created_at: int
    ready_at: int
    started_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """Kinds that share free slots: claim at most `limit` steps of them."""

    kinds: tuple[str, ...]
    limit: int


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a worker can take now. A step that lost `suspect_from` leases is suspected of having
    killed its workers: it is claimed only if `suspects` is set, and one at a time.

    `queues` None means all. A queue with labels is open only to a worker that has them all.
    """

    worker_id: str
    queues: tuple[str, ...] | None
    pools: tuple[PoolRequest, ...]
    lease: int
    suspects: bool = True
    suspect_from: int = 1
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to upsert with the settle. `value` is JSON text."""

    collection: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """An artifact to store with the settle: inline `body`, or the `uri` of stored bytes."""

    id: str
    name: str
    kind: str
    content_type: str
    metadata: str
    size: int
    sha256: str
    body: bytes | None
    uri: str | None


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be sent with the settle. `payload` is JSON text; `key` makes it unique."""

    run_id: str
    topic: str
    payload: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """What a suspended step waits for: a time, `until` (epoch µs), or an event, or either of both.

    The event is the end of run `run_id`, a message to the step's run on `topic`, the first `value`
    (run id, key), or `several` of these. `kind` names it for people ("sleep", "message",
    "approval", "value", "run", "paused", "any", "all"), `operation` is the durable operation that
    waits. `start` is a run to create in the same commit.
    """

    run_id: str | None = None
    until: int | None = None
    start: NewRun | None = None
    topic: str | None = None
    value: tuple[str, str] | None = None
    kind: str = "run"
    operation: str | None = None
    several: Several | None = None


@dataclass(frozen=True, slots=True)
class Several:
    """The parts of a wait of kind "any" or "all": `waits`, in their order.

    `sleep` (epoch µs) is the end of the sleep that decides, at index `place`: the shortest one for
    "any", the longest one for "all". `limit` (epoch µs) is when the whole wait times out. `slept`
    means, for "all", that every sleep is over. The wait's own `until` is the earlier of `sleep` and
    `limit`.
    """

    waits: tuple[Wait, ...]
    sleep: int | None = None
    limit: int | None = None
    place: int | None = None
    slept: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a wait found: JSON text, when it came (epoch µs), and the id if it is a message.

    `taken`: the operation had received the message before.
    """

    at: int
    value: str
    message: int | None = None
    taken: bool = False


@dataclass(slots=True)
class Completed:
    """The execution returned; `value` and everything it made are committed together."""

    step: ClaimedStep
    value: str
    records: Sequence[NewRecord] = ()
    artifacts: Sequence[NewArtifact] = ()
    emitted: Sequence[NewStep] = ()
    messages: Sequence[NewMessage] = ()


@dataclass(slots=True)
class Failed:
    """The execution failed. `retry_in` (µs) None means that it is not retried."""

    step: ClaimedStep
    failure: Failure
    retry_in: int | None = None


@dataclass(slots=True)
class Suspended:
    """The execution waits; it holds neither slot nor lease until the wait is over.

    `sent` is kept in the step's stored wait: it identifies the messages committed so far.
    """

    step: ClaimedStep
    wait: Wait
    messages: Sequence[NewMessage] = ()
    sent: str | None = None


@dataclass(slots=True)
class Released:
    """The step is given back uncharged, as if it had not been claimed."""

    step: ClaimedStep
    reason: str = "released"


Outcome = Completed | Failed | Suspended | Released


@dataclass(frozen=True, slots=True)
class LostLease:
    """A lease that is no longer held, and why: "canceled", "lapsed" or "superseded"."""

    step: ClaimedStep
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An outcome that could not be settled, and why; its step is still leased."""

    step: ClaimedStep
    error: Exception


@dataclass(slots=True)
class Exchange:
    """What one exchange did.

    `now` is the store's time (epoch µs). `control` changes with every operator act; a worker that
    sees it change checks which of its leases are left. `wake_at` (epoch µs) is when a queue's rate
    limit admits the next step. `hinted`: the commit notified other workers.
    """

    claimed: list[ClaimedStep] = field(default_factory=list)
    lost: list[LostLease] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ended_runs: list[str] = field(default_factory=list)
    now: int = 0
    control: int = 0
    wake_at: int | None = None
    hinted: bool = False
