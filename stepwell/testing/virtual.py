"""A runtime for tests: in memory, in the caller's thread, and in a time that costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from stepwell.connect import connect
from stepwell.engine.checkpoint import Operation
from stepwell.engine.clock import Clock, VirtualClock, to_datetime
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.events import EventType
from stepwell.engine.execution import Execution
from stepwell.engine.journal import Journal
from stepwell.engine.model import Run, Step
from stepwell.engine.package import Package
from stepwell.engine.ports import Task
from stepwell.engine.replay import Request
from stepwell.engine.runtime import Runtime, RuntimeParts
from stepwell.engine.services import Services
from stepwell.engine.states import StepStatus
from stepwell.engine.worker import Worker
from stepwell.executors.pools.attempt import Deliver, attempt
from stepwell.executors.pools.inline import InlinePool

# Told each point that the work gets to; what it raises ends the work there.
Reach = Callable[[str], object]

_TICK = timedelta(microseconds=1)


def virtual_runtime(
    *packages: Package, clock: VirtualClock | None = None, reach: Reach | None = None, **options: Any
) -> VirtualRuntime:
    """A runtime with these packages, in memory, that works in virtual time.

    `options` are those of `connect()`: `app`, `settings`, `queues`, … `reach` is told each point.
    """
    options = {"store_url": "memory://", **options}
    composed = connect(clock=clock or VirtualClock(), **options)
    try:
        runtime = VirtualRuntime(composed._parts, reach)
        for package in packages:
            runtime.register_package(package)
    except BaseException:
        composed.close()
        raise
    return runtime


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a step waits for; `until` is when its time is up, if it ever is."""

    step_id: str
    kind: str
    what: str
    until: datetime | None

    def __str__(self) -> str:
        end = "" if self.until is None else f" until {self.until:%Y-%m-%d %H:%M:%S}Z"
        return f"step {self.step_id!r} waits for {self.what}{end}"


class VirtualRuntime(Runtime):
    """A runtime whose `drain()` moves the clock to what is due next, so that no wait takes time.

    All steps run in the caller's thread, one after the other, whatever pool they ask for.
    """

    def __init__(self, parts: RuntimeParts, reach: Reach | None = None) -> None:
        def make_pool(name: str, size: int, deliver: Deliver, *_: Services | str | Clock) -> Any:
            return VirtualPool(size, deliver, self.clock, reach)

        super().__init__(replace(parts, make_pool=make_pool))

    @property
    def clock(self) -> VirtualClock:
        """The time of this runtime: `runtime.clock.advance(timedelta(hours=1))`."""
        clock = self._parts.clock
        assert isinstance(clock, VirtualClock)
        return clock

    def work(self) -> list[Waiting]:
        """Work until nothing is ready; the clock stays. Returns what steps of open runs wait for."""
        with self._at_work() as worker:
            _work_off(worker)
        return [wait for run in self.runs(limit=1_000) for wait in self.waits(run.id)]

    def drain(
        self,
        run_id: str | None = None,
        timeout: float | None = None,
        during: Callable[[], object] | None = None,
    ) -> None:
        """Work until the run has ended, or all runs as far as they get by themselves.

        When nothing is ready the clock moves to the next retry, timer or deadline; before it
        does, and a step waits for something from outside, `during()` is called. Raises
        WaitTimeout for a run that nothing will wake, and after `timeout` seconds of this time.
        """
        last = None if timeout is None else self.clock.monotonic() + timeout
        with self._at_work() as worker:
            while True:
                _work_off(worker)
                if self._has_ended(run_id):
                    return
                if during is not None and run_id is not None and self._waits_for_others(run_id):
                    during()
                    if _work_off(worker):
                        continue
                due = worker._due_in()
                if due is None:
                    if run_id is None:
                        return
                    raise WaitTimeout(self._stuck(run_id))
                if last is not None and self.clock.monotonic() + due > last:
                    what = "the work" if run_id is None else f"run {run_id!r}"
                    raise WaitTimeout(f"{what} did not end within {timeout:g} s of virtual time")
                self.clock.advance(max(timedelta(seconds=due), _TICK))
                worker.wake()

    def wait(self, run_id: str, timeout: float | None = None) -> Run:
        """Work until the run has ended, as nobody else will."""
        self.drain(run_id, timeout)
        return self.run(run_id)

    def waits(self, run_id: str) -> list[Waiting]:
        """What the waiting steps of a run wait for. Raises NotFound."""
        ids = [step.id for step in self.steps(run_id, status=StepStatus.WAITING)]
        if not ids:
            return []
        told = {
            event.step_id: event.data
            for event in self.events(run_id)
            if event.type == EventType.STEP_WAITING
        }
        return [_waiting(step_id, told.get(step_id) or {}) for step_id in ids]

    def _waits_for_others(self, run_id: str) -> bool:
        return any(wait.kind in ("message", "approval", "value") for wait in self.waits(run_id))

    def _has_ended(self, run_id: str | None) -> bool:
        return run_id is not None and self.run(run_id).status.ended

    def _stuck(self, run_id: str) -> str:
        """Why a run goes no further."""
        reasons = [str(wait) for wait in self.waits(run_id)]
        for step in self.steps(run_id):
            if step.status in (StepStatus.READY, StepStatus.HELD):
                reasons.append(self._idle(step))
        return f"run {run_id!r} goes no further by itself: {'; '.join(reasons) or 'it is paused'}"

    def _idle(self, step: Step) -> str:
        if step.status is StepStatus.HELD:
            return f"step {step.id!r} is held back; resume the run, or release the step"
        if step.kind not in self.kinds:
            return f"step {step.id!r} is ready, and nothing here runs its kind {step.kind!r}"
        return f"step {step.id!r} is ready, and its queue {step.queue!r} lets nothing through here"

    @contextmanager
    def _at_work(self) -> Iterator[Worker]:
        with self._worker(None) as worker:
            yield worker
            # What ends a worker, without its loop, which would wait in real time.
            worker.stop(0)
            worker.run()


