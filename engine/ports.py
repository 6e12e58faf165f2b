"""The contracts between the rooms. What a lease, a claim and a settle mean stands here.

The life of a lease::

    claim ──▶ held ──renew──▶ held ──settle──▶ gone        (outcome committed)
                │                ├──release──▶ gone        (uncharged)
                │                └──expires──▶ reap ──▶ gone
                └── an operator cancels ──▶ gone

A lease is held while the step is `running` with this token and has not been reaped. Settling
with a lease that is gone is refused for that step alone: nothing of the outcome is stored but an
event. Tokens of a step only rise, so an earlier holder can never be mistaken for the present one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from typing import Any, BinaryIO, Protocol, TypeVar, runtime_checkable

from stepwell.engine.checkpoints.checkpoint import Checkpointer
from stepwell.engine.events import Event, EventType
from stepwell.engine.exchange import (
    Arrival,
    ClaimedStep,
    ClaimRequest,
    Exchange,
    LostLease,
    NewMessage,
    NewRun,
    Outcome,
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

# Id, kind, status and result (JSON text) of a step that another one depends on.
DependencyValue = tuple[str, str, str, str | None]


class Runs(Protocol):
    """Runs and their steps, written once and read often."""

    def create_run(self, run: NewRun) -> Run:
        """Store a run with its steps and edges in one transaction; on return it is durable.

        Steps without unmet dependencies are ready at once. The graph was validated before.
        Raises Conflict when the id is taken; then nothing was stored.
        """
        ...

    def run(self, run_id: str) -> Run:
        """The run. Raises NotFound, naming the nearest id."""
        ...

    def runs(self, where: RunFilter) -> list[Run]:
        """Matching runs, newest first."""
        ...

    def progress(self, run_id: str) -> RunProgress:
        """Counts of a run's steps, at a cost that does not grow with the run."""
        ...

    def steps(self, run_id: str, where: StepFilter) -> list[Step]:
        """Matching steps of a run, in order of creation.

        Status "held" finds pending and waiting steps that an operator holds, too. Raises NotFound
        when there is no step `after`.
        """
        ...

    def step(self, run_id: str, step_id: str) -> Step:
        """The step. Raises NotFound, naming the nearest id."""
        ...

    def edges(self, run_id: str) -> list[EdgeRow]:
        """All dependencies between the run's steps."""
        ...


class Results(Protocol):
    """What steps left behind."""

    def result(self, run_id: str, step_id: str) -> StepResult:
        """Raises RefusedByState while the step has not ended, NotFound without such a step."""
        ...

    def small_dependency_values(
        self, steps: Sequence[ClaimedStep], most: int
    ) -> dict[int, list[DependencyValue]]:
        """`dependency_values` by step key, of the steps that have at most `most` of them."""
        ...

    def records(self, package: str, collection: str, key: str | None = None) -> list[Record]:
        """Records as last committed, ordered by key."""
        ...

    def collections(self, package: str) -> dict[str, int]:
        """A package's collections by name, with how many records are in each."""
        ...

    def artifacts(self, run_id: str, step_id: str | None = None) -> list[ArtifactRef]:
        """Artifacts of a run or of one of its steps, in order of creation."""
        ...

    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        """The artifact, with its bytes when they are inline."""
        ...

    def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """The run's stored events with a larger number than `after`, in order."""
        ...

    def last_event(self, run_id: str, type: EventType, step_id: str | None = None) -> Event | None:
        """The newest event of a type, of the run or of one of its steps; None without one."""
        ...


class DependencyReads(Protocol):
    """What a running step may read of the steps it depends on."""

    def dependency_values(self, step: ClaimedStep) -> list[DependencyValue]:
        """Each ended dependency, in order of creation.

        The text is None where a dependency left no result. A subtree dependency adds everything
        the target emitted.
        """
        ...

    def dependency_result(self, step: ClaimedStep, step_id: str) -> StepResult:
        """The whole result of one ended step of the same run."""
        ...

    def run_status(self, run_id: str) -> str | None:
        """The status of any run, or None when there is none with this id."""
        ...

    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        """Any artifact, with its bytes when they are inline. Raises NotFound."""
        ...


