"""The duties that every worker has: renew, reap, time out, and record itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stepwell.engine.crash_points import Point, reach
from stepwell.engine.settings import Settings
from stepwell.engine.worker.duty import Duty
from stepwell.engine.worker.registration import Registration
from stepwell.engine.worker.store_link import StoreLink
from stepwell.engine.worker.workload import Workload

# The names of duties that are also done before they are due: `renew` when the store tells that
# something was canceled, and `reap` when a lease of another worker lapses.
RENEW: Final = "renew"
REAP: Final = "reap"
# How often they are done in the time of a lease.
PER_LEASE: Final = 3


class StandardDuties:
    """What the duties do. All but `time_out` use the store, and raise StoreError."""

    def __init__(
        self,
        worker_id: str,
        link: StoreLink,
        workload: Workload,
        registration: Registration,
        settings: Settings,
        monotonic: Callable[[], float],
    ) -> None:
        self._worker_id = worker_id
        self._link = link
        self._workload = workload
        self._registration = registration
        self._settings = settings
        self._monotonic = monotonic

    def all(self) -> tuple[Duty, ...]:
        """All of them, in the order in which they are done if they are due together."""
        every = self._settings.lease / PER_LEASE
        return (
            Duty(RENEW, every, self.renew),
            Duty("record", every, self._registration.record),
            Duty(REAP, every, self.reap),
            Duty("time out", 0, self.time_out),
        )

    def renew(self) -> None:
        """Extend all leases in one statement; drop the executions whose leases are lost."""
        before = self._monotonic()
        self._workload.release_surplus()
        reach(Point.BEFORE_RENEWAL)
        lease = int(self._settings.lease * 1e6)
        steps = self._workload.steps()
        lost = self._link.store.renew(self._worker_id, steps, lease)
        # With nothing to renew nothing was written, which does not show that trouble is over.
        if steps or not self._link.pause:
            self._link.renewed(before)
        reach(Point.AFTER_RENEWAL)
        # What is unsettled may need more room on the disk than this did.
        if steps and not self._workload.unsettled:
            self._link.reached()
        for each in lost:
            execution = self._workload.in_flight.holder(each.step)
            if execution is not None:
                self._workload.drop(execution)

    def reap(self) -> bool:
        """Take back steps whose leases lapsed, of any worker."""
        return bool(self._link.store.reap(self._settings.max_lost_leases))

    def time_out(self) -> bool:
        """Fail what ran longer than its timeout."""
        workload = self._workload
        return workload.in_flight.has_deadlines and workload.time_out(self._monotonic())
