"""The engine in a simulated process: the real runtime, worker and store, on fibers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stepwell.composition import connect
from stepwell.engine.durable.durable import Rest
from stepwell.engine.durable.journal import Journal
from stepwell.engine.exchange import ClaimedStep, ClaimRequest, Exchange, Outcome
from stepwell.engine.model import WorkerRow
from stepwell.engine.package import Package
from stepwell.engine.ports import ArtifactStore, ProjectionStore, Task
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.services import DurableServices
from stepwell.engine.settings import Settings
from stepwell.engine.step.execution import Execution
from stepwell.engine.worker.parts import Synchronization, WorkerParts
from stepwell.engine.worker.pool_spec import PoolSpec
from stepwell.engine.worker.worker import Worker
from stepwell.executors.pools.attempt import Deliver, attempt
from stepwell.testing.simulator.faults import drawn_work
from stepwell.testing.simulator.fibers import FiberLock, FiberOutcomeQueue
from stepwell.testing.simulator.world import Process, outcome_tokens


class SimulatedRuntime(Runtime):
    """The runtime of one process. Its worker runs as in production; only its waits use fibers."""

    def __init__(self, parts: RuntimeParts, process: Process) -> None:
        fibers, lease = process.world.fibers, parts.settings.lease

        def find_pool(name: str) -> PoolSpec:
            return replace(
                parts.find_pool(name),
                make=lambda pool: FiberPool(process, name, pool.size, pool.deliver),
            )

        def make_worker(_: str, parts: WorkerParts, *role: Any) -> Worker:
            synchronization = Synchronization(
                make_outcome_queue=lambda: FiberOutcomeQueue(fibers, lease / 6),
                make_turn_lock=lambda: FiberLock(fibers),
                make_read_lock=lambda: FiberLock(fibers),
            )
            return Worker(process.name, replace(parts, synchronization=synchronization), *role)

        super().__init__(replace(parts, find_pool=find_pool, make_worker=make_worker))


class FiberPool:
    """Runs each body in a fiber, as many at a time as there are slots."""

    def __init__(self, process: Process, name: str, size: int, deliver: Deliver) -> None:
        self.size = size
        self._process = process
        self._name = name
        self._deliver = deliver
        self._tasks: deque[Task] = deque()
        self._busy = 0
        self._started = 0

    def submit(self, tasks: Sequence[Task]) -> None:
        self._tasks.extend(tasks)
        for _ in range(min(self.size - self._busy, len(self._tasks))):
            self._busy += 1
            self._started += 1
            self._process.start(f"{self._name}{self._started}", self._work)

    def cancel(self, task: Task) -> None:
        task.cancel()

    def shutdown(self, grace: float) -> None:  # noqa: ARG002  # nobody waits for a fiber
        """Start no more bodies; running ones end like threads, and their outcomes are ignored."""
        self._tasks.clear()

    def _work(self) -> None:
        try:
            while self._tasks:
                task = self._tasks.popleft()
                what = f"step {task.step.id!r}"
                self._process.reach(f"the start of {what}")
                if isinstance(task, Execution):
                    self._adopt(task)
                attempt(task, self._deliver)
                self._process.reach(f"the end of {what}")
        finally:
            self._busy -= 1

    def _adopt(self, task: Execution) -> None:
        """Make the waits of the execution those of a fiber, and its body take time."""
        world, begun = self._process.world, task.on_begin

        def begin(execution: Execution) -> None:
            if begun is not None:
                begun(execution)
            world.nap(drawn_work(world.chance, world.lease))

        task.on_begin = begin
        task.context.internals.make_journal = self._make_journal

    def _make_journal(
        self,
        claimed: ClaimedStep,
        execution_id: str,
        services: DurableServices,
        settings: Settings,
        rest: Rest,
    ) -> Journal:
        """A journal with which a body waits in place while others run."""

        def nap(seconds: float) -> bool:
            if seconds > 0 and not rest(0):
                self._process.world.nap(seconds)
            return rest(0)

        return Journal(claimed, execution_id, services, settings, nap)


class SettlingStore:
    """A process's store, which reports the outcomes it settles, and the start of its worker."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._store = process.store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def exchange(self, settle: Sequence[Outcome], claim: ClaimRequest | None) -> Exchange:
        process = self._process
        process.settling = outcome_tokens(settle)
        try:
            exchanged: Exchange = self._store.exchange(settle, claim)
        finally:
            process.settling = {}
        return exchanged

    def record_worker(self, worker: WorkerRow) -> None:
        self._store.record_worker(worker)
        self._process.is_working = True


class Places:
    """The stores that all processes of a world share besides the database."""

    def __init__(self, artifacts: ArtifactStore, projections: ProjectionStore) -> None:
        self.artifacts = artifacts
        self.projections = projections


def open_runtime(
    process: Process, packages: Sequence[Package], places: Places, settings: Settings, app: Any
) -> SimulatedRuntime:
    """The equivalent of `connect()` when a process starts. Raises StoreError like it."""
    store: Any = SettlingStore(process)
    composed = connect(
        store,
        artifacts=places.artifacts,
        projections=places.projections,
        settings=settings,
        app=app,
        clock=process.clock,
    )
    runtime = SimulatedRuntime(composed.internals.parts, process)
    for package in packages:
        runtime.register_package(package)
    return runtime
