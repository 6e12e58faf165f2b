"""A worker's link to its store, which may be out of reach for a while.

    ┌─────────┐   an error of the store   ┌─────────┐  longer than the   ┌──────┐
    │ reached │ ────────────────────────▶ │ trouble │  leases last, or   │ lost │
    │         │ ◀──────────────────────── │         │ ─────────────────▶ │      │
    └─────────┘   something was written   └─────────┘  the store is gone └──────┘

In trouble each try comes after a longer pause. When the leases are about to lapse by this process's
clock, or are in a store that was left for another one, all that is in flight is dropped; the worker
ends with the error, or, if it is patient, goes on trying.

An error says nothing about whether the last transaction was committed. So after one the link is
*uncertain*: steps may be claimed for this worker that it has not heard of. The next exchange that
succeeds gives them back, and makes it certain again.
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
# The part of a lease after which steps are not held any more, as they cannot be renewed.
HELD_FOR: Final = 0.9


class StoreLink:
    """Used by whoever has the turn."""

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
        # When the leases were last known to be good for their whole time.
        self._renewed = self._monotonic()
        # The last pause after trouble, in seconds; zero when the store is reached.
        self.pause = 0.0
        self.uncertain = False

    def exchange(self, outcomes: list[Outcome], request: ClaimRequest | None) -> Exchange | None:
        """Settle and claim, or None in trouble; then the outcomes must be kept for another try."""
        if self.watch.left():  # as another thread was told
            self.trouble(StoreGone("the store is another one now; begun steps are left"))
            return None
        try:
            return self.store.exchange(outcomes, request)
        except StoreError as error:
            self.trouble(error)
            return None

    def exchanged(self, exchanged: Exchange, *, wrote: bool) -> None:
        """An exchange succeeded; one that wrote nothing does not tell that the disk has room."""
        if wrote:
            self.pause = 0.0
        if exchanged.hinted:
            self.watch.hinted()

    def renewed(self, at: float) -> None:
        """All leases are good for their whole time from `at` on."""
        self._renewed = at

    def reached(self) -> None:
        """The store was written to: trouble is over."""
        self.pause = 0.0

    def trouble(self, error: StoreError) -> None:
        """Pause, collecting outcomes; raises `error` when the link is lost, unless patient."""
        self.uncertain = True
        if self.pause == 0.0:
            _log.warning("%s; trying again", error, extra={"action": "store_trouble"})
        longest = min(PAUSE_MAX, self._lease / 20)
        self.pause = min(max(PAUSE_MIN, self.pause * 2), longest)
        # What was claimed in a store that is gone is not held in the one that comes instead.
        gone = isinstance(error, StoreGone)
        if gone:
            self.watch.left()
        if self.drop_unheld(gone=gone) and not self._lifecycle.patient:
            raise error
        self._workload.take(self._workload.collect(block=self.pause))

    def drop_unheld(self, *, gone: bool = False) -> bool:
        """Drop all that is in flight if its leases are about to lapse, or if the store is gone."""
        if not gone and self._monotonic() - self._renewed <= self._lease * HELD_FOR:
            return False
        self._workload.drop_all()
        return True

    def release_unknown(self, claimed: list[ClaimedStep]) -> bool:
        """If uncertain, give back what a commit claimed that was never heard of.

        `claimed` are steps that are about to be dispatched. Returns whether there was any.
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
        """Whether another process did; also when that cannot be told."""
        try:
            return self.watch.changed()
        except StoreError as error:
            self.trouble(error)
            return True

    def close(self) -> None:
        """Give back what watches the store; the store is its owner's."""
        self.watch.close()
