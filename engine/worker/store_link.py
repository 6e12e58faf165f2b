"""A worker's link to its store, which may be out of reach for a while.

    ┌─────────┐   an error of the store   ┌─────────┐  longer than the   ┌──────┐
    │ reached │ ────────────────────────▶ │ trouble │  leases last, or   │ lost │
    │         │ ◀──────────────────────── │         │ ─────────────────▶ │      │
    └─────────┘   something was written   └─────────┘  the store is gone └──────┘

In trouble, each try comes after a longer pause. When the leases are about to lapse by the clock of
this process, or the store was replaced by another one, everything in flight is dropped; then the
worker ends with the error, or goes on trying if it is patient.

An error does not tell whether the last transaction was committed. So after an error the link is
*uncertain*: steps may be claimed for this worker without its knowledge. The next exchange that
succeeds gives them back, and makes the link certain again.
"""

from __future__ import annotations

import logging
from typing import Final

from stepwell.engine.errors import StoreError, StoreGone
from stepwell.engine.exchange import ClaimedStep, ClaimRequest, Exchange, Outcome
from stepwell.engine.worker.lifecycle import Lifecycle
from stepwell.engine.worker.parts import WorkerParts
from stepwell.engine.worker.workload import Workload

_log = logging.getLogger("stepwell.worker")

PAUSE_MIN: Final = 0.05
PAUSE_MAX: Final = 2.0
# After this part of a lease without a renewal, its steps count as lost.
HELD_FOR: Final = 0.9


class StoreLink:
    """Used by the thread that has the turn."""

    def __init__(
        self, worker_id: str, parts: WorkerParts, workload: Workload, lifecycle: Lifecycle
    ) -> None:
        self._worker_id = worker_id
        self.store = parts.store
        self.watch = parts.store.watch()
        self._workload = workload
        self._lifecycle = lifecycle
        self._lease = parts.settings.lease
        self._monotonic = parts.clock.monotonic
        # Since when all leases are good for their whole time.
        self._renewed = self._monotonic()
        # The last pause after trouble, in seconds; zero when the store is reached.
        self.pause = 0.0
        self.uncertain = False

    def exchange(self, outcomes: list[Outcome], request: ClaimRequest | None) -> Exchange | None:
        """Settle and claim. None means trouble: keep the outcomes for another try."""
        if self.watch.left():  # another thread has found out
            self.trouble(StoreGone("the store is another one now; begun steps are left"))
            return None
        try:
            return self.store.exchange(outcomes, request)
        except StoreError as error:
            self.trouble(error)
            return None

    def exchanged(self, exchanged: Exchange, *, wrote: bool) -> None:
        """Note that an exchange succeeded. Only one that wrote proves that the disk has room."""
        if wrote:
            self.pause = 0.0
        if exchanged.hinted:
            self.watch.hinted()

    def renewed(self, at: float) -> None:
        """Note that all leases are good for their whole time from `at` on."""
        self._renewed = at

    def reached(self) -> None:
        """Note that the store was written to: trouble is over."""
        self.pause = 0.0

    def trouble(self, error: StoreError) -> None:
        """Pause, and collect outcomes; raises `error` if the link is lost, unless patient."""
        self.uncertain = True
        if self.pause == 0.0:
            _log.warning("%s; trying again", error, extra={"action": "store_trouble"})
        longest = min(PAUSE_MAX, self._lease / 20)
        self.pause = min(max(PAUSE_MIN, self.pause * 2), longest)
        # The store that takes its place knows nothing of the steps that were claimed.
        gone = isinstance(error, StoreGone)
        if gone:
            self.watch.left()
        if self.drop_unheld(gone=gone) and not self._lifecycle.patient:
            raise error
        self._workload.take(self._workload.collect(block=self.pause))

    def drop_unheld(self, *, gone: bool = False) -> bool:
        """Drop everything in flight if its leases are about to lapse, or if the store is gone."""
        if not gone and self._monotonic() - self._renewed <= self._lease * HELD_FOR:
            return False
        self._workload.drop_all()
        return True

    def release_unknown(self, claimed: list[ClaimedStep]) -> bool:
        """If uncertain, give back the steps that were claimed without the worker's knowledge.

        The steps in `claimed`, which are about to be dispatched, are kept. Returns whether there
        were any.
        """
        if not self.uncertain:
            return False
        ours = [execution.step for execution in self._workload.in_flight]
        try:
            found = bool(self.store.release_others(self._worker_id, [*ours, *claimed]))
        except StoreError as error:
            self.trouble(error)
            return False
        self.uncertain = False
        return found

    def others_committed(self) -> bool:
        """Whether another process committed something; True if that cannot be told."""
        try:
            return self.watch.changed()
        except StoreError as error:
            self.trouble(error)
            return True

    def close(self) -> None:
        """Stop watching the store. Its owner closes it."""
        self.watch.close()