class Claims(Protocol):
    """Taking steps, and giving back what came of them."""

    def exchange(self, settle: Sequence[Outcome], claim: ClaimRequest | None) -> Exchange:
        """Settle outcomes and claim ready steps: one transaction, durable on return.

        Settling stores each outcome with everything the execution made, counts down its
        dependents and ends its run where that was the last open step; an outcome whose lease is
        gone is reported in `lost` and leaves an event only; an outcome that cannot be settled
        (an emission that cannot be) is reported in `refused` with its reason, for the caller to
        settle as a failure. Both leave the others alone.

        Claiming takes ready steps whose time has come, by priority (smaller first), ready time
        and creation, within the limits of their queues, and counts the attempt. A step that
        lost `suspect_from` leases is claimed only if `suspects` allows, one at a time, so that
        a step that kills its workers cannot take others along to the limit.
        """
        ...

    def create_and_claim(self, run: NewRun, claim: ClaimRequest) -> tuple[Run, Exchange]:
        """`create_run` and an exchange that claims, in one transaction. Raises Conflict."""
        ...

    def renew(self, worker_id: str, steps: Sequence[ClaimedStep], lease: int) -> list[LostLease]:
        """Extend the leases by `lease` microseconds from now; returns those that are gone."""
        ...

    def has_lease(self, step: ClaimedStep) -> bool:
        """Whether the lease is held, by its token. Changes nothing."""
        ...

    def release_others(self, worker_id: str, keep: Sequence[ClaimedStep]) -> int:
        """Give back uncharged what this worker holds besides `keep`; returns how many steps.

        For a worker that cannot know whether its last claim was committed.
        """
        ...

    def reap(self, max_lost_leases: int) -> int:
        """Take back all steps whose lease lapsed; returns how many.

        A step that lost `max_lost_leases` of them fails with code `lease_lost`; the others are
        ready again at once. Due waits are woken, too.
        """
        ...

    def next_due(self, after: int) -> int | None:
        """When the next lease lapses, wait falls due, or step can be claimed (epoch µs), or None.

        Of what can be claimed, only what could not be at `after`: the time of the last look.
        """
        ...


class Operators(Protocol):
    """Acts of people; each is stored as an event with who and why."""

    def retry_step(self, run_id: str, step_id: str, by: Operator) -> int:
        """Reopen a failed or canceled step with what its end canceled; returns how many steps.

        Raises RefusedByState for a step in any other status.
        """
        ...

    def retry_run(self, run_id: str, by: Operator) -> int:
        """Reopen a run's unhandled failed steps and all that was canceled or skipped over them.

        Of a canceled run, all canceled steps. Raises RefusedByState when there is none.
        """
        ...

    def cancel_run(self, run_id: str, by: Operator) -> int:
        """Cancel all open steps of a run and of the runs it started; returns how many.

        When this returns no step of them is claimed any more and what running ones produce is
        refused. Canceling a canceled run does nothing; one that ended otherwise raises
        RefusedByState.
        """
        ...

    def pause_run(self, run_id: str, by: Operator) -> int:
        """Claim no more steps of a run, and freeze its waits; returns how many steps are held.

        Running steps end as they would. Pausing a paused run does nothing; one that ended raises
        RefusedByState.
        """
        ...

    def resume_run(self, run_id: str, by: Operator) -> int:
        """Undo `pause_run`: waits go on with the time they had left; returns how many are ready.

        Raises RefusedByState for a run that is not paused.
        """
        ...

    def hold_step(self, run_id: str, step_id: str, by: Operator) -> None:
        """As `pause_run`, for one step that is pending, ready or waiting."""
        ...

    def release_step(self, run_id: str, step_id: str, by: Operator) -> None:
        """Undo `hold_step`. Raises RefusedByState for a step that is not held."""
        ...


