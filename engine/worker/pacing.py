"""When a worker claims, how long it waits, and when it lets outcomes gather."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from stepwell.engine.exchange import ClaimedStep, ClaimRequest, Exchange, Outcome
from stepwell.engine.ids import jitter

# How often an idle worker asks whether another process committed, in seconds: at first, and later.
WATCH_EAGER: Final = 0.002
WATCH_IDLE: Final = 0.01
EAGER_FOR: Final = 1.0
# While nothing happens, an idle worker looks less and less often, down to once in so many polls.
MOST_PATIENT: Final = 8
# The longest time to let outcomes gather for a larger group, in seconds.
MAX_GATHER: Final = 0.005
# An exchange that moves more steps than this is large enough, and does not wait for more. If they
# are of many runs the limit is higher, as each run brings only a few.
ENOUGH: Final = 64
ENOUGH_OF_MANY: Final = 256
# An exchange of so many runs is one of many: more will come, even if none of their steps runs.
MANY_RUNS: Final = 8


class Pacing:
    """What the last exchange tells about the next one. Used by the thread that has the turn."""

    def __init__(self, poll_interval: float, monotonic: Callable[[], float]) -> None:
        self._poll_interval = poll_interval
        self._monotonic = monotonic
        # Whether there may be something to claim.
        self.wants_claim = True
        # Whether the last exchange was of many runs: then more will come soon.
        self.many_runs = False
        # When it last exchanged, by the store's clock.
        self.looked_at = 0
        # What is due next, as the last exchange told it, by the store's clock.
        self.wake_at: int | None = None
        self._store_ahead = 0.0
        self._gather_until = 0.0
        self._last_work = monotonic()
        self._idle_looks = 0

    def exchanged(
        self,
        outcomes: Sequence[Outcome],
        request: ClaimRequest | None,
        exchanged: Exchange,
        before: float,
    ) -> None:
        """Take note of the result of an exchange that began at `before`."""
        claimed = exchanged.claimed
        after = self._last_work = self._monotonic()
        asked = sum(pool.limit for pool in request.pools) if request else 0
        # If it brought fewer than it asked for, there is no more to claim until something changes.
        self.wants_claim = bool(claimed) and len(claimed) >= asked
        moved = len(outcomes) + len(claimed)
        small = MANY_RUNS <= moved <= ENOUGH_OF_MANY
        self.many_runs = not self.wants_claim and small and _runs(outcomes, claimed) >= MANY_RUNS
        self._gather_until = 0.0
        if self.many_runs or moved <= ENOUGH:
            self._gather_until = after + min(2 * (after - before), MAX_GATHER)
        self.wake_at = exchanged.wake_at
        # Even if there was no room to claim: a step that waits for room is not due.
        self.looked_at = exchanged.now
        if claimed or exchanged.ended_runs:
            self._idle_looks = 0
        self._store_ahead = exchanged.now - after * 1e6

    def gathering(self) -> float:
        """How many more seconds to let outcomes gather; zero or less when that is over."""
        return self._gather_until - self._monotonic()

    def is_eager(self, now: float) -> bool:
        """Whether there was work a moment ago, so that more is likely to come."""
        return now - self._last_work < EAGER_FOR

    def longest_wait(self) -> float:
        """Seconds until the next poll: more while nothing comes, and different in each worker."""
        self._idle_looks += 1
        times = min(2 ** min(self._idle_looks - 1, 10), MOST_PATIENT)
        longer: float = times * (1 + jitter() / 10)
        return self._poll_interval * longer

    def seconds_until(self, time: int | None, now: float) -> float:
        """Seconds from `now` until a time of the store's clock; inf for None."""
        return inf if time is None else max(0.0, (time - self._store_ahead) / 1e6 - now)


def _runs(outcomes: Sequence[Outcome], claimed: Sequence[ClaimedStep]) -> int:
    """How many runs these steps belong to."""
    settled = {outcome.step.run.key for outcome in outcomes}
    return len(settled.union(step.run.key for step in claimed))
