"""The runtime: what programs use to start runs, work on them, and look at them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar, Unpack, overload

from stepwell.engine.errors import Conflict, RuntimeClosed, StoreError, WaitTimeout
from stepwell.engine.events import EventType, Observer, check_types
from stepwell.engine.exchange import NewRun
from stepwell.engine.ids import check_id, new_run_id, new_worker_id
from stepwell.engine.model import CycleResult, Queue, Run
from stepwell.engine.package import Package, TypedWorkflow, check_executor
from stepwell.engine.ports import Executor
from stepwell.engine.queue_rules import check_queue
from stepwell.engine.runtime.change_signal import ChangeSignal
from stepwell.engine.runtime.internals import Internals, services_of
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.messaging import Messaging
from stepwell.engine.runtime.operators import Operating
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.queries import Queries
from stepwell.engine.runtime.run_ends import RunEnds
from stepwell.engine.runtime.run_factory import RunFactory, StartOptions, labels_of, target_of
from stepwell.engine.runtime.run_handle import RunHandle
from stepwell.engine.settings import Settings
from stepwell.engine.states import RunStatus
from stepwell.engine.worker.parts import WorkerParts
from stepwell.engine.worker.worker import Worker

R = TypeVar("R")

WAIT_EAGER, WAIT_IDLE = 0.001, 0.02
WAIT_TOLD = 0.005  # with a worker here, which tells of the runs that it ends


class Runtime(Queries, Messaging, Operating):
    """A store with packages, and everything that can be done with them.

    Made by `connect()`; use it as a context manager, or call `close()`. Safe for many threads.
    """

    def __init__(self, parts: RuntimeParts) -> None:
        workers, run_ends = LocalWorkers(), RunEnds()
        changes = ChangeSignal(parts.store.version, parts.clock.monotonic)
        Queries.__init__(self, parts.store, parts.artifacts, parts.projections, changes)
        Messaging.__init__(
            self, parts.store, parts.checkpoints, parts.settings, parts.clock, workers
        )
        Operating.__init__(self, parts.store, workers, run_ends)
        self.home = parts.home
        self._parts = parts
        self._packages: dict[str, Package] = {}
        self._factory = RunFactory(parts.catalog, self._packages, parts.settings)
        # For those who test: no part of the public API.
        self.internals = Internals(parts, services_of(parts, self._factory, self.kv))
        self._closed = False

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what is registered ---------------------------------------------------------------

    def register_package(self, package: Package, *, replace: bool = False) -> None:
        """Make a package known here; `replace` gives it the place of the one that has its name.

        Raises InvalidPackage when it is declared wrongly, or a name is taken.
        """
        self._parts.catalog.add_package(package, replace=replace)
        self._packages[package.name] = package
        self._store.define_queues(package.queues)

    def register_executor(self, executor: Executor) -> None:
        """Make one more executor known, outside of any package."""
        check_executor(executor)
        self._parts.catalog.register(executor)

    def define_queue(self, queue: Queue) -> None:
        """Declare a queue and store its limits."""
        check_queue(queue)
        self._parts.catalog.define_queue(queue)
        self._store.define_queues([queue])

    @property
    def packages(self) -> Mapping[str, Package]:
        """The registered packages by name."""
        return dict(self._packages)

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds this process can run."""
        return self._parts.catalog.kinds()

    def observe(
        self, observer: Observer, types: Iterable[EventType | str] | None = None
    ) -> Callable[[], None]:
        """Call `observer` with every event of this process; returns how to stop that.

        With `types` only with those; what nobody wants to know of is not read back for it. Raises
        InvalidInput for a type that there is not, with the nearest one.
        """
        wanted = check_types(types)
        return self._parts.observers.subscribe(observer, wanted.__contains__)

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
        """Build a run's first graph and store it; on return it is durable.

        `package` is one, its name, or a workflow. Raises InvalidInput or NotFound naming what is
        wrong, Conflict when `run_id` is taken; then nothing was stored.
        """
        self._check_open()
        labels = labels_of(options)
        run_id = options.get("run_id")
        if run_id is None:
            run_id = new_run_id(self._parts.clock.micros())
        check_id(run_id, "run_id")
        name, entrypoint = target_of(package, options.get("entrypoint"))
        new = self._factory.build(name, input, entrypoint, run_id, labels)
        return self._handle(self._create(new))

    @overload
    def handle(self, run_id: str, of: TypedWorkflow[Coroutine[Any, Any, R]]) -> RunHandle[R]: ...
    @overload
    def handle(self, run_id: str, of: TypedWorkflow[R]) -> RunHandle[R]: ...
    @overload
    def handle(self, run_id: str, of: None = None) -> RunHandle[Any]: ...
    def handle(self, run_id: str, of: Any = None) -> RunHandle[Any]:
        """The handle of a run that was started before, here or elsewhere. Raises NotFound.

        `of` is its workflow, for a typed result; a run of anything else raises Conflict.
        """
        run = self._store.run(run_id)
        if of is not None and (run.package, run.entrypoint) != target_of(of, None):
            raise Conflict(
                f"run {run_id!r} is of {run.package}/{run.entrypoint}, not of {of.name!r}"
            )
        return self._handle(run)

    def _create(self, new: NewRun) -> Run:
        """Store a run; an idle worker here claims of it at once, and the others are woken."""
        workers = tuple(self._workers)
        run = next(filter(None, (worker.start_run(new) for worker in workers)), None)
        if run is None:
            run = self._store.create_run(new)
        elif len(workers) == 1:
            return run
        self._workers.acted(1)
        return run

    def _handle(self, run: Run) -> RunHandle[Any]:
        workflow = self._factory.workflow(run)
        of = None if workflow is None else workflow.signature.result
        return RunHandle(self, run, workflow.name if workflow else None, of)

    # --- working --------------------------------------------------------------------------

    def run_once(self) -> CycleResult:
        """Claim once, run everything claimed to its end and settle it, in this thread."""
        with self._worker(None) as worker:
            return worker.run_once()

    def drain(self, run_id: str | None = None, timeout: float | None = None) -> None:
        """Work in this thread until the run has ended, or until there is nothing left to do.

        Steps of other runs are worked on too. Raises WaitTimeout after `timeout` seconds.
        """
        if run_id is not None:
            self.run(run_id)
        monotonic = self._parts.clock.monotonic
        deadline = None if timeout is None else monotonic() + timeout
        timed_out = False
        with self._worker(None) as worker:
            seen, looked_at = -1, 0.0

            def until() -> bool:
                nonlocal seen, looked_at, timed_out
                now = monotonic()
                timed_out = deadline is not None and now >= deadline
                if run_id is None:
                    return timed_out or worker.is_idle()
                # It ends here, which is told, or in another process, which is looked for.
                if seen != self._run_ends.count or now - looked_at >= WAIT_IDLE:
                    seen, looked_at = self._run_ends.count, now
                    if RunStatus(self._store.run_status(run_id) or "failed").ended:
                        return True
                return timed_out

            worker.run(until)
        if timed_out and (run_id is None or not self.run(run_id).status.ended):
            what = "the work" if run_id is None else f"run {run_id!r}"
            raise WaitTimeout(f"{what} did not end within {timeout:g} s")

    def start_workers(
        self,
        max_cycles: int | None = None,
        poll_interval: float | None = None,
        stop: threading.Event | None = None,
        queues: Sequence[str] | None = None,
        labels: Sequence[str] = (),
    ) -> None:
        """Work in this thread until `stop` is set, or for `max_cycles` cycles.

        `queues` None means all; `labels` open those queues that ask for them. A store out of
        reach is waited for. On stopping, running steps finish within the grace period.
        """
        with self._worker(queues, labels, poll_interval) as worker:
            worker.run(max_cycles=max_cycles, stop=stop, patient=True)

    def stop_workers(self, grace: float | None = None) -> int:
        """Tell all workers of this runtime to stop, as `Worker.stop()`; returns how many.

        Does not wait for them, and may be called from a signal handler.
        """
        workers = tuple(self._workers)
        for worker in workers:
            worker.stop(grace)
        return len(workers)

    @contextmanager
    def worker(
        self,
        queues: Sequence[str] | None = None,
        grace: float | None = None,
        labels: Sequence[str] = (),
    ) -> Iterator[Worker]:
        """A worker in a background thread for the time of the `with` block.

        `queues` and `labels` as for `start_workers`. At the end running steps finish within
        `grace` seconds (None: the setting's).
        """
        failures: list[BaseException] = []
        with self._worker(queues, labels) as worker:

            def work() -> None:
                try:
                    worker.run(patient=True)
                except RuntimeClosed as error:
                    if not self._closed:  # else that is why it stopped
                        failures.append(error)
                except BaseException as error:
                    failures.append(error)

            thread = threading.Thread(target=work, name="stepwell-worker", daemon=True)
            thread.start()
            try:
                yield worker
            finally:
                worker.stop(grace)
                thread.join()
        if failures:
            raise failures[0]

    @contextmanager
    def _worker(
        self,
        queues: Sequence[str] | None,
        labels: Sequence[str] = (),
        poll_interval: float | None = None,
    ) -> Iterator[Worker]:
        self._check_open()
        with suppress(StoreError):  # a patient worker waits for its store, another one fails on it
            self._store.check_queues(queues)
        parts, settings = self._parts, self.settings
        if poll_interval is not None:
            settings = Settings.of({**settings.as_dict(), "poll_interval": poll_interval})
        worker = parts.make_worker(
            new_worker_id(),
            WorkerParts(
                store=self._store,
                services=self.internals.services,
                settings=settings,
                clock=parts.clock,
                observers=parts.observers,
                find_pool=parts.find_pool,
                on_ended=self._run_ends.tell,
                duties=parts.duties,
                version=parts.version,
            ),
            None if queues is None else tuple(queues),
            tuple(labels),
        )
        self._workers.append(worker)
        try:
            yield worker
        finally:
            self._workers.remove(worker)

    def wait(self, run_id: str, timeout: float | None = None) -> Run:
        """The run, once it has ended, whoever does the work.

        Raises WaitTimeout after `timeout` seconds, NotFound without such a run.
        """
        monotonic = self._parts.clock.monotonic
        begun = monotonic()
        told = False
        while True:
            seen = self._run_ends.count
            status = None if told else self._store.run_status(run_id)
            if status is None or RunStatus(status).ended:
                run = self.run(run_id)
                if run.status.ended:  # else it was told of, and retried since
                    return run
            waited = monotonic() - begun
            # The longer it took so far, the less another moment matters.
            pause = max(WAIT_TOLD if self._workers else WAIT_EAGER, min(waited / 20, WAIT_IDLE))
            if timeout is not None:
                if waited >= timeout:
                    raise WaitTimeout(f"run {run_id!r} did not end within {timeout:g} s")
                pause = min(pause, timeout - waited)
            told = self._run_ends.wait(run_id, seen, pause)

    # --- the end --------------------------------------------------------------------------

    def close(self) -> None:
        """Stop background workers and close the store. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as to_close:
            to_close.callback(self._store.close)
            if self._parts.on_close is not None:
                to_close.callback(self._parts.on_close)
            to_close.callback(self._parts.projections.close)
            for worker in tuple(self._workers):
                worker.stop()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeClosed("the runtime is closed; connect() again")
