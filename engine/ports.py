"""The contracts between the rooms: they define what a lease, a claim and a settle mean.

The life of a lease::

    claim ──▶ held ──renew──▶ held ──settle──▶ gone        (outcome committed)
                │                ├──release──▶ gone        (uncharged)
                │                └──expires──▶ reap ──▶ gone
                └── an operator cancels ──▶ gone

A lease is held while the step is `running` with this token and has not been reaped. Settling
with a lost lease is refused for that step alone: only an event is stored, nothing of the outcome.
Tokens of a step only rise, so an earlier holder can never be mistaken for the present one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from typing import Any, BinaryIO, Protocol, TypeVar, runtime_checkable

from stepwell.engine.checkpoints.checkpoint import Checkpointer
from stepwell.engine.events import Event, EventPage, EventType
from stepwell.engine.exchange import (
    SAME,
    Arrival,
    ClaimedStep,
    ClaimRequest,
    Exchange,
    LostLease,
    NewMessage,
    NewRun,
    Outcome,
    Reopening,
    StoredRun,
    Wait,
)
from stepwell.engine.model import (
    ArtifactRef,
    Blob,
    EdgeRow,
    EngineStatus,
    ExecutorOptions,
    KeyValue,
    Message,
    Operator,
    Queue,
    QueueStatus,
    Record,
    Run,
    RunFilter,
    RunProgress,
    Step,
    StepFilter,
    StepResult,
    ValueEntry,
    WorkerRow,
)
from stepwell.engine.verification import Verification

T = TypeVar("T")

# Id, kind, status and result (JSON text) of a dependency.
DependencyValue = tuple[str, str, str, str | None]


class Runs(Protocol):
    """Runs and their steps, written once and read often."""

    def create_run(self, run: NewRun) -> StoredRun:
        """Store a run with its steps and edges in one transaction; durable on return.

        Steps without unmet dependencies are ready at once, or when the run may start. The graph
        has been validated. A run with the same id, package, entrypoint and input is returned; one
        that differs raises Conflict. So does one that holds the dedup key, if the options refuse
        it; else it is returned, or gets what the new one has: then the new one must have its id,
        as `waiting_run` tells it, and KeyMoved is raised if another one has the key by then.
        Nothing is stored when it raises.
        """
        ...

    def waiting_run(self, package: str, dedup_key: str) -> str | None:
        """The id of the run with this key that has not begun, or None."""
        ...

    def run(self, run_id: str) -> Run:
        """The run. Raises NotFound, naming the nearest id."""
        ...

    def runs(self, where: RunFilter) -> list[Run]:
        """Matching runs, newest first."""
        ...

    def open_runs(self, run_ids: Sequence[str]) -> set[str]:
        """Those of the given runs, at most 1,000, that exist and have not ended."""
        ...

    def progress(self, run_id: str) -> RunProgress:
        """Counts of a run's steps, at a cost that does not grow with the run."""
        ...

    def steps(self, run_id: str, where: StepFilter) -> list[Step]:
        """Matching steps of a run, in order of creation.

        Status "held" also finds pending and waiting steps that an operator holds. Raises NotFound
        if the step `after` does not exist.
        """
        ...

    def step(self, run_id: str, step_id: str) -> Step:
        """The step. Raises NotFound, naming the nearest id."""
        ...

    def edges(self, run_id: str) -> list[EdgeRow]:
        """All dependencies between the run's steps."""
        ...


class Results(Protocol):
    """What steps produced."""

    def result(self, run_id: str, step_id: str) -> StepResult:
        """Raises RefusedByState while the step has not ended, NotFound without such a step."""
        ...

    def small_dependency_values(
        self, steps: Sequence[ClaimedStep], most: int
    ) -> dict[int, list[DependencyValue]]:
        """`dependency_values` by step key, for those steps that have at most `most` of them."""
        ...

    def records(self, package: str, collection: str, key: str | None = None) -> list[Record]:
        """Records as last committed, ordered by key."""
        ...

    def collections(self, package: str) -> dict[str, int]:
        """The number of records in each of a package's collections."""
        ...

    def artifacts(self, run_id: str, step_id: str | None = None) -> list[ArtifactRef]:
        """Artifacts of a run or of one of its steps, in order of creation."""
        ...

    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        """The artifact, with its bytes if they are inline."""
        ...

    def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """The run's stored events with a larger number than `after`, in order."""
        ...

    def last_event(self, run_id: str, type: EventType, step_id: str | None = None) -> Event | None:
        """The newest event of a type, of the run or of one of its steps, or None."""
        ...