class Messages(Protocol):
    """Messages to runs, and decisions, which are messages of a kind of their own."""

    def send(self, message: NewMessage, sender: str | None = None) -> bool:
        """Store a message; durable on return. False when one with its key was sent before.

        Steps that wait for its topic are ready then. Raises NotFound without the run, and
        RefusedByState when it has ended.
        """
        ...

    def receive(self, step: ClaimedStep, topic: str, operation: str) -> str | None:
        """The message (JSON text) given to this operation of the step, or None for none yet.

        The first one sent that no other operation has; the same one when asked again. Raises
        LeaseLost.
        """
        ...

    def given(self, step: ClaimedStep, operation: str) -> int | None:
        """The id of the message that this operation of the step was given, or None."""
        ...

    def refuse(self, step: ClaimedStep, operation: str, message: int) -> None:
        """Take a message from the operation it was given to, for good: nobody gets it any more.

        The operation is given the next one then. Nothing happens when it does not have this
        message (any more). Raises LeaseLost.
        """
        ...

    def arrivals(self, step: ClaimedStep, waits: Sequence[Wait]) -> list[Arrival | None]:
        """For each of these waits of the step what has come for it, or None; nothing is taken.

        A message is the one that `receive` would give. Of a value it is the last one, there since
        the first; of a run's end a JSON object: `run_id`, `status`, `result`, `error`. A sleep
        has none. Raises NotFound without the run of a value or an end.
        """
        ...

    def take(self, step: ClaimedStep, messages: Sequence[tuple[int, str]]) -> bool:
        """Give messages (id, operation) to operations of the step: all of them, or none.

        False when one was given to somebody else. Raises LeaseLost.
        """
        ...

    def messages(self, run_id: str, topic: str | None = None) -> list[Message]:
        """A run's messages in the order they were sent. Raises NotFound."""
        ...

    def decide(self, run_id: str, step_id: str | None, approved: bool, by: Operator) -> str:
        """Approve or reject what a step waits for; `by.reason` is the comment. Returns its id.

        `step_id` None means the only one that waits. Raises NotFound; Conflict when it was
        answered before; RefusedByState when none waits; InvalidInput when several do.
        """
        ...


class Values(Protocol):
    """Values that runs publish, each with its history."""

    def set_value(self, step: ClaimedStep, key: str, value: str, operation: str) -> tuple[str, str]:
        """Give a key of the step's run a new value (JSON text), once for each operation.

        Returns the key and value that the operation has set, which of a repeated one are those of
        the first time. Steps that wait for it are ready then. Raises LeaseLost.
        """
        ...

    def values(self, run_id: str, key: str, last: int | None = None) -> list[ValueEntry]:
        """The values of a key, oldest first; only the `last` ones if given. Raises NotFound."""
        ...

    def last_values(self, run_id: str) -> list[ValueEntry]:
        """The last value of each key of a run, by key. Raises NotFound."""
        ...


class KeyValues(Protocol):
    """One key-value store for all runs. What has expired is not there."""

    def kv_get(self, key: str) -> KeyValue | None:
        """The entry, or None."""
        ...

    def kv_set(
        self, key: str, value: str, *, expires_in: int | None = None, version: int | None = None
    ) -> int | None:
        """Store a value (JSON text) and return its version.

        `expires_in` is in microseconds. With `version` only if the entry has it (0: if there is
        none); else nothing is stored, and None is returned.
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
        """Store the limits of these queues; what is in flight and saved up stays."""
        ...

    def check_queues(self, names: Sequence[str] | None) -> None:
        """Raises NotFound, with the nearest name, when one of these is no queue."""
        ...

    def queues(self) -> list[QueueStatus]:
        """All queues, by name."""
        ...

    def record_worker(self, worker: WorkerRow) -> None:
        """Store that a worker lives."""
        ...

    def forget_worker(self, worker_id: str) -> None:
        """Store that a worker stopped."""
        ...

    def forget_silent_workers(self, silent: int) -> None:
        """Drop the rows of workers that were not recorded for `silent` microseconds: they died."""
        ...

    def workers(self) -> list[WorkerRow]:
        """Workers that have not stopped, by id."""
        ...

    def status(self) -> EngineStatus:
        """The store at a glance."""
        ...


class Verifying(Protocol):
    """Looking for what must not be."""

    def verify(self, most: int) -> Verification:
        """Check all that must hold in the store, as of one moment, while others go on working.

        Changes nothing. The first `most` violations of each check are told one by one. Raises
        StoreError when the store is out of reach; damage that can be told is a violation.
        """
        ...

    def stored_artifacts(self, after: str, limit: int) -> list[ArtifactRef]:
        """Artifacts whose bytes are not inline, by id, and only ids greater than `after`."""
        ...


class Watch(Protocol):
    """Notices that somebody else wrote to the store. Cheap enough to ask every few ms."""

    def changed(self) -> bool:
        """Whether somebody else committed since the last call what may be work for others."""
        ...

    def hinted(self) -> None:
        """One commit was the caller's own, and is no news to it."""
        ...

    def left(self) -> bool:
        """Whether the store was left for another one since the last call, as its file was gone.

        What was claimed in the one is not held in the other.
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
    Verifying,
    Protocol,
):
    """Everything a runtime asks of its store. Safe to use from many threads."""

    def checkpointer(self, step: ClaimedStep | None = None) -> Checkpointer:
        """The checkpoints in this store; saves with a `step` raise LeaseLost when it is not held.

        It is a JournalingCheckpointer and an AtomicCheckpointer.
        """
        ...

    def now(self) -> int:
        """The store's clock, in epoch microseconds: the one that leases expire by."""
        ...

    def watch(self) -> Watch:
        """A new watch, for one thread."""
        ...

    def close(self) -> None:
        """Give back all resources; nothing else may be called afterwards."""
        ...


