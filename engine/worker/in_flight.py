"""What a worker holds at the moment: its executions, from claim to outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.step.execution import Execution


class InFlight:
    """Executions by step; used by the worker's thread, but for `watch_time`."""

    def __init__(self, suspect_from: int) -> None:
        self._suspect_from = suspect_from
        self._executions: dict[int, Execution] = {}
        self._timed: dict[int, Execution] = {}
        self._suspect: Execution | None = None

    def __len__(self) -> int:
        return len(self._executions)

    def __iter__(self) -> Iterator[Execution]:
        """The executions as they are now, newest claim last; may be removed meanwhile."""
        return iter(tuple(self._executions.values()))

    def __contains__(self, execution: Execution) -> bool:
        return self._executions.get(execution.step.key) is execution

    @property
    def has_suspect(self) -> bool:
        """Whether one of them lost its last lease but one: it may be what killed its workers."""
        return self._suspect is not None

    def add(self, executions: Iterable[Execution]) -> None:
        """From their claim on."""
        held, suspect_from = self._executions, self._suspect_from
        for execution in executions:
            step = execution.step
            held[step.key] = execution
            if step.lost_leases >= suspect_from:
                self._suspect = execution

    def remove(self, execution: Execution) -> bool:
        """It ended, or is not ours any more; False if it was not ours already."""
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
        """The execution of a step, under whichever lease."""
        return self._executions.get(key)

    def holder(self, step: ClaimedStep) -> Execution | None:
        """The execution under this very lease."""
        execution = self._executions.get(step.key)
        return execution if execution is not None and execution.step is step else None

    def watch_time(self, execution: Execution) -> None:
        """It has a deadline; called in the pool's thread."""
        self._timed[execution.step.key] = execution

    @property
    def has_deadlines(self) -> bool:
        """Whether any may come to be overdue."""
        return bool(self._timed)

    def overdue(self, now: float) -> list[Execution]:
        """Those past their deadline."""
        late = []
        for execution in tuple(self._timed.values()):
            if execution not in self:
                self._timed.pop(execution.step.key, None)
            elif execution.deadline is not None and now >= execution.deadline:
                late.append(execution)
        return late
