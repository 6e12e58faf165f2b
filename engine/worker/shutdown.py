"""The end of a worker: its steps finish, the rest is given back, the pools stop."""

from __future__ import annotations

import logging

from stepwell.engine.crash_points import Point, reach
from stepwell.engine.errors import RuntimeClosed, StoreError
from stepwell.engine.events import EventType
from stepwell.engine.worker.cycle import Cycle
from stepwell.engine.worker.duties import Duties
from stepwell.engine.worker.lifecycle import Lifecycle
from stepwell.engine.worker.pacing import WATCH_IDLE
from stepwell.engine.worker.parts import WorkerParts
from stepwell.engine.worker.registration import Registration
from stepwell.engine.worker.standard_duties import RENEW
from stepwell.engine.worker.store_link import StoreLink
from stepwell.engine.worker.workload import Workload

_log = logging.getLogger("stepwell.worker")

# Why steps are given back.
STOPPED = "worker stopped"


class Shutdown:
    """Used by the worker's own thread, which has the turn and keeps it."""

    def __init__(
        self,
        parts: WorkerParts,
        lifecycle: Lifecycle,
        registration: Registration,
        workload: Workload,
        link: StoreLink,
        duties: Duties,
        cycle: Cycle,
    ) -> None:
        self._kill_grace = parts.settings.kill_grace
        self._monotonic = parts.clock.monotonic
        self._lifecycle = lifecycle
        self._registration = registration
        self._workload = workload
        self._link = link
        self._duties = duties
        self._cycle = cycle

    def run(self) -> None:
        """Finish, give back and stop. If the store is out of reach, leases lapse."""
        if self._lifecycle.draining:
            self._registration.announce(EventType.WORKER_DRAINING)
        reach(Point.DRAINING)
        begun = self._monotonic()
        self._workload.release_unbegun(STOPPED)
        try:
            if not self._lifecycle.broken:
                self._finish(begun)
            self._release_all()
            reach(Point.AFTER_RELEASE)
            if not self._lifecycle.broken:
                self._registration.end()
        except (StoreError, RuntimeClosed) as error:
            _log.warning("%s; leases will lapse", error, extra={"action": "store_trouble"})
        finally:
            self._workload.windows.shutdown(self._kill_grace)
            self._link.close()
            reach(Point.STOPPED)
            self._registration.announce(EventType.WORKER_STOPPED)

    def _finish(self, begun: float) -> None:
        """Let running steps finish, within the grace period, which began at `begun`."""
        workload = self._workload
        if workload.in_flight:
            # This drops what was canceled meanwhile, which need not be waited for.
            self._duties.do(RENEW)
        while not workload.is_empty and self._monotonic() - begun < self._lifecycle.grace:
            self._duties.tend(self._monotonic())
            workload.take(workload.collect(block=WATCH_IDLE))
            if workload.unsettled:
                self._cycle.exchange(None)

    def at_once(self) -> None:
        """End a worker that was never registered, without waiting for anything."""
        try:
            self._release_all()
        finally:
            self._workload.windows.shutdown(0)
            self._link.close()

    def _release_all(self) -> None:
        """Give back uncharged what is still running, and settle everything that is left."""
        workload = self._workload
        workload.release_all(STOPPED)
        if self._lifecycle.broken:  # nothing that it would send can be trusted
            return
        if workload.unsettled:
            reach(Point.BEFORE_RELEASE)
        while workload.unsettled and self._cycle.exchange(None):
            pass
