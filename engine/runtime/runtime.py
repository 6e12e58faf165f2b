"""The runtime: what programs use to start runs, work on them, and look at them.

`Runtime` lists everything that it can do. What takes more than a line or two is done by its parts:
`starting`, `working`, `waiting`, `queries`, `messaging`, `operators` and `closing`.
`AioRuntime` has most of its methods, awaitable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, Unpack, overload

import stepwell.engine as engine
from stepwell.engine.checkpoints.capabilities import load
from stepwell.engine.checkpoints.checkpoint import Checkpoint, Checkpointer
from stepwell.engine.duration_checks import patience
from stepwell.engine.durations import Duration
from stepwell.engine.events import (
    BEGINNING,
    Event,
    EventPage,
    EventType,
    Observer,
    check_types,
)
from stepwell.engine.ids import execution_id
from stepwell.engine.key_values import KeyValueStore
from stepwell.engine.model import (
    ArtifactRef,
    CycleResult,
    EdgeRow,
    EngineStatus,
    Message,
    Queue,
    QueueStatus,
    Record,
    Run,
    RunProgress,
    Step,
    StepResult,
    ValueEntry,
    WorkerRow,
)
from stepwell.engine.package import Package, TypedWorkflow, check_executor
from stepwell.engine.ports import Executor, Projection
from stepwell.engine.queue_rules import check_queue
from stepwell.engine.run_options import RetryOptions, Start, StartOptions
from stepwell.engine.runtime.awaitable import Awaitable
from stepwell.engine.runtime.change_signal import ChangeSignal
from stepwell.engine.runtime.closing import Closing
from stepwell.engine.runtime.internals import Internals, services_of
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.messaging import Messaging
from stepwell.engine.runtime.operators import Operating, operator, reopening
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.queries import Queries, RunFilters
from stepwell.engine.runtime.run_ends import RunEnds
from stepwell.engine.runtime.run_factory import RunFactory
from stepwell.engine.runtime.run_handle import RunHandle
from stepwell.engine.runtime.starting import Starting
from stepwell.engine.runtime.triggering import triggered
from stepwell.engine.runtime.waiting import Waiting
from stepwell.engine.runtime.working import Working
from stepwell.engine.states import StepStatus
from stepwell.engine.verification import MOST_SHOWN, Verification
from stepwell.engine.worker.worker import Worker

if TYPE_CHECKING:
    from stepwell.engine.runtime.aio_bridge import Bridge

R = TypeVar("R")


class Runtime:
    """A store with packages, and everything that can be done with them.

    Made by `connect()`; use it as a context manager, or call `close()`. Safe for many threads.
    `kv` is the key-value store of all runs.
    """

    _aio: AioRuntime | None = None

    def __init__(self, parts: RuntimeParts) -> None:
        store, monotonic = parts.store, parts.clock.monotonic
        workers, run_ends = LocalWorkers(), RunEnds()
        self.home = parts.home
        self.settings = parts.settings
        self.kv = KeyValueStore(store, parts.settings.payload_limit)
        self._parts = parts
        self._store = store
        self._packages: dict[str, Package] = {}
        self._workers = workers
        self._factory = RunFactory(parts.catalog, self._packages, parts.settings)
        self._run_ends = run_ends
        self._changes = ChangeSignal(store.version, monotonic)
        services = services_of(parts, self._factory, self.kv)
        self._closing = Closing(parts, workers)
        self._starting = Starting(parts, self._factory, workers, self._closing)
        self._working = Working(parts, services, workers, run_ends, self._closing)
        self._waiting = Waiting(store, monotonic, workers, run_ends)
        self._queries = Queries(store, parts.artifacts)
        self._messaging = Messaging(store, workers, monotonic, parts.settings.payload_limit)
        self._operating = Operating(store, workers, run_ends)
        # For tests and the test kit; not part of the public API.
        self.internals = Internals(parts, services, self._working)

    # --- what is registered ---------------------------------------------------------------

    def register_package(self, package: Package, *, replace: bool = False) -> None:
        """Register a package; with `replace`, in place of the one with the same name.

        Raises InvalidPackage if its declaration is wrong, or a name is taken.
        """
        self._parts.catalog.add_package(package, replace=replace)
        self._packages[package.name] = package
        self._store.define_queues(package.queues)

    def register_executor(self, executor: Executor) -> None:
        """Register one more executor, outside of any package."""
        check_executor(executor)
        self._parts.catalog.register(executor)

    def define_queue(self, queue: Queue) -> None:
        """Declare a queue and store its limits."""
        check_queue(queue)
        self._parts.catalog.define_queue(queue)
        self._store.define_queues([queue])

    @property
    def packages(self) -> Mapping[str, Package]:
        """The registered packages by name; `describe()` returns what is known of one."""
        return dict(self._packages)

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds this process can run."""
        return self._parts.catalog.kinds()

    def observe(
        self, observer: Observer, types: Iterable[EventType | str] | None = None
    ) -> Callable[[], None]:
        """Call `observer` with every event of this process; returns a function that stops it.

        With `types`, only with events of these types, which saves reading the others back from the
        store. Raises InvalidInput for an unknown type, and names the nearest one.
        """
        return self._parts.observers.subscribe(observer, check_types(types).__contains__)

    # --- starting -------------------------------------------------------------------------

    @overload
    def start_run(
        self,
        package: TypedWorkflow[Coroutine[Any, Any, R]],
        input: Any = None,
        **options: Unpack[StartOptions],
    ) -> RunHandle[R]: ...
    @overload
    def start_run(
        self, package: TypedWorkflow[R], input: Any = None, **options: Unpack[StartOptions]
    ) -> RunHandle[R]: ...
    @overload
    def start_run(
        self, package: str | Package, input: Any = None, **options: Unpack[StartOptions]
    ) -> RunHandle[Any]: ...
    def start_run(
        self, package: Any, input: Any = None, **options: Unpack[StartOptions]
    ) -> RunHandle[Any]:
        """Build a run's first graph and store it; it is durable on return.

        `package` is one, its name, or a workflow. Raises InvalidInput or NotFound naming what is
        wrong, Conflict when `run_id` or `dedup_key` is taken; then nothing was stored. The
        handle's `started` and `replaced` tell a new run from one that was there.
        """
        return self._handle(*self._starting.start(package, input, options))

    def trigger(
        self, target: str, input: Any = None, **options: Unpack[StartOptions]
    ) -> RunHandle[Any]:
        """Start a run by name, for somebody outside the author's code; it is durable on return.

        `target` is "package" or "package:entrypoint"; `input` is JSON as `str` or `bytes`, or
        plain values. Raises NotTriggerable if the entrypoint is declared with `trigger=False`, and
        whatever `start_run` raises.
        """
        package, value, chosen = triggered(self._factory, target, input, options)
        return self.start_run(package, value, **chosen)

    @overload
    def handle(self, run_id: str, of: TypedWorkflow[Coroutine[Any, Any, R]]) -> RunHandle[R]: ...
    @overload
    def handle(self, run_id: str, of: TypedWorkflow[R]) -> RunHandle[R]: ...
    @overload
    def handle(self, run_id: str, of: None = None) -> RunHandle[Any]: ...
    def handle(self, run_id: str, of: Any = None) -> RunHandle[Any]:
        """The handle of a run that was started before, here or elsewhere. Raises NotFound.

        `of` is its workflow, which gives the result its type. Raises Conflict if the run is not one
        of this workflow.
        """
        return self._handle(self._starting.find(run_id, of), Start.RETURNED)

    def _handle(self, run: Run, start: Start) -> RunHandle[Any]:
        workflow = self._factory.workflow(run)
        of = None if workflow is None else workflow.signature.result
        return RunHandle(self, run, workflow.name if workflow else None, of, start)

    # --- working --------------------------------------------------------------------------

    def run_once(self) -> CycleResult:
        """Claim once, run all claimed steps to their end and settle them, in this thread."""
        with self._working.worker() as worker:
            return worker.run_once()

    def drain(self, run_id: str | None = None, timeout: Duration | None = None) -> None:
        """Work in this thread until the run has ended; without one, until nothing is left to do.

        This works on steps of other runs too. Raises WaitTimeout after `timeout`.
        """
        self._working.drain(run_id, timeout)

    def start_workers(
        self,
        max_cycles: int | None = None,
        poll_interval: Duration | None = None,
        stop: threading.Event | None = None,
        queues: Sequence[str] | None = None,
        labels: Sequence[str] = (),
    ) -> None:
        """Work in this thread until `stop` is set, or for `max_cycles` cycles.

        `queues` None means all; with `labels`, the worker may also claim from queues that require
        them. If the store is out of reach, this waits for it. At the end, running steps finish
        within the grace period.
        """
        with self._working.worker(queues, labels, poll_interval) as worker:
            worker.run(max_cycles=max_cycles, stop=stop, patient=True)

    def stop_workers(self, grace: Duration | None = None) -> int:
        """Tell all workers of this runtime to stop, as `Worker.stop()` does; returns how many.

        This does not wait for them, and may be called from a signal handler.
        """
        return self._workers.stop(grace)

    def worker(
        self,
        queues: Sequence[str] | None = None,
        grace: Duration | None = None,
        labels: Sequence[str] = (),
    ) -> AbstractContextManager[Worker]:
        """A worker in a background thread for the time of the `with` block.

        `queues` and `labels` are those of `start_workers`. At the end, running steps finish within
        `grace` (None: as the setting says).
        """
        return self._working.in_background(queues, grace, labels)

    # --- waiting --------------------------------------------------------------------------

    def wait(
        self, run_id: str, timeout: Duration | None = None, *, poll: Duration | None = None
    ) -> Run:
        """Wait until the run has ended, whoever works on it; returns it.

        `poll` is how often to ask the store; None means soon at first, and then more rarely. Raises
        WaitTimeout after `timeout`, and NotFound if there is no such run.
        """
        return self._waiting.wait(run_id, timeout, poll)

    def changes(self, timeout: Duration | None = None, since: str | None = None) -> bool:
        """Wait until anyone commits something to the store; returns False after `timeout`.

        To miss nothing, take a `change_mark` before reading, and pass it as `since`. The commit may
        not concern what the caller reads. Any number of threads may wait.
        """
        return self._changes.wait(patience(timeout), since)

    def change_mark(self) -> str:
        """A mark of what has been committed so far, for `changes`."""
        return self._changes.mark()

    # --- looking --------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """The run as it is now. Raises NotFound."""
        return self._store.run(run_id)

    def runs(self, **filters: Unpack[RunFilters]) -> list[Run]:
        """Matching runs, newest first."""
        return self._queries.runs(filters)

    def progress(self, run_id: str) -> RunProgress:
        """Counts of a run's steps; cheap, however large the run is."""
        return self._store.progress(run_id)

    def steps(
        self,
        run_id: str,
        *,
        status: StepStatus | str | None = None,
        kind: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[Step]:
        """Matching steps of a run, in order of creation.

        Status "held" also finds waiting and pending steps that are held. For the next page, `after`
        is the id of the last step of this one; `limit` None means all steps.
        """
        return self._queries.steps(run_id, status, kind, limit, after)

    def step(self, run_id: str, step_id: str) -> Step:
        """One step as it is now. Raises NotFound."""
        return self._store.step(run_id, step_id)

    def edges(self, run_id: str) -> list[EdgeRow]:
        """All dependencies between a run's steps."""
        return self._store.edges(run_id)

    def result(self, run_id: str, step_id: str) -> StepResult:
        """What an ended step left behind. Raises RefusedByState while it has not ended."""
        return self._store.result(run_id, step_id)

    def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        """The run's events with a larger number than `after`."""
        return self._queries.events(run_id, after, limit)

    def events_since(self, cursor: str = BEGINNING, limit: int = 1_000) -> EventPage:
        """The events of all runs after `cursor`, and the next cursor: `.events`, `.cursor`.

        Events come in the order of their commits, each exactly once, even while others commit;
        there are none if all have been read. A cursor is text, which the caller keeps; begin with
        "beginning" or "now". The store keeps this order from the first call on; earlier events come
        first, run by run. Raises InvalidInput if `cursor` is not one of this store.
        """
        return self._queries.events_since(cursor, limit)

    def last_event(
        self, run_id: str, type: EventType | str, step_id: str | None = None
    ) -> Event | None:
        """The newest event of a type, of the run or of one of its steps; None if there is none.

        Raises NotFound if there is no such run or step.
        """
        return self._queries.last_event(run_id, type, step_id)

    def records(self, package: str, collection: str) -> dict[str, Any]:
        """The values of a package's collection by key."""
        return {record.key: record.value for record in self._store.records(package, collection)}

    def record(self, package: str, collection: str, key: str) -> Record:
        """One record, with the step that wrote it and when. Raises NotFound."""
        return self._queries.record(package, collection, key)

    def collections(self, package: str) -> dict[str, int]:
        """The collections of a package, each with its number of records."""
        return self._store.collections(package)

    def artifacts(self, run_id: str, step_id: str | None = None) -> list[ArtifactRef]:
        """Artifacts of a run, or of one of its steps."""
        return self._store.artifacts(run_id, step_id)

    def artifact(self, artifact_id: str) -> ArtifactRef:
        """One artifact, without its bytes. Raises NotFound."""
        return self._store.artifact(artifact_id)[0]

    def open_artifact(self, artifact_id: str) -> BinaryIO:
        """A stream of an artifact's bytes, checked against their digest; the caller closes it.

        Raises NotFound, and CorruptData if the bytes do not match.
        """
        return self._queries.open_artifact(artifact_id)

    def projection(self, name: str) -> Projection:
        """A projection database by name."""
        return self._parts.projections.projection(name)

    def queues(self) -> list[QueueStatus]:
        """All queues, with their limits and their numbers of steps."""
        return self._store.queues()

    def workers(self) -> list[WorkerRow]:
        """Workers that have not stopped."""
        return self._store.workers()

    def verify(self, most: int = MOST_SHOWN) -> Verification:
        """Check everything that must hold in the store, and the bytes of its artifacts.

        Others may go on working: this reads the store as it is at one moment. It lists the first
        `most` violations of each check, and counts the others. Raises StoreError if the store
        cannot be read at all.
        """
        return self._queries.verify(most)

    def status(self) -> EngineStatus:
        """The store at a glance."""
        return self._store.status()

    # --- messages and values --------------------------------------------------------------

    def send(self, run_id: str, topic: str, payload: Any, *, key: str | None = None) -> bool:
        """Send a message to a run, durable on return; False if its `key` was sent before.

        A step that waits on the topic goes on. Raises NotFound if there is no such run,
        RefusedByState if it has ended, and InvalidInput for an invalid topic or payload.
        """
        return self._messaging.send(run_id, topic, payload, key)

    def messages(self, run_id: str, topic: str | None = None) -> list[Message]:
        """A run's messages in the order they were sent, each with the step that received it.

        Raises NotFound.
        """
        return self._store.messages(run_id, topic)

    def get_value(self, run_id: str, key: str, default: Any = None) -> Any:
        """The last value that a run set for `key`, or `default`.

        Raises NotFound if there is no such run.
        """
        found = self._store.values(run_id, key, 1)
        return found[-1].value if found else default

    def wait_for_value(self, run_id: str, key: str, timeout: Duration | None = None) -> Any:
        """The last value that a run set for `key`; waits until there is one.

        Raises WaitTimeout after `timeout` (None: never), and NotFound if there is no such
        run.
        """
        return self._messaging.wait_for_value(run_id, key, timeout)

    def value_history(self, run_id: str, key: str) -> list[ValueEntry]:
        """All values that a run set for `key`, oldest first.

        Raises NotFound if there is no such run.
        """
        return self._store.values(run_id, key)

    def last_values(self, run_id: str) -> list[ValueEntry]:
        """The last value of each key that a run set, by key.

        Raises NotFound if there is no such run.
        """
        return self._store.last_values(run_id)

    def checkpoint(self, run_id: str, step_id: str) -> Checkpoint:
        """What a step has recorded so far.

        Raises NotFound if there is no such step, or it has recorded nothing.
        """
        self._store.step(run_id, step_id)
        return load(self.checkpointer, execution_id(run_id, step_id))

    @property
    def checkpointer(self) -> Checkpointer:
        """Keeps what steps record; the id of an execution is `<run id>/<step id>`."""
        elsewhere = self._parts.checkpoints
        return self._store.checkpointer() if elsewhere is None else elsewhere

    # --- operators ------------------------------------------------------------------------

    def retry_step(
        self,
        run_id: str,
        step_id: str,
        *,
        by: str = "operator",
        reason: str = "",
        **anew: Unpack[RetryOptions],
    ) -> int:
        """Run a failed or canceled step again, with what its end canceled; returns how many.

        See `retry_run` for the rest.
        """
        by_whom = operator(by, reason)
        return self._workers.acted(
            self._store.retry_step(run_id, step_id, by_whom, reopening(anew))
        )

    def retry_run(
        self,
        run_id: str,
        *,
        by: str = "operator",
        reason: str = "",
        **anew: Unpack[RetryOptions],
    ) -> int:
        """Run a run's failed steps and what they canceled again; returns how many.

        Its timeout counts anew. Raises RefusedByState if its deadline has passed and no new one is
        given, Conflict if another run holds its dedup key meanwhile.
        """
        by_whom = operator(by, reason)
        return self._workers.acted(self._store.retry_run(run_id, by_whom, reopening(anew)))

    def cancel_run(self, run_id: str, *, by: str = "operator", reason: str = "") -> int:
        """Cancel a run and the runs it started; returns how many steps were canceled.

        Running steps see `step.cancelled`; what they still produce is refused.
        """
        return self._operating.cancel_run(run_id, operator(by, reason))

    def pause_run(self, run_id: str, *, by: str = "operator", reason: str = "") -> int:
        """Hold all steps of a run, and freeze its waits; returns how many steps are held.

        Held steps are not claimed; running ones go on to their end.
        """
        return self._workers.acted(self._store.pause_run(run_id, operator(by, reason)))

    def resume_run(self, run_id: str, *, by: str = "operator", reason: str = "") -> int:
        """Undo `pause_run`; returns how many steps are ready.

        Waits go on with the time that was left.
        """
        return self._workers.acted(self._store.resume_run(run_id, operator(by, reason)))

    def hold_step(
        self, run_id: str, step_id: str, *, by: str = "operator", reason: str = ""
    ) -> None:
        """Hold one step, as `pause_run` holds all; it must be pending, ready or waiting."""
        self._store.hold_step(run_id, step_id, operator(by, reason))
        self._workers.acted(1)

    def release_step(
        self, run_id: str, step_id: str, *, by: str = "operator", reason: str = ""
    ) -> None:
        """Undo `hold_step`."""
        self._store.release_step(run_id, step_id, operator(by, reason))
        self._workers.acted(1)

    def approve(
        self, run_id: str, step_id: str | None = None, *, by: str = "operator", comment: str = ""
    ) -> str:
        """Approve what a step waits for; returns the id of the step.

        `step_id` None means the only step that waits. Raises Conflict if it was answered before,
        RefusedByState if no step waits, and InvalidInput if several do.
        """
        return self._operating.decide(run_id, step_id, True, operator(by, comment, "comment"))

    def reject(
        self, run_id: str, step_id: str | None = None, *, by: str = "operator", comment: str = ""
    ) -> str:
        """Reject what a step waits for; otherwise this is like `approve`."""
        return self._operating.decide(run_id, step_id, False, operator(by, comment, "comment"))

    # --- asyncio --------------------------------------------------------------------------

    @property
    def aio(self) -> AioRuntime:
        """The same for asyncio: `await runtime.aio.start_run(…)`. A wait takes no thread."""
        if self._aio is not None:
            return self._aio
        self._closing.check_open()
        bridge = engine.aio_bridge.made(self._store, self._run_ends, self._parts.clock.monotonic)
        made: AioRuntime = vars(self).setdefault("_aio", AioRuntime(self, bridge))
        if made.bridge is bridge:  # else another thread was faster
            self._closing.at_first(bridge.close)
        return made

    # --- the end --------------------------------------------------------------------------

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop background workers and close the store. Closing twice does nothing."""
        self._closing.close()


class AioRuntime:
    """The methods of a `Runtime`, awaitable, for any number of tasks and event loops.

    A call is made in one of a few threads, and a wait takes none, however many tasks wait.
    Canceling a task is safe: the run that it waits for goes on; a call that has begun goes on too,
    and may take effect. Closing the runtime ends the waits with RuntimeClosed.

    Methods that work in the caller's thread, or wait in it for a change, are not here.
    """

    def __init__(self, runtime: Runtime, bridge: Bridge) -> None:
        self.behind = runtime
        self.bridge = bridge

    @overload
    async def start_run(
        self,
        package: TypedWorkflow[Coroutine[Any, Any, R]],
        input: Any = None,
        **options: Unpack[StartOptions],
    ) -> RunHandle[R]: ...
    @overload
    async def start_run(
        self, package: TypedWorkflow[R], input: Any = None, **options: Unpack[StartOptions]
    ) -> RunHandle[R]: ...
    @overload
    async def start_run(
        self, package: str | Package, input: Any = None, **options: Unpack[StartOptions]
    ) -> RunHandle[Any]: ...
    async def start_run(self, *given: Any, **options: Any) -> RunHandle[Any]:
        """See `Runtime.start_run`. The handle's `aio` has its methods, awaitable."""
        return await self.bridge.call(self.behind.start_run, *given, **options)

    @overload
    async def handle(
        self, run_id: str, of: TypedWorkflow[Coroutine[Any, Any, R]]
    ) -> RunHandle[R]: ...
    @overload
    async def handle(self, run_id: str, of: TypedWorkflow[R]) -> RunHandle[R]: ...
    @overload
    async def handle(self, run_id: str, of: None = None) -> RunHandle[Any]: ...
    async def handle(self, *given: Any, **options: Any) -> RunHandle[Any]:
        """See `Runtime.handle`."""
        return await self.bridge.call(self.behind.handle, *given, **options)

    trigger = Awaitable(Runtime.trigger)

    async def wait(self, run_id: str, timeout: Duration | None = None) -> Run:
        """See `Runtime.wait`."""
        return await self.bridge.finished(run_id, timeout, lambda: self._if_ended(run_id))

    def _if_ended(self, run_id: str) -> tuple[Run] | None:
        run = self.behind.run(run_id)
        return (run,) if run.status.ended else None

    async def close(self) -> None:
        """Close the runtime, as `Runtime.close`."""
        await self.bridge.call(self.behind.close)

    # --- looking --------------------------------------------------------------------------

    run = Awaitable(Runtime.run)
    runs = Awaitable(Runtime.runs)
    progress = Awaitable(Runtime.progress)
    steps = Awaitable(Runtime.steps)
    step = Awaitable(Runtime.step)
    edges = Awaitable(Runtime.edges)
    result = Awaitable(Runtime.result)
    events = Awaitable(Runtime.events)
    events_since = Awaitable(Runtime.events_since)
    change_mark = Awaitable(Runtime.change_mark)
    last_event = Awaitable(Runtime.last_event)
    records = Awaitable(Runtime.records)
    record = Awaitable(Runtime.record)
    collections = Awaitable(Runtime.collections)
    artifacts = Awaitable(Runtime.artifacts)
    artifact = Awaitable(Runtime.artifact)
    open_artifact = Awaitable(Runtime.open_artifact)
    queues = Awaitable(Runtime.queues)
    workers = Awaitable(Runtime.workers)
    verify = Awaitable(Runtime.verify)
    status = Awaitable(Runtime.status)

    # --- messages and values ----------------------------------------------------------------

    send = Awaitable(Runtime.send)
    messages = Awaitable(Runtime.messages)
    get_value = Awaitable(Runtime.get_value)
    value_history = Awaitable(Runtime.value_history)
    last_values = Awaitable(Runtime.last_values)
    checkpoint = Awaitable(Runtime.checkpoint)

    # --- operators ------------------------------------------------------------------------

    retry_step = Awaitable(Runtime.retry_step)
    retry_run = Awaitable(Runtime.retry_run)
    cancel_run = Awaitable(Runtime.cancel_run)
    pause_run = Awaitable(Runtime.pause_run)
    resume_run = Awaitable(Runtime.resume_run)
    hold_step = Awaitable(Runtime.hold_step)
    release_step = Awaitable(Runtime.release_step)
    approve = Awaitable(Runtime.approve)
    reject = Awaitable(Runtime.reject)
