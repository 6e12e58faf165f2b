"""What a worker holds: executions in its pools, and outcomes that are not settled yet."""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty
from typing import Any, Final

from stepwell.engine.errors import StepError
from stepwell.engine.exchange import ClaimedStep, Outcome, Released
from stepwell.engine.step.execution import Execution
from stepwell.engine.worker.in_flight import InFlight
from stepwell.engine.worker.outcome_queue import OutcomeQueue
from stepwell.engine.worker.pacing import Pacing
from stepwell.engine.worker.pool_windows import PoolWindows

# In the outcome queue: something has changed, but not what can be claimed.
LOOK: Final = object()


class Workload:
    """Used by the thread that has the turn, except `outcomes`, into which any thread may put.

    It holds executions with their outcomes, None if there may be something to claim, and LOOK.
    An execution leaves by `take`, with an outcome to settle, or by `drop`.
    """

    def __init__(
        self,
        outcomes: OutcomeQueue[Any],
        windows: PoolWindows,
        pacing: Pacing,
        suspect_from: int,
    ) -> None:
        self.outcomes = outcomes
        self.windows = windows
        self.in_flight = InFlight(suspect_from)
        self.unsettled: list[Outcome] = []
        self._pacing = pacing

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in flight and everything is settled."""
        return not self.in_flight and not self.unsettled

    def steps(self) -> list[ClaimedStep]:
        """All steps that are held under a lease."""
        steps = [execution.step for execution in self.in_flight]
        return steps + [outcome.step for outcome in self.unsettled]

    # --- outcomes ---------------------------------------------------------------------------

    def collect(self, block: float = 0.0) -> list[tuple[Execution, Outcome]]:
        """What the pools delivered; waits up to `block` seconds for the first message."""
        items: list[Any] = []
        get = self.outcomes.get
        try:
            item: Any = get(True, block) if block else get(False)
            while True:
                if item is None:
                    self._pacing.wants_claim = True
                elif item is not LOOK:
                    items.append(item)
                item = get(False)
        except Empty:
            return items

    def take(self, items: Iterable[tuple[Execution, Outcome]]) -> None:
        """Keep outcomes to be settled; those of executions that are no longer held are ignored."""
        remove, freed, settle = self.in_flight.remove, self.windows.freed, self.unsettled.append
        for execution, outcome in items:
            if remove(execution):
                freed(execution.step.kind)
                settle(outcome)

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome that has no execution, to be settled with the next ones."""
        self.unsettled.append(outcome)

    def settled(self, count: int) -> None:
        """Forget the oldest `count` outcomes, as they are settled; the others are next."""
        self.unsettled = self.unsettled[count:]
        if self.unsettled:
            self.outcomes.put(None)

    # --- executions that end otherwise ------------------------------------------------------

    def drop(self, execution: Execution) -> None:
        """Cancel an execution whose lease is lost; the store would refuse its outcome anyway."""
        self.in_flight.remove(execution)
        if not execution.revoke():
            self.windows.cancel(execution)
        self.windows.freed(execution.step.kind)
        self._pacing.wants_claim = True

    def drop_all(self) -> None:
        """Drop all executions and outcomes, as all leases are lost."""
        for execution in self.in_flight:
            self.drop(execution)
        self.unsettled = []

    def time_out(self, now: float) -> bool:
        """Cancel and fail what ran longer than its timeout; returns whether anything did."""
        overdue = self.in_flight.overdue(now)
        for execution in overdue:
            seconds = (execution.step.timeout or 0) / 1e6
            error = StepError("timeout", f"ran longer than its timeout of {seconds:g} s")
            outcome = execution.timed_out(error)
            self.windows.cancel(execution)
            self.take(((execution, outcome),))
        return bool(overdue)

    def release(self, execution: Execution, reason: str) -> bool:
        """Give a step back if its body has not begun; returns whether it did so."""
        if not execution.revoke():
            return False
        self.take(((execution, Released(execution.step, reason)),))
        return True

    def release_unbegun(self, reason: str) -> None:
        """Give back all steps whose bodies have not begun."""
        for execution in self.in_flight:
            self.release(execution, reason)

    def release_all(self, reason: str) -> None:
        """Give back all steps uncharged, and cancel those whose bodies have begun."""
        for execution in self.in_flight:
            outcome = Released(execution.step, reason)
            if not execution.revoke():
                self.windows.cancel(execution)
            self.take(((execution, outcome),))

    def release_surplus(self) -> None:
        """Give back what was claimed ahead, if steps have become slower since."""
        for pool, surplus in self.windows.surplus().items():
            left = surplus
            for execution in reversed(tuple(self.in_flight)):
                if left == 0:
                    break
                if self.windows.pool_of(execution.step.kind) == pool:
                    left -= self.release(execution, "claimed too many ahead")
