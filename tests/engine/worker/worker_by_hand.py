"""A worker made by hand: its store fails when told to, and its pool runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import StoreError
from stepwell.engine.events import Observers
from stepwell.engine.exchange import Outcome
from stepwell.engine.model import Queue, StepFilter
from stepwell.engine.package import Package
from stepwell.engine.runtime.run_factory import RunFactory
from stepwell.engine.services import Services
from stepwell.engine.settings import Settings
from stepwell.engine.worker.duty import Duty
from stepwell.engine.worker.parts import WorkerParts
from stepwell.engine.worker.pool_spec import PoolParts, PoolSpec
from stepwell.engine.worker.worker import Worker
from stepwell.executors.registry import Registry
from stepwell.stores.artifacts.memory import MemoryArtifactStore
from stepwell.stores.opening import open_run_store
from stepwell.stores.projections.sqlite import SqliteProjectionStore
from stepwell.stores.sql.store import SqlRunStore


class FlakyStore:
    """A store that is out of reach for the next `down` calls of what `fails` names."""

    def __init__(self, store: SqlRunStore) -> None:
        self.inner = store
        self.down = 0
        self.fails: set[str] = {"exchange", "renew", "reap", "next_due", "run_status", "now"}
        self.failed: list[str] = []
        self.on_failure: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in self.fails:
            return found

        def call(*args: Any, **options: Any) -> Any:
            if self.down:
                self.down -= 1
                self.failed.append(name)
                self.on_failure()
                raise StoreError("store fake: the disk is gone")
            return found(*args, **options)

        return call


class IdlePool:
    """Takes steps and never runs them; the test delivers their outcomes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.deliver: Callable[[Any, Outcome], None]
        self.tasks: list[Any] = []
        self.canceled: list[Any] = []

    def made_with(self, parts: PoolParts) -> IdlePool:
        self.deliver = parts.deliver
        return self

    def submit(self, tasks: Sequence[Any]) -> None:
        self.tasks += tasks

    def cancel(self, task: Any) -> None:
        self.canceled.append(task)
        task.cancel()

    def shutdown(self, grace: float) -> None: ...


class Shop:
    """A worker made by hand, on a pool that runs nothing and a clock that stands still."""

    opened: ClassVar[list[Shop]] = []

    def __init__(self, package: Package, *, duties: Sequence[Duty] = (), **settings: Any) -> None:
        self.opened.append(self)
        self.clock = VirtualClock()
        self.store = FlakyStore(open_run_store("memory://", clock=self.clock))
        self.store.fails = {"exchange", "renew", "reap"}
        self.pool = IdlePool(4)
        registry = Registry([package])
        chosen = Settings(**{"threads": 4, **settings})
        factory = RunFactory(registry, registry.packages, chosen)
        store: Any = self.store
        store.define_queues([Queue("default")])
        services = Services(
            catalog=registry,
            reads=store,
            artifacts=MemoryArtifactStore(),
            projections=SqliteProjectionStore(None, durability="full", clock=self.clock),
            settings=chosen,
            build_run=factory.build,
        )
        parts = WorkerParts(
            store=store,
            services=services,
            settings=chosen,
            clock=self.clock,
            observers=Observers(),
            find_pool=lambda name: PoolSpec(name, chosen.threads, self.pool.made_with),
            on_ended=lambda ids: None,
            duties=duties,
        )
        self.worker = Worker("w1", parts)
        self._build = factory.build

    def start(self, kinds: list[str], run_id: str = "r") -> None:
        self.store.create_run(self._build("p", kinds, None, run_id))

    def bodies_that_emitted(self, sizes: Sequence[int]) -> list[tuple[Any, Outcome]]:
        """Steps that were claimed, and their outcomes, with so many new steps each."""
        self.start(["ok"] * len(sizes))
        self.worker.cycle()
        for task, size in zip(self.pool.tasks, sizes, strict=True):
            task.begin()
            for _ in range(size):
                task.context.emit("ok")
        return [(task, task.completed("ok")) for task in self.pool.tasks]

    def cycles(self, task: Any) -> None:
        """Work through virtual time until the task is told to stop."""
        while not task.context.cancelled:
            self.clock.advance(timedelta(milliseconds=30))
            self.worker.cycle()

    def statuses(self) -> list[tuple[str, int]]:
        return [(str(step.status), step.attempt) for step in self.store.steps("r", StepFilter())]
