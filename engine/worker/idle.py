"""What a worker does while it has nothing to do: it waits, and looks for news."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.engine.errors import StoreError
from stepwell.engine.exchange import Outcome
from stepwell.engine.step.execution import Execution
from stepwell.engine.worker.duties import Duties
from stepwell.engine.worker.lifecycle import Lifecycle
from stepwell.engine.worker.pacing import WATCH_EAGER, WATCH_IDLE, Pacing
from stepwell.engine.worker.standard_duties import REAP
from stepwell.engine.worker.store_link import PAUSE_MIN, StoreLink
from stepwell.engine.worker.turn import Turn
from stepwell.engine.worker.workload import Workload


class Idle:
    """Used by the worker's own thread."""

    def __init__(
        self,
        turn: Turn,
        lifecycle: Lifecycle,
        workload: Workload,
        pacing: Pacing,
        link: StoreLink,
        duties: Duties,
        monotonic: Callable[[], float],
    ) -> None:
        self._turn = turn
        self._lifecycle = lifecycle
        self._workload = workload
        self._pacing = pacing
        self._link = link
        self._duties = duties
        self._monotonic = monotonic

    def wait(self) -> None:
        """Wait for an outcome, a wake-up, a commit by others, or until something is due."""
        turn, workload, pacing = self._turn, self._workload, self._pacing
        if turn.was_borrowed and not workload.in_flight:
            turn.was_borrowed = False  # all has ended: `until` is asked before the next wait
            return
        now = self._monotonic()
        eager = pacing.is_eager(now)
        until = min(self._duties.next, now + pacing.longest_wait())
        asked = self._lifecycle.draining
        while True:
            # While something runs, its outcome usually comes before it is worth asking.
            if not asked and not workload.in_flight:
                until, asked = min(until, now + self.due_in()), True
            items = self._collect_while_free(WATCH_EAGER if eager else WATCH_IDLE)
            if items:
                workload.take(items)
                return
            if turn.was_borrowed or pacing.wants_claim or self._lifecycle.draining:
                return
            now = self._monotonic()
            if not asked:
                until, asked = min(until, now + self.due_in()), True
            if now >= until or self._link.others_committed():
                pacing.wants_claim = True
                return
            if self._duties.look():
                return
            eager = eager and pacing.is_eager(now)

    def due_in(self) -> float:
        """Seconds until a retry, a wait, another worker's lease or a rate limit is due, or inf."""
        pacing = self._pacing
        try:
            due = self._link.store.next_due(pacing.looked_at)
        except StoreError as error:
            self._link.trouble(error)
            return PAUSE_MIN
        now = self._monotonic()
        seconds = pacing.seconds_until(due, now)
        self._duties.hasten(REAP, now + seconds)
        return min(seconds, pacing.seconds_until(pacing.wake_at, now))

    def _collect_while_free(self, seconds: float) -> list[tuple[Execution, Outcome]]:
        """Collect what the pools delivered; meanwhile other threads may borrow the turn."""
        if self._turn.was_borrowed:  # other threads work without this one
            self._turn.was_borrowed = False
            seconds = WATCH_IDLE
        return self._turn.lend(self._workload.collect, seconds)