class DependencyReads(Protocol):
    """What a running step may read."""

    def dependency_values(self, step: ClaimedStep) -> list[DependencyValue]:
        """Each ended dependency, in order of creation.

        The text is None if a dependency has no result. A subtree dependency includes everything
        the target emitted.
        """
        ...

    def dependency_result(self, step: ClaimedStep, step_id: str) -> StepResult:
        """The complete result of one ended step of the same run."""
        ...

    def run_status(self, run_id: str) -> str | None:
        """The status of any run, or None if there is no such run."""
        ...

    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        """Any artifact, with its bytes if they are inline. Raises NotFound."""
        ...


class Claims(Protocol):
    """Claiming steps, and settling their outcomes."""

    def exchange(self, settle: Sequence[Outcome], claim: ClaimRequest | None) -> Exchange:
        """Settle outcomes and claim ready steps: one transaction, durable on return.

        Settling stores each outcome with everything the execution made, counts down its
        dependents, and ends its run if that was the last open step. An outcome whose lease is
        lost is reported in `lost` and leaves only an event. An outcome that cannot be settled
        (an invalid emission) is reported in `refused` with its reason, for the caller to
        settle as a failure. Neither affects the other outcomes.

        Claiming takes ready steps whose time has come, by priority (smaller first), ready time
        and creation, within the limits of their queues, and counts the attempt. A step that
        lost `suspect_from` leases is claimed only if `suspects` is set, and one at a time, so that
        a step that kills its workers does not use up the leases of other steps.
        """
        ...

    def create_and_claim(self, run: NewRun, claim: ClaimRequest) -> tuple[Run, Exchange]:
        """`create_run` and an exchange that claims, in one transaction. Raises Conflict."""
        ...

    def renew(self, worker_id: str, steps: Sequence[ClaimedStep], lease: int) -> list[LostLease]:
        """Extend the leases to `lease` microseconds from now; returns those that are lost."""
        ...

    def has_lease(self, step: ClaimedStep) -> bool:
        """Whether the lease is held, by its token. Changes nothing."""
        ...

    def release_others(self, worker_id: str, keep: Sequence[ClaimedStep]) -> int:
        """Release, uncharged, all steps that this worker holds except `keep`; returns how many.

        For a worker that does not know whether its last claim was committed.
        """
        ...

    def reap(self, max_lost_leases: int) -> int:
        """Take back all steps whose lease lapsed; returns how many.

        A step that has lost `max_lost_leases` leases fails with code `lease_lost`; the others are
        ready again at once. Also wakes the steps whose waits are due, and ends the runs whose
        time limits are over: with the code `deadline_exceeded` as failed, or, if they had to begin
        before, with `expired` as canceled.
        """
        ...

    def next_due(self, after: int) -> int | None:
        """When (epoch µs) the next lease lapses, wait is due, or step becomes claimable, or None.

        Steps that were claimable at `after`, the time of the last look, do not count.
        """
        ...


class Operators(Protocol):
    """Acts of operators; each is stored as an event with who and why."""

    def retry_step(self, run_id: str, step_id: str, by: Operator, anew: Reopening = SAME) -> int:
        """Reopen a failed or canceled step and the steps its end canceled; returns how many.

        Raises RefusedByState for a step in any other status. If the run has ended, also when its
        deadline has passed and `anew` has none, and Conflict when another run holds its dedup key.
        Its timeout counts anew.
        """
        ...

    def retry_run(self, run_id: str, by: Operator, anew: Reopening = SAME) -> int:
        """Reopen a run's unhandled failed steps and those canceled or skipped because of them.

        In a canceled run, reopens all canceled steps. Raises RefusedByState if there is none, and
        for the rest as `retry_step` does.
        """
        ...

    def cancel_run(self, run_id: str, by: Operator) -> int:
        """Cancel all open steps of a run and of the runs it started; returns how many.

        After this returns, none of their steps is claimed, and outcomes of running ones are
        refused. Canceling a canceled run does nothing; a run that ended otherwise raises
        RefusedByState.
        """
        ...

    def pause_run(self, run_id: str, by: Operator) -> int:
        """Hold all steps of a run and freeze its waits; returns how many steps are held.

        Running steps go on to their end. Pausing a paused run does nothing; a run that ended
        raises RefusedByState.
        """
        ...

    def resume_run(self, run_id: str, by: Operator) -> int:
        """Undo `pause_run`: waits continue with the time they had left; returns how many are ready.

        Raises RefusedByState for a run that is not paused.
        """
        ...

    def hold_step(self, run_id: str, step_id: str, by: Operator) -> None:
        """Like `pause_run`, for one step that is pending, ready or waiting."""
        ...

    def release_step(self, run_id: str, step_id: str, by: Operator) -> None:
        """Undo `hold_step`. Raises RefusedByState for a step that is not held."""
        ...


