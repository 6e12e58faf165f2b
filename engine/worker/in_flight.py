"""What a worker holds at the moment: its executions, from claim to outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stepwell.engine.exchange import ClaimedStep, Completed, Exchange, Outcome, Released, Suspended
from stepwell.engine.model import CycleResult
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

    def overdue(self, now: float) -> list[Execution]:
        """Those past their deadline."""
        if not self._timed:
            return []
        late = []
        for execution in tuple(self._timed.values()):
            if execution not in self:
                self._timed.pop(execution.step.key, None)
            elif execution.deadline is not None and now >= execution.deadline:
                late.append(execution)
        return late


class Tally:
    """Counts what became of outcomes, for `CycleResult`."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(CycleResult.__dataclass_fields__, 0)

    def refreshed(self, count: int) -> None:
        """Steps made ready again."""
        self._counts["refreshed"] += count

    def add(self, outcomes: list[Outcome], exchanged: Exchange) -> None:
        """Outcomes that were handed to this exchange."""
        counts = self._counts
        lost = {id(lease.step) for lease in exchanged.lost}
        refused = {id(refusal.step) for refusal in exchanged.refused}
        for outcome in outcomes:
            if id(outcome.step) in refused:
                continue
            if id(outcome.step) in lost:
                counts["lost"] += 1
            elif isinstance(outcome, Released):
                counts["released"] += 1
            else:
                counts["processed"] += 1
                counts[_end(outcome)] += 1

    def result(self) -> CycleResult:
        """All counts."""
        return CycleResult(**self._counts)


def _end(outcome: Outcome) -> str:
    if isinstance(outcome, Completed):
        return "succeeded"
    if isinstance(outcome, Suspended):
        return "waiting"
    retried = getattr(outcome, "retry_in", None) is not None
    return "retried" if retried else "failed"


def within(outcomes: list[Outcome], most: int) -> list[Outcome]:
    """As many of the outcomes, in order, as emit up to `most` steps together; at least one."""
    emitted = 0
    for place, outcome in enumerate(outcomes):
        if type(outcome) is Completed and outcome.emitted:
            emitted += len(outcome.emitted)
            if emitted > most and place:
                return outcomes[:place]
    return outcomes
