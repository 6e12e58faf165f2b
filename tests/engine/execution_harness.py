"""A place to try single executions at: a store in memory, a registry, and the services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepwell.engine.checkpoints.checkpoint import Checkpointer
from stepwell.engine.clock import VirtualClock
from stepwell.engine.exchange import ClaimedStep, NewStep, Outcome
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.key_values import KeyValueStore
from stepwell.engine.model import Queue
from stepwell.engine.package import Package
from stepwell.engine.runtime.run_factory import RunFactory
from stepwell.engine.services import DurableServices, Services
from stepwell.engine.settings import Settings
from stepwell.engine.step.context import StepContext
from stepwell.engine.step.execution import Execution
from stepwell.executors.pools.attempt import perform
from stepwell.executors.registry import Registry
from stepwell.stores.artifacts.memory import MemoryArtifactStore
from stepwell.stores.projections.sqlite import SqliteProjectionStore
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import new_step
from stepwell.testing.run_store.case import Bench


class ExecutionHarness:
    """Package `tests` with an entrypoint; kinds are added as a test needs them."""

    def __init__(self, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.store = SqlRunStore.open(SqliteDialect(None, clock=self.clock))
        self.store.define_queues([Queue("default")])
        self.bench = Bench(self.store, self.clock)
        self.package = Package("tests")
        self.package.entrypoint(name="start")(_start)
        self.package.executor("work")(_nothing)
        self.settings = Settings(**settings)
        self.projections = SqliteProjectionStore(None, durability="full", clock=self.clock)
        self.checkpointer: Callable[[ClaimedStep], Checkpointer] | None = None

    def executor(self, function: Any, kind: str = "tried", **options: Any) -> None:
        """Declare what runs steps of `kind`."""
        self.package.executor(kind, **options)(function)

    def services(self) -> Services:
        """What executions share, with all executors declared so far."""
        registry = Registry([self.package])
        factory = RunFactory(registry, registry.packages, self.settings)
        return Services(
            catalog=registry,
            reads=self.store,
            artifacts=MemoryArtifactStore(),
            projections=self.projections,
            settings=self.settings,
            build_run=factory.build,
            app="the app",
            durable=DurableServices(
                checkpointer=self.checkpointer or self.store.checkpointer,
                messages=self.store,
                values=self.store,
                kv=KeyValueStore(self.store),
                clock=self.clock,
                now=self.store.now,
            ),
        )

    def claim(self, *before: NewStep, step: NewStep | None = None, **run: Any) -> ClaimedStep:
        """A step `s` of kind `tried`, claimed in a run with the steps `before`."""
        self.bench.create(*before, step or new_step("s", kind="tried"), **run)
        self.bench.work_off()
        return self.bench.claim_one(kinds=("tried",))

    def context(self, claimed: ClaimedStep | None = None) -> StepContext:
        """The context of a claimed step."""
        return StepContext(claimed or self.claim(), "w1", self.services())

    def execution(self, claimed: ClaimedStep | None = None, **options: Any) -> Execution:
        """An execution of a claimed step."""
        return Execution(claimed or self.claim(), "w1", self.services(), **options)

    def outcome(self, function: Any, **options: Any) -> Outcome:
        """What becomes of a step whose executor is `function`."""
        self.executor(function, **options)
        outcome = perform(self.execution(chance=lambda: 0.0))
        assert outcome is not None
        return outcome

    def close(self) -> None:
        """Give everything back."""
        self.projections.close()
        self.store.close()


def _start(run: RunBuilder) -> None:
    run.step("work")


def _nothing(number: dict[str, int] | None = None) -> None: ...
