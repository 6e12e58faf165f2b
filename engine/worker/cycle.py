"""One cycle of a worker, in stages::

tend ─▶ collect ─▶ gather ─▶ exchange ─────────────▶ follow ────────────▶ dispatch
duties  outcomes   more of   settle and claim, in    what the store told  to the pools
                   them      one transaction
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stepwell.engine.crash_points import Point, reach
from stepwell.engine.exchange import ClaimRequest, Exchange, Outcome, Refusal
from stepwell.engine.step.execution import fail, policy_of
from stepwell.engine.worker.dispatcher import Dispatcher
from stepwell.engine.worker.duties import Duties
from stepwell.engine.worker.pacing import Pacing
from stepwell.engine.worker.parts import WorkerParts, WorkerRole
from stepwell.engine.worker.standard_duties import RENEW
from stepwell.engine.worker.store_link import StoreLink
from stepwell.engine.worker.tally import Tally, within
from stepwell.engine.worker.workload import Workload


class Cycle:
    """Used by the thread that has the turn."""

    def __init__(
        self,
        parts: WorkerParts,
        requests: Requests,
        workload: Workload,
        pacing: Pacing,
        link: StoreLink,
        duties: Duties,
        dispatcher: Dispatcher,
    ) -> None:
        self._catalog = parts.services.catalog
        self._emit_limit = parts.settings.emit_limit
        self._monotonic: Callable[[], float] = parts.clock.monotonic
        self._on_ended = parts.on_ended
        self._requests = requests
        self._workload = workload
        self._pacing = pacing
        self._link = link
        self._duties = duties
        self._dispatcher = dispatcher
        # The last control number of the store; it changes when something running is canceled.
        self._control = 0
        # Counts what is settled; None if nobody wants to know.
        self.tally: Tally | None = None

    def run(self, *, claiming: bool = True) -> bool:
        """One cycle without waiting; returns whether there was anything to do."""
        workload = self._workload
        self._duties.tend(self._monotonic())
        workload.take(workload.collect())
        if not workload.unsettled and not self._pacing.wants_claim:
            return False
        self.gather()
        return self.exchange(self._requests.next() if claiming else None)

    def gather(self) -> None:
        """Wait for more outcomes, for about twice the time that the last exchange took.

        So a busy worker spends less of its time in the store, and settles larger groups. With
        nothing in flight it does not wait, unless the last exchange was of many runs.
        """
        workload, pacing = self._workload, self._pacing
        while workload.in_flight or pacing.many_runs:
            left = pacing.gathering()
            if left <= 0:
                return
            workload.take(workload.collect(block=left))

    def exchange(self, request: ClaimRequest | None) -> bool:
        """Settle what has ended, and claim. In trouble, keep the outcomes and return False."""
        before = self._monotonic()
        outcomes = within(self._workload.unsettled, self._emit_limit)
        if outcomes:
            reach(Point.DELIVERED)
        exchanged = self._link.exchange(outcomes, request)
        if exchanged is None:
            self._pacing.wants_claim = True  # so that it is tried again before the next poll
            return False
        self.follow(outcomes, request, exchanged, before)
        return True

    def follow(
        self,
        outcomes: list[Outcome],
        request: ClaimRequest | None,
        exchanged: Exchange,
        before: float,
    ) -> None:
        """Act on the result of an exchange that began at `before`."""
        workload, claimed = self._workload, exchanged.claimed
        self._link.exchanged(exchanged, wrote=bool(outcomes or claimed))
        self._pacing.exchanged(outcomes, request, exchanged, before)
        workload.settled(len(outcomes))
        if self._link.uncertain and self._link.release_unknown(claimed):
            self._pacing.wants_claim = True
        if self.tally is not None:
            self.tally.add(outcomes, exchanged)
        workload.windows.measure()
        if not workload.in_flight:
            self._link.renewed(before)
        if exchanged.refused:
            self._fail_refused(exchanged.refused)
        if exchanged.control != self._control:
            self._control = exchanged.control
            self._duties.do(RENEW)
        if exchanged.ended_runs:
            self._on_ended(exchanged.ended_runs)
        if claimed:
            reach(Point.CLAIMED)
            self._dispatcher.dispatch(claimed)

    def _fail_refused(self, refused: Sequence[Refusal]) -> None:
        """Fail the attempts whose outcomes the store refused."""
        for each in refused:
            self._workload.add(fail(each.step, each.error, policy_of(each.step, self._catalog)))
        self._workload.outcomes.put(None)


class Requests:
    """What a worker asks for when it claims."""

    def __init__(
        self,
        worker_id: str,
        parts: WorkerParts,
        role: WorkerRole,
        suspect_from: int,
        workload: Workload,
    ) -> None:
        self._worker_id = worker_id
        self._role = role
        self._lease = int(parts.settings.lease * 1e6)
        self._suspect_from = suspect_from
        self._workload = workload

    def next(self) -> ClaimRequest | None:
        """Ask for as many steps as the pools have room for; None if they have none."""
        requests = self._workload.windows.requests()
        if not requests:
            return None
        return ClaimRequest(
            self._worker_id,
            self._role.queues,
            requests,
            self._lease,
            suspects=not self._workload.in_flight.has_suspect,
            suspect_from=self._suspect_from,
            labels=self._role.labels,
        )
