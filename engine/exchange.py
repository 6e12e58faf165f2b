"""What the store and the worker pass each other: new runs and steps, claims, outcomes and answers.

Times are epoch microseconds (int) here, and payloads are JSON text. A `key` is the store's integer
for a row; it never leaves the store and the worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stepwell.engine.model import Failure
from stepwell.engine.states import Condition


class Edge(NamedTuple):
    """A dependency of a new step. `subtree` extends it to everything the target emits."""

    target: str
    condition: Condition = Condition.SUCCEEDED
    subtree: bool = False


@dataclass(slots=True)
class NewStep:
    """A step to be stored. `input`, `retry` and `metadata` are JSON text.

    Not frozen: a graph may have a million of them.

    `max_recoveries` is how often it is run again after a lost lease; None means as
    `max_lost_leases` of the workers says.
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


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What an execution knows of its run; the same for all steps of the run.

    `raw_input` is the run's input as JSON text, `created_at` epoch microseconds, `parent` the key
    of the run that started it.
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


@dataclass(slots=True)
class ClaimedStep:
    """A step this worker now holds. `retry` and `metadata` are JSON text or None.

    Not frozen: it is made for every execution, and renewing moves `expires_at`.
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
    """What a worker can take now. A step that lost `suspect_from` leases may be what killed its
    workers: it is claimed only if `suspects`, and one at a time.

    `queues` None means all; of those that ask for labels, only the ones whose labels it has.
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
    """What a suspended step waits for: `until` (epoch µs), or one of the others, or both.

    The others: the end of run `run_id`; a message to the step's run on `topic`; the first `value`
    (run id, key); or `several` of them. `kind` names it for people ("sleep", "message",
    "approval", "value", "run", "paused", "any", "all"), `operation` is the durable operation that
    waits. `start` is a run to be created in the same commit.
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
    """What stands side by side in a wait of the kind "any" or "all": `waits`, in their order.

    `sleep` (epoch µs) is when the sleep among them that counts is over, the first for any and the
    last for all, and `place` which it is; `limit` is when the whole is given up. `slept`: of all,
    every sleep is over. The wait's own `until` is the earlier of `sleep` and `limit`.
    """

    waits: tuple[Wait, ...]
    sleep: int | None = None
    limit: int | None = None
    place: int | None = None
    slept: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a wait found: JSON text, since when it is there (epoch µs), and the message's id.

    `taken`: the operation was given the message before.
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
    """The execution failed. `retry_in` (µs) None means for good."""

    step: ClaimedStep
    failure: Failure
    retry_in: int | None = None


@dataclass(slots=True)
class Suspended:
    """The execution waits; its slot and lease are free until the wait is over.

    `sent` comes back in the step's stored wait: which messages were committed so far.
    """

    step: ClaimedStep
    wait: Wait
    messages: Sequence[NewMessage] = ()
    sent: str | None = None


@dataclass(slots=True)
class Released:
    """The step is given back without a charge, as if it had not been claimed."""

    step: ClaimedStep
    reason: str = "released"


Outcome = Completed | Failed | Suspended | Released


@dataclass(frozen=True, slots=True)
class LostLease:
    """A lease that is not held any more, and why: "canceled", "lapsed" or "superseded"."""

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
    sees it change asks which of its leases are left. `wake_at` (epoch µs) is when a queue's rate
    limit lets the next step through. `hinted`: the commit told other workers of itself.
    """

    claimed: list[ClaimedStep] = field(default_factory=list)
    lost: list[LostLease] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ended_runs: list[str] = field(default_factory=list)
    now: int = 0
    control: int = 0
    wake_at: int | None = None
    hinted: bool = False