class Messages(Protocol):
    """Messages to runs, and decisions, which are a special kind of message."""

    def send(self, message: NewMessage, sender: str | None = None) -> bool:
        """Store a message; durable on return. False if one with the same key was sent before.

        Steps that wait for its topic become ready. Raises NotFound if the run does not exist, and
        RefusedByState if it has ended.
        """
        ...

    def receive(self, step: ClaimedStep, topic: str, operation: str) -> str | None:
        """Receive a message (JSON text) for this operation of the step; None if there is none yet.

        It is the first one sent that no other operation received; asked again, the same one.
        Raises LeaseLost.
        """
        ...

    def given(self, step: ClaimedStep, operation: str) -> int | None:
        """The id of the message that this operation of the step received, or None."""
        ...

    def refuse(self, step: ClaimedStep, operation: str, message: int) -> None:
        """Discard a message that the operation received: no operation will receive it again.

        The operation may then receive the next one. Does nothing if the operation does not have
        this message. Raises LeaseLost.
        """
        ...

    def arrivals(self, step: ClaimedStep, waits: Sequence[Wait]) -> list[Arrival | None]:
        """What has come for each of these waits of the step, or None; takes nothing.

        For a message, the one that `receive` would give. For a value, the last one, with the time
        of the first. For a run's end, a JSON object: `run_id`, `status`, `result`, `error`. For a
        sleep, None. Raises NotFound if the run of a value or an end does not exist.
        """
        ...

    def take(self, step: ClaimedStep, messages: Sequence[tuple[int, str]]) -> bool:
        """Assign messages (id, operation) to operations of the step: all of them, or none.

        False if another operation received one meanwhile. Raises LeaseLost.
        """
        ...

    def messages(self, run_id: str, topic: str | None = None) -> list[Message]:
        """A run's messages in the order they were sent. Raises NotFound."""
        ...

    def decide(self, run_id: str, step_id: str | None, approved: bool, by: Operator) -> str:
        """Approve or reject what a step waits for; `by.reason` is the comment. Returns its id.

        `step_id` None means the only step that waits. Raises NotFound; Conflict if it was
        decided before; RefusedByState if no step waits; InvalidInput if several do.
        """
        ...


class Values(Protocol):
    """Values that runs publish, each with its history."""

    def set_value(self, step: ClaimedStep, key: str, value: str, operation: str) -> tuple[str, str]:
        """Set a key of the step's run to a new value (JSON text), once for each operation.

        Returns the key and value that the operation has set; if it is repeated, those of the first
        time. Steps that wait for the value become ready. Raises LeaseLost.
        """
        ...

    def values(self, run_id: str, key: str, last: int | None = None) -> list[ValueEntry]:
        """The values of a key, oldest first; at most the `last` ones, if given. Raises NotFound."""
        ...

    def last_values(self, run_id: str) -> list[ValueEntry]:
        """The last value of each key of a run, by key. Raises NotFound."""
        ...


class KeyValues(Protocol):
    """One key-value store for all runs. Expired entries do not exist."""

    def kv_get(self, key: str) -> KeyValue | None:
        """The entry, or None."""
        ...

    def kv_set(
        self, key: str, value: str, *, expires_in: int | None = None, version: int | None = None
    ) -> int | None:
        """Store a value (JSON text) and return its version.

        `expires_in` is in microseconds. With `version`, stores only if the entry has that version
        (0: if there is no entry); otherwise stores nothing and returns None.
        """
        ...

    def kv_delete(self, key: str, *, version: int | None = None) -> bool:
        """Remove the entry, if it has `version`; returns whether it did."""
        ...

    def kv_list(self, prefix: str = "", after: str = "", limit: int = 1_000) -> list[KeyValue]:
        """Entries whose keys begin with `prefix` and come after `after`, by key."""
        ...