class ArtifactStore(Protocol):
    """Bytes addressed by their SHA-256. Names given by users never become paths."""

    def put(self, data: bytes | BinaryIO) -> Blob:
        """Store the bytes; durable on return. The same bytes twice are stored once."""
        ...

    def open(self, sha256: str) -> BinaryIO:
        """The bytes, from the start; the caller closes it.

        Raises NotFound, or CorruptData when the bytes do not match their digest.
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

        Returns False without calling it when `key` was recorded before; if it raises, nothing
        is kept and the error is passed on.
        """
        ...


class ProjectionStore(Protocol):
    """Projection databases by name."""

    def projection(self, name: str) -> Projection:
        """The projection; made when first used. Raises InvalidInput for a name that cannot be."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Executor(Protocol):
    """What runs steps of one kind. `options` (ExecutorOptions) may be there, too."""

    @property
    def kind(self) -> str: ...

    def execute(self, step: Any) -> Any:
        """Run one step, given its `StepContext`; the result must be JSON or an awaitable of it."""
        ...


class Catalog(Protocol):
    """What this process knows how to run."""

    def executor(self, kind: str) -> Executor:
        """Raises NotFound with the nearest kind."""
        ...

    def options(self, kind: str) -> ExecutorOptions: ...

    def kinds(self) -> Sequence[str]: ...

    def pool_name(self, kind: str) -> str:
        """The pool that runs steps of this kind: inline, thread, asyncio or process."""
        ...

    def register(self, executor: Executor) -> None:
        """Raises InvalidPackage when the kind is taken or the object is no executor."""
        ...

    def encode_input(self, kind: str, value: Any, path: str, limit: int) -> str:
        """The JSON text of an input. Raises InvalidPayload when its steps cannot take it."""
        ...

    def queue_names(self) -> Sequence[str]: ...

    def package_of(self, kind: str) -> str | None:
        """The package a kind belongs to, or None."""
        ...

    def define_queue(self, queue: Queue) -> None: ...

    def add_package(self, package: Any, *, replace: bool = False) -> None:
        """Add a package's executors and queues. Raises InvalidPackage when a name is taken.

        `replace` lets it take the place of the package that has its name.
        """
        ...


class Task(Protocol):
    """One execution, as a pool sees it. `engine.execution.Execution` is the one there is."""

    step: ClaimedStep

    @property
    def kind(self) -> str: ...

    @property
    def saves(self) -> bool:
        """Whether `completed` and `failed` wait for a disk, which an event loop must not do."""
        ...

    def fresh_variables(self) -> Context:
        """A copy of its worker's context variables, to run all of it in: `begin` to outcome."""
        ...

    def begin(self) -> bool:
        """Called where the body is about to run; False when it must not run any more."""
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
    """Where executors run. Outcomes go to the `deliver` function the pool was made with."""

    size: int

    def submit(self, tasks: Sequence[Task]) -> None:
        """Run these; never blocks for their bodies."""
        ...

    def free_slots(self) -> int:
        """How many more could start right now."""
        ...

    def cancel(self, task: Task) -> None:
        """Stop the task as far as this pool can: signal, task cancellation, or kill.

        The slot becomes free; an outcome that still comes is delivered and ignored.
        """
        ...

    def shutdown(self, grace: float) -> None:
        """Stop all threads and processes, waiting at most `grace` seconds for bodies to end."""
        ...
