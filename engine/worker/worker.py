"""A worker: claims steps, has pools run them, and settles their outcomes.

It works in cycles, and one thread at a time uses the store::

    cycle: collect outcomes ─▶ exchange (settle + claim, one transaction) ─▶ dispatch to pools
      ▲                                                                           │
      └──── idle: wait for an outcome, a wake-up, a commit of others, a due time ◀┘

Each part is a module: `cycle`, `idle` and `shutdown`; `lifecycle` (what it was told to do), `turn`
(which thread may use the store), `pacing` (when to claim, and when to wait for more outcomes),
`store_link` (errors of the store, and what is uncertain after one), `workload` and `in_flight`
(what it holds), and `duties` (what it does from time to time). The module of a part that is a state
machine has a diagram of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from stepwell.engine.duration_checks import patience
from stepwell.engine.durations import Duration
from stepwell.engine.errors import Conflict, InvalidInput, StoreError
from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimRequest, NewRun, Outcome
from stepwell.engine.model import CycleResult, Run
from stepwell.engine.ports import Pool
from stepwell.engine.worker.cycle import Cycle, Requests
from stepwell.engine.worker.dispatcher import Dispatcher
from stepwell.engine.worker.duties import Duties
from stepwell.engine.worker.idle import Idle
from stepwell.engine.worker.internals import Internals
from stepwell.engine.worker.lifecycle import Lifecycle
from stepwell.engine.worker.pacing import WATCH_IDLE, Pacing
from stepwell.engine.worker.parts import WorkerParts, WorkerRole
from stepwell.engine.worker.pool_spec import PoolParts, PoolSpec
from stepwell.engine.worker.pool_windows import PoolWindows
from stepwell.engine.worker.registration import Registration
from stepwell.engine.worker.shutdown import Shutdown
from stepwell.engine.worker.standard_duties import StandardDuties
from stepwell.engine.worker.store_link import StoreLink
from stepwell.engine.worker.tally import Tally
from stepwell.engine.worker.turn import Turn
from stepwell.engine.worker.workload import LOOK, Workload


class Worker:
    """Works in the thread that calls `run`, `cycle` or `run_once`; any thread may call the rest.

    `queues` None means all queues; with `labels`, it may also claim from queues that require them.
    Bodies begin with the context variables of the thread that makes the worker.
    """

    def __init__(
        self,
        worker_id: str,
        parts: WorkerParts,
        queues: tuple[str, ...] | None = None,
        labels: tuple[str, ...] = (),
    ) -> None:
        self.id = worker_id
        self._parts = parts
        settings, self._monotonic = parts.settings, parts.clock.monotonic
        role = WorkerRole(queues, labels)
        # Most workers that die were not killed by a step. So a step is suspected of it, and kept
        # apart from other suspects, only when it has one lease left to lose.
        suspect_from = max(1, settings.max_lost_leases - 1)
        self._turn = Turn(parts.synchronization.make_turn_lock())
        self._lifecycle = Lifecycle(worker_id, settings.grace)
        self._pacing = Pacing(settings.poll_interval, self._monotonic)
        catalog = parts.services.catalog
        windows = PoolWindows(catalog, settings, parts.find_pool, self._make_pool, self._monotonic)
        outcomes = parts.synchronization.make_outcome_queue()
        self._workload = Workload(outcomes, windows, self._pacing, suspect_from)
        self._link = StoreLink(worker_id, parts, self._workload, self._lifecycle)
        self._registration = Registration(worker_id, parts, role)
        standard = StandardDuties(
            worker_id, self._link, self._workload, self._registration, settings, self._monotonic
        )
        self._duties = Duties(
            (*standard.all(), *parts.duties), self._link, self._pacing, self._monotonic
        )
        self._requests = Requests(worker_id, parts, role, suspect_from, self._workload)
        self._cycle = Cycle(
            parts,
            self._requests,
            self._workload,
            self._pacing,
            self._link,
            self._duties,
            Dispatcher(worker_id, parts, self._workload),
        )
        self._idle = Idle(
            self._turn,
            self._lifecycle,
            self._workload,
            self._pacing,
            self._link,
            self._duties,
            self._monotonic,
        )
        self._shutdown = Shutdown(
            parts,
            self._lifecycle,
            self._registration,
            self._workload,
            self._link,
            self._duties,
            self._cycle,
        )
        # For tests; not part of the public API.
        self.internals = Internals(self._turn, self._pacing, self._workload, self._duties)

    def _make_pool(self, spec: PoolSpec, size: int) -> Pool:
        parts = self._parts
        assert callable(spec.make)  # a name was resolved when the pool was registered
        # In other pools, other bodies wait for the thread that delivers.
        deliver = self._deliver_in_turn if spec.keeps_turn else self._deliver
        return spec.make(PoolParts(size, deliver, parts.services, self.id, parts.clock))

    # --- what other threads may call --------------------------------------------------------

    def wake(self) -> None:
        """Make the worker look for steps to claim."""
        self._workload.outcomes.put(None)

    def stop(self, grace: Duration | None = None) -> None:
        """Claim no more; let running steps finish within `grace` (None: the setting's).

        If it is called again, the shortest grace holds.
        """
        self._lifecycle.stop(patience(grace, "grace"))
        self.wake()

    def disown(self) -> None:
        """Give the worker up in a fork, as its parent goes on with it; `run` raises there."""
        self._lifecycle.disowned = True
        self._turn.disown()

    @property
    def draining(self) -> bool:
        """Whether it was told to stop."""
        return self._lifecycle.draining

    def _deliver(self, task: Any, outcome: Outcome) -> None:
        """Take an outcome from a pool, in a thread of the pool."""
        self._workload.windows.ended(task.kind)
        self._workload.outcomes.put((task, outcome))

    def _deliver_in_turn(self, task: Any, outcome: Outcome) -> None:
        """As `_deliver`; if nothing else is in flight, this thread also runs the next cycle.

        An error of the cycle is left to the worker's own thread, which is woken to raise it.
        """
        turn, workload = self._turn, self._workload
        if len(workload.in_flight) != 1 or self._lifecycle.draining or not turn.borrow():
            self._deliver(task, outcome)
            return
        workload.windows.ended(task.kind)
        try:
            workload.take(((task, outcome),))
            self._cycle.run(claiming=not self._lifecycle.draining)
        except BaseException as error:
            turn.fail(error)
        finally:
            turn.was_borrowed = True
            if turn.has_failed or self._lifecycle.draining or not workload.in_flight:
                workload.outcomes.put(LOOK)
            turn.give_back()

    def start_run(self, run: NewRun) -> Run | None:
        """Store a run and claim steps of it, in the calling thread, in one transaction.

        If the worker has something else to do, this stores nothing and returns None. Raises
        Conflict and StoreError, as the store does.
        """
        if not self._turn.borrow():
            return None
        try:
            request = self._requests.next()
            busy = not self._workload.is_empty or self._link.uncertain
            if busy or request is None or self._lifecycle.draining:
                return None
            return self._start_run(run, request)
        finally:
            self._turn.give_back()

    def _start_run(self, run: NewRun, request: ClaimRequest) -> Run:
        before = self._monotonic()
        try:
            created, exchanged = self._parts.store.create_and_claim(run, request)
        except (Conflict, InvalidInput):
            raise
        except BaseException:
            self._link.uncertain = True  # it may have been stored, and claimed
            self.wake()
            raise
        try:
            self._cycle.follow([], request, exchanged, before)
        except BaseException as error:
            self._turn.fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._turn.was_borrowed = True
            if self._turn.has_failed or self._pacing.wants_claim or self._workload.unsettled:
                self._workload.outcomes.put(LOOK)
        return created

    # --- running ----------------------------------------------------------------------------

    def run(
        self,
        until: Callable[[], bool] | None = None,
        max_cycles: int | None = None,
        *,
        stop: threading.Event | None = None,
        patient: bool = False,
    ) -> None:
        """Work until `stop()`, `stop` or `until()` ends it, or for `max_cycles` cycles.

        `until()` is asked once a cycle. Steps that are still claimed at the end are finished or
        given back. If the store stays out of reach for longer than a lease, all steps are dropped;
        then this raises StoreError, or waits for the store if it is `patient`.
        """
        self._lifecycle.begin(patient, stop)
        self._turn.take()
        try:
            self._register()
        except BaseException:
            self._link.close()
            raise
        try:
            cycles = 0
            while not self._lifecycle.draining and (max_cycles is None or cycles < max_cycles):
                self._lifecycle.check_here()
                if until is not None and self._is_reached(until):
                    break
                if not self._cycle.run(claiming=not self._lifecycle.draining):
                    self._idle.wait()
                cycles += 1
        except Exception as error:
            self._lifecycle.fail(error)
            raise
        finally:
            if not self._lifecycle.disowned:
                self._turn.take()  # which an interrupt of a wait may have left free
                self._shutdown.run()

    def _register(self) -> None:
        while not self._lifecycle.draining:
            try:
                self._registration.begin()
                break
            except StoreError as error:
                if not self._lifecycle.patient:
                    raise
                self._link.trouble(error)
        self._link.reached()
        self._registration.announce(EventType.WORKER_STARTED)

    def _is_reached(self, until: Callable[[], bool]) -> bool:
        try:
            return until()
        except StoreError as error:  # it is asked again when the store can be reached
            self._link.trouble(error)
            return False

    def is_idle(self) -> bool:
        """Whether nothing is in flight and nothing will fall due."""
        workload, pacing = self._workload, self._pacing
        if not workload.is_empty or pacing.wants_claim or not workload.outcomes.empty():
            return False
        return pacing.wake_at is None and self._parts.store.next_due(pacing.looked_at) is None

    def due_in(self) -> float:
        """Seconds until something falls due just by the time, or inf."""
        return self._idle.due_in()

    def cycle(self) -> bool:
        """One cycle without waiting; returns whether there was anything to do."""
        self._turn.take()
        try:
            return self._cycle.run(claiming=not self._lifecycle.draining)
        finally:
            self._turn.release()

    def run_once(self) -> CycleResult:
        """Claim once, run everything claimed to its end, and settle it."""
        workload, cycle = self._workload, self._cycle
        tally = cycle.tally = Tally()
        self._turn.take()
        try:
            tally.refreshed(self._parts.store.reap(self._parts.settings.max_lost_leases))
            self._claim_once()
            self._pacing.wants_claim = False
            while not workload.is_empty:
                self._lifecycle.check_here()
                self._duties.tend(self._monotonic())
                workload.take(workload.collect(block=WATCH_IDLE))
                if workload.unsettled:
                    cycle.gather()
                    cycle.exchange(None)
        except Exception as error:
            self._lifecycle.fail(error)
            raise
        finally:
            if not self._lifecycle.disowned:
                self._shutdown.at_once()
        return tally.result()

    def _claim_once(self) -> None:
        """Claim without trying again: nothing has begun that could be lost."""
        store, request, before = self._parts.store, self._requests.next(), self._monotonic()
        try:
            exchanged = store.exchange([], request)
        except StoreError:
            with suppress(StoreError):  # the claim may have been committed all the same
                store.release_others(self.id, [])
            raise
        self._cycle.follow([], request, exchanged, before)