class VirtualPool(InlinePool):
    """Runs steps where they are submitted, and lets their waits pass in virtual time."""

    def __init__(
        self, size: int, deliver: Deliver, clock: VirtualClock, reach: Reach | None
    ) -> None:
        super().__init__(size, deliver)
        self._clock = clock
        self._reach = reach or _nowhere

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            step = f"step {task.step.id!r}"
            self._reach(f"before the body of {step}")
            if isinstance(task, Execution) and task.services.durable is not None:
                task.context.journal = VirtualJournal(task, self._clock, self._reach)
            attempt(task, self._deliver)
            self._reach(f"after the body of {step} and before its end was settled")


class VirtualJournal(Journal):
    """A journal that rests by moving the clock, and tells of each operation."""

    def __init__(self, task: Execution, clock: VirtualClock, reach: Reach) -> None:
        context, services = task.context, task.services
        assert services.durable is not None

        def rest(seconds: float) -> bool:
            now = clock.monotonic()
            if seconds > 0 and not context.cancelled:
                clock.advance(timedelta(seconds=now + seconds - clock.monotonic()))
            return context.cancelled

        super().__init__(
            task.step, context.idempotency_key, services.durable, services.settings, rest
        )
        self._reach = reach

    def _of(self, operation: Request | Operation) -> str:
        return f"operation {operation.id!r} of step {self.claimed.id!r}"

    def recorded(self, request: Request) -> Operation | None:
        found = super().recorded(request)
        if found is None:
            self._reach(f"before {self._of(request)}")
        return found

    def keep(self, operation: Operation, *, decision: bool = False) -> None:
        if operation.error is not None:
            self._reach(f"after {self._of(operation)} failed and before that was recorded")
        elif operation.kind != "do":
            self._reach(f"after {self._of(operation)} was over and before that was recorded")
        super().keep(operation, decision=decision)

    def save(self, operation: Operation) -> None:
        self._reach(f"after {self._of(operation)} was done and before it was recorded")
        super().save(operation)
        self._reach(f"after {self._of(operation)} was recorded")


def _work_off(worker: Worker) -> bool:
    """Work until nothing is ready; whether anything was."""
    worker.wake()
    cycles = 0
    while worker.cycle():
        cycles += 1
    return cycles > 1  # the first one only looks


def _nowhere(point: str) -> None:
    """Nobody wants to know."""


def _waiting(step_id: str, told: Any) -> Waiting:
    kind = str(told.get("kind", "something"))
    what = {
        "sleep": "a time",
        "message": f"a message on topic {told.get('topic')!r}",
        "approval": "an approval",
        "run": f"the end of run {told.get('run_id')!r}",
        "paused": "the end of its pause",
    }.get(kind, kind)
    if kind == "value":
        run_id, key = told["value"]
        what = f"value {key!r} of run {run_id!r}"
    until = told.get("until")
    return Waiting(step_id, kind, what, None if until is None else to_datetime(until))
