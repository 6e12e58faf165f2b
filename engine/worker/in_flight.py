"""The executions that a worker holds, from claim to outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.step.execution import Execution


class InFlight:
    """Used by the thread that has the turn, except `watch_time`."""

    def __init__(self, suspect_from: int) -> None:
        self._suspect_from = suspect_from
        self._executions: dict[int, Execution] = {}
        self._timed: dict[int, Execution] = {}
        self._suspect: Execution | None = None

    def __len__(self) -> int:
        return len(self._executions)

    def __iter__(self) -> Iterator[Execution]:
        """The executions as they are now, newest claim last; some may be removed meanwhile."""
        return iter(tuple(self._executions.values()))

    def __contains__(self, execution: Execution) -> bool:
        return self._executions.get(execution.step.key) is execution

    @property
    def has_suspect(self) -> bool:
        """Whether one of them has one lease left to lose: it may have killed its workers."""
        return self._suspect is not None

    def add(self, executions: Iterable[Execution]) -> None:
        """Hold executions whose steps were just claimed."""
        held, suspect_from = self._executions, self._suspect_from
        for execution in executions:
            step = execution.step
            held[step.key] = execution
            if step.lost_leases >= suspect_from:
                self._suspect = execution

    def remove(self, execution: Execution) -> bool:
        """Let go of an execution; returns False if it was not held any more."""
        key = execution.step.key
        if self._executions.get(key) is not execution:
            return False
        del self._executions[key]
        if self._timed:
            self._timed.pop(key, None)
        if self._suspect is execution:
            self._suspect = None
        return True

    def of(self, key: int) -> Execution | None:
        """The execution of a step, under any lease; None if it is not held."""
        return self._executions.get(key)

    def holder(self, step: ClaimedStep) -> Execution | None:
        """The execution of a step under exactly this lease; None if it is not held."""
        execution = self._executions.get(step.key)
        return execution if execution is not None and execution.step is step else None

    def watch_time(self, execution: Execution) -> None:
        """Watch the deadline of an execution; called in the pool's thread."""
        self._timed[execution.step.key] = execution

    @property
    def has_deadlines(self) -> bool:
        """Whether any execution has a deadline."""
        return bool(self._timed)

    def overdue(self, now: float) -> list[Execution]:
        """The executions that are past their deadlines."""
        late = []
        for execution in tuple(self._timed.values()):
            if execution not in self:
                self._timed.pop(execution.step.key, None)
            elif execution.deadline is not None and now >= execution.deadline:
                late.append(execution)
        return late
