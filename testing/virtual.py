"""A runtime for tests: in memory, in the caller's thread, and in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any

from stepwell.composition import connect
from stepwell.engine.checkpoints.checkpoint import Operation
from stepwell.engine.clock import VirtualClock
from stepwell.engine.crash_points import Stage
from stepwell.engine.durable.durable import Rest
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.replay import Request
from stepwell.engine.duration_checks import patience
from stepwell.engine.durations import Duration
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.model import Run, Step, StepWait
from stepwell.engine.package import Package
from stepwell.engine.ports import Task
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.services import DurableServices
from stepwell.engine.settings import Settings
from stepwell.engine.states import StepStatus
from stepwell.engine.step.execution import Execution
from stepwell.engine.worker.pool_spec import PoolParts
from stepwell.engine.worker.worker import Worker
from stepwell.executors.pools.attempt import Deliver, attempt
from stepwell.executors.pools.inline import InlinePool

# Called with each point that the work reaches; what it raises ends the work there.
Reach = Callable[[str], object]

# Kinds of waits that can be ended from outside the run.
FROM_OUTSIDE = ("message", "approval", "value")
_TICK = timedelta(microseconds=1)


def virtual_runtime(
    *packages: Package,
    clock: VirtualClock | None = None,
    reach: Reach | None = None,
    **options: Any,
) -> VirtualRuntime:
    """A runtime with these packages, in memory, that works in virtual time.

    `options` are those of `connect()`: `app`, `settings`, `queues`, … `reach` is called with each
    crash point.
    """
    options = {"store_url": "memory://", **options}
    packages = (*packages, *options.pop("packages", ()))
    composed = connect(clock=clock or VirtualClock(), **options)
    try:
        runtime = VirtualRuntime(composed.internals.parts, reach)
        for package in packages:
            runtime.register_package(package)
    except BaseException:
        composed.close()
        raise
    return runtime


class VirtualRuntime(Runtime):
    """A runtime whose `drain()` advances the clock to what is due next, so that no wait takes time.

    All steps run in the caller's thread, one after the other, whatever their pool.
    """

    def __init__(self, parts: RuntimeParts, reach: Reach | None = None) -> None:
        def make(pool: PoolParts) -> VirtualPool:
            return VirtualPool(pool.size, pool.deliver, self.clock, reach)

        super().__init__(
            replace(parts, find_pool=lambda name: replace(parts.find_pool(name), make=make))
        )

    @property
    def clock(self) -> VirtualClock:
        """The clock of this runtime: `runtime.clock.advance(timedelta(hours=1))`."""
        clock = self.internals.parts.clock
        assert isinstance(clock, VirtualClock)
        return clock

    def work(self) -> list[Step]:
        """Work until nothing is ready, without moving the clock; returns all waiting steps."""
        with self._at_work() as worker:
            _work_off(worker)
        runs = self.runs(limit=1_000_000)
        return [
            step for run in runs if not run.status.ended for step in self._waiting_steps(run.id)
        ]

    def drain(
        self,
        run_id: str | None = None,
        timeout: Duration | None = None,
        during: Callable[[], object] | None = None,
    ) -> None:
        """Work until the run has ended, or all runs cannot continue by themselves.

        When nothing is ready, the clock moves to the next retry, timer or deadline; before that,
        calls `during()` if a step waits for something from outside. Raises WaitTimeout for a run
        that nothing will wake, and after `timeout` of virtual time.
        """
        timeout = patience(timeout)
        last = None if timeout is None else self.clock.monotonic() + timeout
        with self._at_work() as worker:
            while True:
                _work_off(worker)
                if self._has_ended(run_id):
                    return
                if during is not None and run_id is not None and self._waits_for_others(run_id):
                    during()
                    if _work_off(worker) or self._has_ended(run_id):
                        continue
                due = worker.due_in()
                if due == inf:
                    if run_id is None:
                        return
                    raise WaitTimeout(self._stuck(run_id))
                if last is not None and self.clock.monotonic() + due > last:
                    what = "the work" if run_id is None else f"run {run_id!r}"
                    raise WaitTimeout(f"{what} did not end within {timeout:g} s of virtual time")
                self.clock.advance(max(timedelta(seconds=due), _TICK))
                worker.wake()

    def wait(
        self,
        run_id: str,
        timeout: Duration | None = None,
        *,
        poll: Duration | None = None,  # noqa: ARG002  # nothing is waited for
    ) -> Run:
        """Work until the run has ended, since no other worker does."""
        self.drain(run_id, timeout)
        return self.run(run_id)

    def _waiting_steps(self, run_id: str) -> list[Step]:
        return self.steps(run_id, status=StepStatus.WAITING)

    def _waits_for_others(self, run_id: str) -> bool:
        waits = [step.wait for step in self._waiting_steps(run_id)]
        return any(
            wait is None or any(one.kind in FROM_OUTSIDE for one in (wait, *wait.waits))
            for wait in waits
        )

    def _has_ended(self, run_id: str | None) -> bool:
        return run_id is not None and self.run(run_id).status.ended

    def _stuck(self, run_id: str) -> str:
        """Why a run cannot continue."""
        reasons = [text for step in self.steps(run_id) if (text := self._why_idle(step))]
        return f"run {run_id!r} goes no further by itself: {'; '.join(reasons) or 'it is paused'}"

    def _why_idle(self, step: Step) -> str | None:
        name = f"step {step.id!r}"
        if step.status is StepStatus.WAITING:
            return f"{name} waits for {_what(step.wait)}"
        if step.held or step.status is StepStatus.HELD:
            return f"{name} is held back; resume the run, or release the step"
        if step.status is not StepStatus.READY:
            return None
        if step.kind not in self.kinds:
            return f"{name} is ready, and nothing here runs its kind {step.kind!r}"
        return f"{name} is ready, and its queue {step.queue!r} lets nothing through here"

    @contextmanager
    def _at_work(self) -> Iterator[Worker]:
        with self.internals.working.worker() as worker:
            try:
                yield worker
            finally:  # end the worker without its loop, which would wait in real time
                worker.stop(0)
                worker.run()


class VirtualPool(InlinePool):
    """Runs steps in the submitting thread, and lets their waits pass in virtual time."""

    def __init__(
        self, size: int, deliver: Deliver, clock: VirtualClock, reach: Reach | None
    ) -> None:
        super().__init__(size, deliver)
        self._clock = clock
        self._reach = reach or nowhere

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            step = f"step {task.step.id!r}"
            self._reach(Stage.BODY_BEGINS.of(step))
            if isinstance(task, Execution):
                task.context.internals.make_journal = partial(
                    VirtualJournal, clock=self._clock, reach=self._reach
                )
            attempt(task, self._deliver)
            self._reach(Stage.BODY_ENDED.of(step))


class VirtualJournal(Journal):
    """A journal that rests by moving the clock, and reports each operation."""

    def __init__(
        self,
        claimed: ClaimedStep,
        execution_id: str,
        services: DurableServices,
        settings: Settings,
        rest: Rest,
        *,
        clock: VirtualClock,
        reach: Reach,
    ) -> None:
        def pass_time(seconds: float) -> bool:
            if seconds > 0 and not rest(0):
                clock.advance(timedelta(seconds=seconds))
            clock.monotonic()  # raises Crashed in a dead process
            return rest(0)

        super().__init__(claimed, execution_id, services, settings, pass_time)
        self.clock = clock
        self._reach = reach

    def _of(self, operation: Request | Operation) -> str:
        return f"operation {operation.id!r} of step {self.claimed.id!r}"

    def recorded(self, request: Request) -> Operation | None:
        found = super().recorded(request)
        if found is None:
            self._reach(Stage.OPERATION_BEGINS.of(self._of(request)))
        return found

    def keep(self, operation: Operation, *, decision: bool = False) -> None:
        if operation.error is not None:
            self._reach(Stage.OPERATION_FAILED.of(self._of(operation)))
        elif operation.kind != "do":
            self._reach(Stage.OPERATION_OVER.of(self._of(operation)))
        super().keep(operation, decision=decision)

    def save(self, operation: Operation) -> None:
        self._reach(Stage.OPERATION_DONE.of(self._of(operation)))
        super().save(operation)
        self._reach(Stage.OPERATION_RECORDED.of(self._of(operation)))


def _work_off(worker: Worker) -> bool:
    """Work until nothing is ready; returns whether anything was."""
    worker.wake()
    cycles = 0
    while worker.cycle():
        cycles += 1
    return cycles > 1  # after `wake`, the first one always looks


def nowhere(point: str) -> None:
    """Ignore the point."""


def _what(wait: StepWait | None) -> str:
    if wait is None:
        return "something"
    if wait.waits:
        mode = "the first of: " if wait.kind == "any" else "all of: "
        return mode + ", ".join(map(_what, wait.waits))
    if wait.kind == "value" and wait.value is not None:
        return f"value {wait.value[1]!r} of run {wait.value[0]!r}"
    return {
        "message": f"a message on topic {wait.topic!r}",
        "approval": "an approval",
        "run": f"the end of run {wait.run_id!r}",
    }.get(wait.kind, f"the end of its {wait.kind}")