class Queues(Protocol):
    """Queues and workers as all processes see them."""

    def define_queues(self, queues: Sequence[Queue]) -> None:
        """Store the limits of these queues; steps in flight and saved tokens are kept."""
        ...

    def check_queues(self, names: Sequence[str] | None) -> None:
        """Raises NotFound, with the nearest name, if one of these is not a queue."""
        ...

    def queues(self) -> list[QueueStatus]:
        """All queues, by name."""
        ...

    def record_worker(self, worker: WorkerRow) -> None:
        """Record that a worker is alive."""
        ...

    def forget_worker(self, worker_id: str) -> None:
        """Record that a worker stopped."""
        ...

    def forget_silent_workers(self, silent: int) -> None:
        """Delete workers that were not recorded for `silent` microseconds: they have died."""
        ...

    def workers(self) -> list[WorkerRow]:
        """Workers that have not stopped, by id."""
        ...

    def status(self) -> EngineStatus:
        """An overview of the store."""
        ...


class Feed(Protocol):
    """The events of all runs, for readers outside of a transaction: pages, metrics, exporters."""

    def events_since(self, cursor: str, limit: int) -> EventPage:
        """At most `limit` stored events that come after `cursor`, and the cursor after them.

        A cursor is text that the reader keeps unchanged, or "beginning", or "now", which gives no
        events. Reading from cursor to cursor gives each event exactly once, even if others commit
        meanwhile, and the events of a run in the order of their commits; those of one transaction
        come together. The page is empty only if all committed events have been read. Events of
        deleted runs are gone. The first call on a store makes it keep the order of commits from
        then on; earlier events come first, run by run. Raises InvalidInput for a cursor that is
        not of this store.
        """
        ...

    def version(self) -> str:
        """Changes with each commit of any process, and hardly ever otherwise. Cheap to ask."""
        ...


class Verifying(Protocol):
    """Looking for violations of the store's rules."""

    def verify(self, most: int) -> Verification:
        """Check all rules of the store in one snapshot, while other processes go on working.

        Changes nothing. Lists the first `most` violations of each check. Raises StoreError if the
        store is out of reach; damage that can be described is a violation.
        """
        ...

    def stored_artifacts(self, after: str, limit: int) -> list[ArtifactRef]:
        """Artifacts whose bytes are not inline, by id, and only ids greater than `after`."""
        ...


class Watch(Protocol):
    """Notices commits of others. Cheap enough to ask every few milliseconds."""

    def changed(self) -> bool:
        """Whether another process or thread committed possible work since the last call."""
        ...

    def hinted(self) -> None:
        """Ignore one commit: it was the caller's own."""
        ...

    def left(self) -> bool:
        """Whether the store's file was gone since the last call, so that another one is open now.

        Claims in the old file are not held in the new one.
        """
        ...

    def close(self) -> None: ...


class RunStore(
    Runs,
    Results,
    DependencyReads,
    Claims,
    Operators,
    Messages,
    Values,
    KeyValues,
    Queues,
    Feed,
    Verifying,
    Protocol,
):
    """Everything a runtime asks of its store. Safe to use from many threads."""

    def checkpointer(self, step: ClaimedStep | None = None) -> Checkpointer:
        """The checkpoints in this store; with `step`, saves raise LeaseLost if it is not held.

        It is a JournalingCheckpointer and an AtomicCheckpointer.
        """
        ...

    def now(self) -> int:
        """The store's clock, in epoch microseconds; leases expire by it."""
        ...

    def watch(self) -> Watch:
        """A new watch, for one thread."""
        ...

    def close(self) -> None:
        """Release all resources; no other method may be called afterwards."""
        ...


class ArtifactStore(Protocol):
    """Bytes addressed by their SHA-256. Names given by users never become paths."""

    def put(self, data: bytes | BinaryIO) -> Blob:
        """Store the bytes; durable on return. The same bytes twice are stored once."""
        ...

    def open(self, sha256: str) -> BinaryIO:
        """A stream of the bytes; the caller closes it.

        Raises NotFound, or CorruptData if the bytes do not match their digest.
        """
        ...

    def stat(self, sha256: str) -> Blob:
        """Size and place. Raises NotFound."""
        ...

    def delete(self, sha256: str) -> bool:
        """Remove the bytes; returns whether they were there."""
        ...


