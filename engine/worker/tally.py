"""Counts outcomes: for the result of a cycle, and to limit what is settled together."""

from __future__ import annotations

from stepwell.engine.exchange import Completed, Exchange, Outcome, Released, Suspended
from stepwell.engine.model import CycleResult


class Tally:
    """Counts what became of outcomes, for a `CycleResult`."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(CycleResult.__dataclass_fields__, 0)

    def refreshed(self, count: int) -> None:
        """Count steps that were made ready again."""
        self._counts["refreshed"] += count

    def add(self, outcomes: list[Outcome], exchanged: Exchange) -> None:
        """Count the outcomes that were handed to an exchange."""
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
        """The counts so far."""
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
