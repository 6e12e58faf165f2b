"""Points at which a process can die, and a process that dies at one of them.

A dead process can no longer read its clock: store, journal and worker all read it before they
write anything, so nothing is cleaned up, and leases stay until they lapse.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from stepwell.engine.clock import VirtualClock
from stepwell.engine.crash_points import Stage
from stepwell.engine.exchange import ClaimRequest, Exchange, Failed, Outcome, Released, Suspended
from stepwell.engine.ports import RunStore
from stepwell.testing.virtual import Reach


class Crashed(BaseException):
    """The process is dead. An author's `except Exception` does not catch it."""


class MortalClock(VirtualClock):
    """A virtual clock that can only be read while its process is alive."""

    def __init__(self, start: datetime | None = None) -> None:
        super().__init__(*([] if start is None else [start]))
        self.died_at: int | None = None

    def die(self) -> None:
        """From now on, reading the clock raises Crashed."""
        self.died_at = self._micros

    def micros(self) -> int:
        self._check()
        return super().micros()

    def monotonic(self) -> float:
        self._check()
        return super().monotonic()

    def _check(self) -> None:
        if self.died_at is not None:
            raise Crashed("the process is dead")


class CrashPoints:
    """The points that a process reached, in order; at `deadly`, if given, it dies.

    If a point is reached again, a number is added to it.
    """

    def __init__(self, clock: MortalClock, deadly: str | None = None) -> None:
        self.seen: list[str] = []
        self._clock = clock
        self._deadly = deadly
        self._times: Counter[str] = Counter()

    def reach(self, point: str) -> None:
        """The process is at this point. Raises Crashed at the deadly one, and at all later ones."""
        self._clock.micros()
        self._times[point] += 1
        if self._times[point] > 1:
            point = f"{point} (the {_ordinal(self._times[point])} time)"
        self.seen.append(point)
        if point == self._deadly:
            self._clock.die()
            raise Crashed(point)


class TellingStore:
    """A run store that reports each settle after it is durable."""

    def __init__(self, store: RunStore, reach: Reach) -> None:
        self._store = store
        self._reach = reach

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def exchange(self, settle: list[Outcome], claim: ClaimRequest | None) -> Exchange:
        exchanged = self._store.exchange(settle, claim)
        if settle:
            verb = "was" if len(settle) == 1 else "were"
            self._reach(Stage.SETTLED.of(f"{' and '.join(map(_part, settle))} {verb}"))
        return exchanged


def _part(outcome: Outcome) -> str:
    """What was settled, in words."""
    what = "the end"
    if isinstance(outcome, Suspended):
        what = "the wait"
    elif isinstance(outcome, Failed) and outcome.retry_in is not None:
        what = "the failed attempt"
    elif isinstance(outcome, Released):
        what = "the release"
    return f"{what} of step {outcome.step.id!r}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