Parameters = Sequence[Any] | Mapping[str, Any]


class Transaction(Protocol):
    """A projection inside one transaction."""

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; returns the number of rows it changed."""
        ...

    def query(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """Run one statement; returns its rows as dictionaries."""
        ...


class Projection(Transaction, Protocol):
    """A package's own read model: one database per name. Each call commits by itself."""

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        """Run one statement for every row in one transaction; returns rows changed."""
        ...

    def once(self, key: str, apply: Callable[[Transaction], object]) -> bool:
        """Run `apply` in one transaction that also records `key`.

        Returns False without calling it if `key` was recorded before. If it raises, nothing
        is kept and the error is passed on.
        """
        ...


class ProjectionStore(Protocol):
    """Projection databases by name."""

    def projection(self, name: str) -> Projection:
        """The projection, created on first use. Raises InvalidInput for an invalid name."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Executor(Protocol):
    """Runs steps of one kind. It may also have `options` (ExecutorOptions)."""

    @property
    def kind(self) -> str: ...

    def execute(self, step: Any) -> Any:
        """Run one step, given its `StepContext`; the result must be JSON or an awaitable of it."""
        ...


class Catalog(Protocol):
    """What this process can run."""

    def executor(self, kind: str) -> Executor:
        """Raises NotFound with the nearest kind."""
        ...

    def options(self, kind: str) -> ExecutorOptions: ...

    def kinds(self) -> Sequence[str]: ...

    def pool_name(self, kind: str) -> str:
        """The name of the pool that runs steps of this kind."""
        ...

    def register(self, executor: Executor) -> None:
        """Raises InvalidPackage if the kind is taken or the object is not an executor."""
        ...

    def encode_input(self, kind: str, value: Any, path: str, limit: int) -> str:
        """The JSON text of an input. Raises InvalidPayload if steps of this kind cannot take it."""
        ...

    def queue_names(self) -> Sequence[str]: ...

    def package_of(self, kind: str) -> str | None:
        """The package a kind belongs to, or None."""
        ...

    def define_queue(self, queue: Queue) -> None: ...

    def add_package(self, package: Any, *, replace: bool = False) -> None:
        """Add a package's executors and queues. Raises InvalidPackage if a name is taken.

        With `replace`, it replaces a package of the same name.
        """
        ...


class Task(Protocol):
    """One execution, as a pool sees it; implemented by `engine.step.execution.Execution`."""

    step: ClaimedStep

    @property
    def kind(self) -> str: ...

    @property
    def saves(self) -> bool:
        """Whether `completed` and `failed` wait for a disk, which would block an event loop."""
        ...

    def fresh_variables(self) -> Context:
        """A copy of its worker's context variables, in which all of it runs, `begin` to outcome."""
        ...

    def around(self) -> AbstractContextManager[object]:
        """What to enter around the body: `invoke`, and waiting for what it returns."""
        ...

    def begin(self) -> bool:
        """Called right before the body; False if the body must not run."""
        ...

    def invoke(self) -> Any:
        """Call the executor; returns its result or an awaitable of it. May raise anything."""
        ...

    def completed(self, value: Any) -> Outcome:
        """The outcome of a body that returned `value`."""
        ...

    def failed(self, error: BaseException) -> Outcome:
        """The outcome of a body that raised `error`."""
        ...

    def cancel(self) -> None:
        """Set `step.cancelled`."""
        ...


class Pool(Protocol):
    """Where executors run. A pool passes outcomes to the `deliver` function it was made with."""

    size: int

    def submit(self, tasks: Sequence[Task]) -> None:
        """Run these tasks; never waits for their bodies."""
        ...

    def cancel(self, task: Task) -> None:
        """Stop the task as far as this pool can: by its flag, by task cancellation, or by a kill.

        Its slot becomes free; a late outcome is delivered and ignored.
        """
        ...

    def shutdown(self, grace: float) -> None:
        """Stop all threads and processes, waiting at most `grace` seconds for bodies to end."""
        ...
