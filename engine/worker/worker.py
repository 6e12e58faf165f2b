"""A worker: claims steps, has pools run them, and settles what comes of it.

One thread at a time owns the store: it has the turn. Its cycle::

    collect outcomes ─▶ exchange (settle + claim, one transaction) ─▶ dispatch to pools
         ▲                                                                   │
         └── wait: an outcome, a wake-up, a commit of others, or a due time ◀┘

and between cycles it tends to what time brings: renewals, timeouts, lapsed leases.

While the worker's own thread waits, the turn is free. A pool's thread that brings the outcome of
the only step in flight takes it for one cycle and goes on with what it claimed: a chain of short
steps runs in one thread, and no step waits for another thread to wake up. In the same way a thread
that starts a run takes it while there is nothing else to do, and claims in the same transaction.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from queue import Empty
from typing import Any, Final

from stepwell.engine.clock import Clock, to_datetime
from stepwell.engine.crash_points import Point, reach
from stepwell.engine.errors import (
    Conflict,
    InvalidInput,
    RefusedByState,
    RuntimeClosed,
    StepError,
    StepwellError,
    StoreError,
    StoreGone,
)
from stepwell.engine.events import Event, EventType, Observers
from stepwell.engine.exchange import (
    ClaimedStep,
    ClaimRequest,
    Exchange,
    Failed,
    NewRun,
    Outcome,
    Released,
)
from stepwell.engine.ids import jitter
from stepwell.engine.model import CycleResult, Run, WorkerRow
from stepwell.engine.ports import Pool, RunStore
from stepwell.engine.services import Services
from stepwell.engine.settings import Settings
from stepwell.engine.step.batched_reads import BatchedReads
from stepwell.engine.step.context_variables import Surroundings
from stepwell.engine.step.execution import Execution, fail, policy_of
from stepwell.engine.worker.in_flight import InFlight, Tally, within
from stepwell.engine.worker.outcome_queue import OutcomeQueue
from stepwell.engine.worker.pool_windows import PoolWindows

_log = logging.getLogger("stepwell.worker")

# In the inbox: something has changed, but there is nothing more to claim.
LOOK: Final = object()

# How often an idle worker asks whether another process committed: at first, and later on.
WATCH_EAGER = 0.002
WATCH_IDLE = 0.01
EAGER_FOR = 1.0
# An idle worker that is told nothing looks less and less often, down to once in this many polls.
MOST_PATIENT = 8
# A worker that was not heard of for so many leases is taken for dead.
SILENT_LEASES = 10
# The longest time to let outcomes gather for a larger group, in seconds.
MAX_GATHER = 0.005
# An exchange that moves more steps pays for itself: nothing more needs to come. With steps of many
# runs it may be of more, as each of them brings but a few.
ENOUGH = 64
ENOUGH_OF_MANY = 256
# So many runs in one exchange are many: more of them will come, even if none of their steps runs.
MANY_RUNS = 8
STORE_RETRY_MIN = 0.05
STORE_RETRY_MAX = 2.0


# Makes a pool: name, slots, where outcomes go, services, worker id, clock.
PoolFactory = Callable[[str, int, Callable[[Any, Any], None], Services, str, Clock], Pool]


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker is made of; `on_ended` is told the ids of runs that ended."""

    store: RunStore
    services: Services
    settings: Settings
    clock: Clock
    observers: Observers
    make_pool: PoolFactory
    on_ended: Callable[[Sequence[str]], None]
    version: str = ""


class Worker:
    """Runs in the thread that calls `run`, `cycle` or `run_once`; the rest may be called anywhere.

    `queues` None means all queues; `labels` open those queues that ask for them.
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
        # Of the thread that makes the worker, whichever takes its turn later.
        self._surroundings = Surroundings()
        self._store = parts.store
        self._clock = parts.clock
        self._settings = parts.settings
        self._queues = queues
        self._labels = labels
        self._lease = int(parts.settings.lease * 1e6)
        # Outcomes; None: there may be something to claim; LOOK: something has changed.
        self._outcomes: OutcomeQueue[tuple[Execution, Outcome] | object | None] = OutcomeQueue()
        # Held by whoever uses the store and what follows here; once running, free only while
        # `_wait` waits. An interrupt may come at any moment of that, so it can be taken twice.
        self._turn = threading.RLock()
        self._waiting = False
        self._stepped_in = False
        self._failure: BaseException | None = None
        # Only a step that has one lease left to lose is kept apart: most workers die of other
        # things than a step, and then all of theirs go on side by side.
        self._suspect_from = max(1, parts.settings.max_lost_leases - 1)
        self._in_flight = InFlight(self._suspect_from)
        self._unsettled: list[Outcome] = []
        self._windows = PoolWindows(
            parts.services.catalog,
            parts.settings,
            self._make_pool,
            parts.clock.monotonic,
        )
        self._watch = parts.store.watch()
        self._control = 0
        self._hungry = True
        self._wake_at: int | None = None
        # When it last exchanged, by the store's clock.
        self._looked_at = 0
        self._stop_grace: float | None = None
        self._tally: Tally | None = None
        now = self._clock.monotonic()
        self._renewed = self._next_renewal = self._next_reap = self._last_work = now
        self._started_at = 0
        self._store_trouble = 0.0
        self._store_ahead = 0.0
        self._idle_looks = 0
        self._gather_until = 0.0
        self._crowded = False
        self._uncertain = False
        self._patient = False
        # Whether it ends by a mistake of the program.
        self._broken = False
        self._stop_event: threading.Event | None = None
        # Whether this is a fork, and the worker its parent's.
        self._inherited = False

    def _make_pool(self, name: str, size: int) -> Pool:
        parts = self._parts
        # The threads of other pools are waited for by all that runs there.
        deliver = self._step_in if name == "thread" else self._deliver
        return parts.make_pool(name, size, deliver, parts.services, self.id, parts.clock)

    # --- what other threads may call --------------------------------------------------------

    def wake(self) -> None:
        """There may be something to claim."""
        self._outcomes.put(None)

    def stop(self, grace: float | None = None) -> None:
        """Claim no more; let running steps finish within `grace` seconds (None: the setting's).

        Called again, the shorter grace holds.
        """
        grace = self._settings.grace if grace is None else grace
        self._stop_grace = grace if self._stop_grace is None else min(grace, self._stop_grace)
        self._outcomes.put(None)

    def disown(self) -> None:
        """In a fork: its parent goes on with it. Who is in `run` here gets RefusedByState."""
        self._inherited = True
        self._turn = threading.RLock()  # another thread may have had it
        self._turn.acquire()

    @property
    def draining(self) -> bool:
        """Whether it was told to stop."""
        asked = self._stop_event is not None and self._stop_event.is_set()
        return asked or self._stop_grace is not None

    def _deliver(self, task: Any, outcome: Outcome) -> None:
        """Pools hand outcomes in from their own threads."""
        self._windows.ended(task.kind)
        self._outcomes.put((task, outcome))

    def _step_in(self, task: Any, outcome: Outcome) -> None:
        """The same from a thread that may take the turn for a cycle, if nothing else is going on.

        What goes wrong is for the worker's own thread, which is woken for it.
        """
        alone = self._waiting and len(self._in_flight) == 1 and not self.draining
        if not alone or not self._turn.acquire(blocking=False):
            self._deliver(task, outcome)
            return
        self._windows.ended(task.kind)
        try:
            self._take(((task, outcome),))
            self._cycle()
        except BaseException as error:
            self._failure = error
        finally:
            self._stepped_in = True
            if self._failure is not None or self.draining or not self._in_flight:
                self._outcomes.put(LOOK)
            self._turn.release()

    def start_run(self, run: NewRun) -> Run | None:
        """Store a run and claim of its steps, in the calling thread, in one transaction.

        None, and nothing is stored, when the worker has something else to do. Raises Conflict and
        StoreError, as the store does.
        """
        if not self._waiting or not self._turn.acquire(blocking=False):
            return None
        try:
            request = self._request()
            busy = not self._waiting or self._in_flight or self._unsettled or self._uncertain
            if busy or request is None or self.draining:
                return None
            return self._start_run(run, request)
        finally:
            self._turn.release()

    def _start_run(self, run: NewRun, request: ClaimRequest) -> Run:
        before = self._clock.monotonic()
        try:
            created, exchanged = self._store.create_and_claim(run, request)
        except (Conflict, InvalidInput):
            raise
        except BaseException:
            self._uncertain = True  # it may have been stored, and claimed
            self._outcomes.put(None)
            raise
        try:
            self._exchanged([], request, exchanged, before)
        except BaseException as error:
            self._failure = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._stepped_in = True
            if self._failure is not None or self._hungry or self._unsettled:
                self._outcomes.put(LOOK)
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
        """Work until `stop()` or `stop`, `until()` (asked once a cycle), or for some cycles.

        Steps that are still claimed then are finished or given back. When the store stays out of
        reach for longer than a lease, its steps are stopped; then StoreError is raised, or, if
        `patient`, the store is waited for.
        """
        self._patient, self._stop_event = patient, stop
        self._turn.acquire()
        try:
            self._register()
        except BaseException:
            self._watch.close()
            raise
        try:
            cycles = 0
            while not self.draining and (max_cycles is None or cycles < max_cycles):
                self._check_here()
                if until is not None and self._is_reached(until):
                    break
                if not self._cycle():
                    self._wait()
                cycles += 1
        except Exception as error:
            self._note(error)
            raise
        finally:
            self._shut_down()

    def _note(self, error: Exception) -> None:
        """Log a mistake of the program, once; nothing goes to the store any more then.

        What is held is left to be taken back: to give it back could end like what went wrong.
        """
        if isinstance(error, StepwellError):
            return
        self._broken = True
        _log.error(
            "worker %s ends: %s: %s; its steps are taken back when their leases lapse",
            *(self.id, type(error).__name__, error),
            exc_info=error,
            extra={"action": "worker.broken"},
        )

    def _is_reached(self, until: Callable[[], bool]) -> bool:
        try:
            return until()
        except StoreError as error:  # it is asked again once the store can be reached
            self._on_store_trouble(error)
            return False

    def is_idle(self) -> bool:
        """Whether nothing is in flight and nothing will fall due."""
        busy = self._in_flight or self._unsettled or self._hungry or not self._outcomes.empty()
        return not busy and self._wake_at is None and self._store.next_due(self._looked_at) is None

    def run_once(self) -> CycleResult:
        """Claim once, run everything claimed to its end, and settle it."""
        tally = self._tally = Tally()
        self._turn.acquire()
        try:
            tally.refreshed(self._store.reap(self._settings.max_lost_leases))
            self._claim_once()
            self._hungry = False
            while self._in_flight or self._unsettled:
                self._tend()
                self._take(self._collect(block=WATCH_IDLE))
                if self._unsettled:
                    self._gather()
                    self._exchange(self._unsettled, None)
        except Exception as error:
            self._note(error)
            raise
        finally:
            if not self._inherited:
                try:
                    self._give_back_all()
                finally:
                    self._windows.shutdown(0)
                    self._watch.close()
        return tally.result()

    def _claim_once(self) -> None:
        """Claim, without another try: nothing was begun yet that would be lost."""
        request, before = self._request(), self._clock.monotonic()
        try:
            exchanged = self._store.exchange([], request)
        except StoreError:
            with suppress(StoreError):  # it may have been claimed all the same
                self._store.release_others(self.id, [])
            raise
        self._exchanged([], request, exchanged, before)

    def cycle(self) -> bool:
        """One cycle without waiting; returns whether there was anything to do."""
        with self._turn:
            return self._cycle()

    def _cycle(self) -> bool:
        self._tend()
        self._take(self._collect())
        if not self._unsettled and not self._hungry:
            return False
        self._gather()
        request = None if self.draining else self._request()
        return self._exchange(self._unsettled, request) is not None

    # --- the stages -------------------------------------------------------------------------

    def _collect(self, block: float = 0.0) -> list[tuple[Execution, Outcome]]:
        """What the pools delivered; waits up to `block` seconds for a first message."""
        items: list[Any] = []
        get = self._outcomes.get
        try:
            item: Any = get(True, block) if block else get(False)
            while True:
                if item is None:
                    self._hungry = True
                elif item is not LOOK:
                    items.append(item)
                item = get(False)
        except Empty:
            return items

    def _gather(self) -> None:
        """Let more outcomes come, for twice the time that the last exchange took, or MAX_GATHER.

        So a busy worker is in the store for less of its time, with larger groups; one whose only
        step has ended does not wait, unless the last exchange was of many runs.
        """
        while self._in_flight or self._crowded:
            left = self._gather_until - self._clock.monotonic()
            if left <= 0:
                return
            self._take(self._collect(block=left))

    def _take(self, items: Iterable[tuple[Execution, Outcome]]) -> None:
        """Outcomes of executions that still count go on to be settled; late ones are dropped."""
        remove, freed, settle = self._in_flight.remove, self._windows.freed, self._unsettled.append
        for execution, outcome in items:
            if remove(execution):
                freed(execution.step.kind)
                settle(outcome)

    def _request(self) -> ClaimRequest | None:
        requests = self._windows.requests()
        if not requests:
            return None
        return ClaimRequest(
            self.id,
            self._queues,
            requests,
            self._lease,
            suspects=not self._in_flight.has_suspect,
            suspect_from=self._suspect_from,
            labels=self._labels,
        )

    def _exchange(self, outcomes: list[Outcome], request: ClaimRequest | None) -> Exchange | None:
        """Settle and claim; on store trouble keeps the outcomes for later and returns None."""
        before = self._clock.monotonic()
        outcomes = within(outcomes, self._settings.emit_limit)
        if outcomes:
            reach(Point.DELIVERED)
        if self._watch.left():  # as another thread was told
            self._on_store_trouble(StoreGone("the store is another one now; begun steps are left"))
            return None
        try:
            exchanged = self._store.exchange(outcomes, request)
        except StoreError as error:
            self._hungry = True  # for another try, and not only at the next poll
            self._on_store_trouble(error)
            return None
        self._exchanged(outcomes, request, exchanged, before)
        return exchanged

    def _exchanged(
        self,
        outcomes: list[Outcome],
        request: ClaimRequest | None,
        exchanged: Exchange,
        before: float,
    ) -> None:
        """Go on with what an exchange that was begun at `before` brought."""
        claimed = exchanged.claimed
        if outcomes or claimed:  # else nothing was written: the disk may still be full
            self._store_trouble = 0.0
        after = self._last_work = self._clock.monotonic()
        asked = sum(pool.limit for pool in request.pools) if request else 0
        # With less than asked for, there is nothing more until something changes.
        self._hungry = bool(claimed) and len(claimed) >= asked
        moved = len(outcomes) + len(claimed)
        small = MANY_RUNS <= moved <= ENOUGH_OF_MANY
        self._crowded = not self._hungry and small and _runs(outcomes, claimed) >= MANY_RUNS
        self._gather_until = 0.0
        if self._crowded or moved <= ENOUGH:
            self._gather_until = after + min(2 * (after - before), MAX_GATHER)
        self._wake_at = exchanged.wake_at
        # Also without a place for anything: what waits for one is not due.
        self._looked_at = exchanged.now
        if exchanged.hinted:
            self._watch.hinted()
        if claimed or exchanged.ended_runs:
            self._idle_looks = 0
        self._store_ahead = exchanged.now - after * 1e6
        self._unsettled = self._unsettled[len(outcomes) :]
        if self._unsettled:
            self._outcomes.put(None)
        self._release_unknown(exchanged)
        if self._tally is not None:
            self._tally.add(outcomes, exchanged)
        self._windows.measure()
        if not self._in_flight:
            self._renewed = before
        for refusal in exchanged.refused:
            self._unsettled.append(self._refused(refusal.step, refusal.error))
            self._outcomes.put(None)
        if exchanged.control != self._control:
            self._control = exchanged.control
            self._renew()
        if exchanged.ended_runs:
            self._parts.on_ended(exchanged.ended_runs)
        if claimed:
            reach(Point.CLAIMED)
            self._dispatch(claimed)

    def _release_unknown(self, exchanged: Exchange) -> None:
        """Give back what was claimed for us by a commit whose acknowledgement was lost."""
        if not self._uncertain:
            return
        ours = [execution.step for execution in self._in_flight]
        try:
            if self._store.release_others(self.id, [*ours, *exchanged.claimed]):
                self._hungry = True
        except StoreError as error:
            self._on_store_trouble(error)
            return
        self._uncertain = False

    def _refused(self, step: ClaimedStep, error: Exception) -> Failed:
        return fail(step, error, policy_of(step, self._parts.services.catalog))

    def _dispatch(self, claimed: list[ClaimedStep]) -> None:
        """Make executions of the claimed steps and hand them to their pools."""
        if not claimed:
            return
        observed = self._parts.observers.wanted(EventType.STEP_STARTED)
        services, worker_id = self._parts.services, self.id
        surroundings = self._surroundings
        by_kind: dict[str, list[Execution]] = {}
        for step in claimed:
            before = self._in_flight.of(step.key)
            if before is not None:  # its lease lapsed, and it came back to this worker
                self._abandon(before)
            try:
                on_begin = self._on_begin if observed or step.timeout else None
                execution = Execution(step, worker_id, services, on_begin, jitter, surroundings)
            except Exception as error:  # e.g. what its executor needs cannot be imported
                self._unsettled.append(fail(step, error, None))
                continue
            executions = by_kind.get(step.kind)
            if executions is None:
                by_kind[step.kind] = [execution]
            else:
                executions.append(execution)
        for kind, executions in by_kind.items():
            self._in_flight.add(executions)
            if len(executions) > 1:
                steps = [execution.step for execution in executions]
                together = BatchedReads(self._store, steps)
                for execution in executions:
                    execution.claimed_with = together
            self._windows.submit(kind, executions)

    def _on_begin(self, execution: Execution) -> None:
        """In the pool's thread, right before the body."""
        step = execution.step
        if step.timeout is not None:
            execution.deadline = self._clock.monotonic() + step.timeout / 1e6
            self._in_flight.watch_time(execution)
        if self._parts.observers.wanted(EventType.STEP_STARTED):
            self._parts.observers.publish(
                Event(
                    EventType.STEP_STARTED,
                    to_datetime(step.started_at),
                    step.run.id,
                    step.id,
                    step.attempt,
                    self.id,
                )
            )

    def _wait(self) -> None:
        """Until an outcome, a wake-up, a commit by others, or the time of something due."""
        if self._stepped_in and not self._in_flight:  # all ended: whoever waits for that asks first
            self._stepped_in = False
            return
        now = self._clock.monotonic()
        eager = now - self._last_work < EAGER_FOR
        until = min(self._next_renewal, now + self._poll_interval())
        asked = self._stop_grace is not None
        while True:
            # Where something runs, its outcome mostly comes before it is worth to ask.
            if not asked and not self._in_flight:
                until, asked = min(until, now + self._due_in()), True
            items = self._collect_while_free(WATCH_EAGER if eager else WATCH_IDLE)
            if items:
                self._take(items)
                return
            if self._stepped_in or self._hungry or self.draining:
                return
            now = self._clock.monotonic()
            if not asked:
                until, asked = min(until, now + self._due_in()), True
            if now >= until or self._others_committed():
                self._hungry = True
                return
            if self._expire_overdue(now):
                return
            eager = eager and now - self._last_work < EAGER_FOR

    def _collect_while_free(self, block: float) -> list[tuple[Execution, Outcome]]:
        """What the pools delivered; meanwhile, one of their threads may take the turn."""
        if self._stepped_in:  # they get along without this thread
            self._stepped_in = False
            block = WATCH_IDLE
        self._waiting = True
        self._turn.release()
        try:
            return self._collect(block)
        finally:
            self._turn.acquire()
            self._waiting = False
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure

    def _others_committed(self) -> bool:
        """Whether another process did; also when that cannot be told."""
        try:
            return self._watch.changed()
        except StoreError as error:
            self._on_store_trouble(error)
            return True

    def _poll_interval(self) -> float:
        """The longest wait: longer and longer while nothing comes, and never the same for all."""
        self._idle_looks += 1
        times = min(2 ** min(self._idle_looks - 1, 10), MOST_PATIENT)
        longer: float = times * (1 + jitter() / 10)
        return self._settings.poll_interval * longer

    def _due_in(self) -> float:
        """Seconds until a retry, a wait, another worker's lease or a rate limit is due, or inf."""
        try:
            due = self._store.next_due(self._looked_at)
        except StoreError as error:
            self._on_store_trouble(error)
            return STORE_RETRY_MIN
        now = self._clock.monotonic()
        times = [
            inf if time is None else max(0.0, (time - self._store_ahead) / 1e6 - now)
            for time in (due, self._wake_at)
        ]
        self._next_reap = min(self._next_reap, now + times[0])
        return min(times)

    def _check_here(self) -> None:
        if self._inherited:
            raise RefusedByState(
                f"worker {self.id} is that of the process which this one was forked from, and goes "
                "on there; here, begin another one: runtime.worker(), drain()"
            )

    # --- what time brings -------------------------------------------------------------------

    def _tend(self) -> None:
        self._check_here()
        now = self._clock.monotonic()
        if now >= self._next_renewal:
            self._renew()
        if now >= self._next_reap:
            self._reap(now)
        self._expire_overdue(now)

    def _renew(self) -> None:
        """Extend all leases in one statement; stop what is not ours any more."""
        before = self._clock.monotonic()
        self._next_renewal = before + self._settings.lease / 3
        self._give_back_surplus()
        steps = [execution.step for execution in self._in_flight]
        steps += [outcome.step for outcome in self._unsettled]
        reach(Point.BEFORE_RENEWAL)
        try:
            lost = self._store.renew(self.id, steps, self._lease)
            if self._started_at:
                self._store.record_worker(self._row())
                self._store.forget_silent_workers(SILENT_LEASES * self._lease)
        except StoreError as error:
            self._on_store_trouble(error)
            # Soon again: the time until the leases lapse is running.
            again = self._clock.monotonic() + self._store_trouble
            self._next_renewal = min(self._next_renewal, again)
            return
        self._renewed = before
        reach(Point.AFTER_RENEWAL)
        if not self._unsettled:  # which may need more room than this did
            self._store_trouble = 0.0
        for lease in lost:
            execution = self._in_flight.holder(lease.step)
            if execution is not None:
                self._abandon(execution)

    def _reap(self, now: float) -> None:
        self._next_reap = now + self._settings.lease / 3
        try:
            if self._store.reap(self._settings.max_lost_leases):
                self._hungry = True
        except StoreError as error:
            self._on_store_trouble(error)

    def _expire_overdue(self, now: float) -> bool:
        """Fail what ran longer than its timeout; whether there was any."""
        overdue = self._in_flight.overdue(now)
        for execution in overdue:
            seconds = (execution.step.timeout or 0) / 1e6
            error = StepError("timeout", f"ran longer than its timeout of {seconds:g} s")
            outcome = execution.expired(error)
            self._windows.cancel(execution)
            self._take(((execution, outcome),))
        return bool(overdue)

    def _abandon(self, execution: Execution) -> None:
        """Stop an execution that is not ours any more; what it makes is refused anyway."""
        self._in_flight.remove(execution)
        if not execution.withdraw():
            self._windows.cancel(execution)
        self._windows.freed(execution.step.kind)
        self._hungry = True

    def _give_back_surplus(self) -> None:
        """Release what was claimed ahead when the work turned out slower than before."""
        for pool, surplus in self._windows.surplus().items():
            left = surplus
            for execution in reversed(tuple(self._in_flight)):
                if left == 0:
                    break
                if self._windows.pool_of(execution.step.kind) == pool and execution.withdraw():
                    self._take(((execution, Released(execution.step, "claimed too many ahead")),))
                    left -= 1

    def _on_store_trouble(self, error: StoreError) -> None:
        """Wait a little and go on; past the lease stop the steps, then give up or be patient."""
        self._uncertain = True
        now = self._clock.monotonic()
        first = self._store_trouble == 0.0
        if first:
            _log.warning("%s; trying again", error, extra={"action": "store_trouble"})
        longest = min(STORE_RETRY_MAX, self._settings.lease / 20)
        self._store_trouble = min(max(STORE_RETRY_MIN, self._store_trouble * 2), longest)
        # What was claimed in a store that is gone is not held in the one that comes instead.
        gone = isinstance(error, StoreGone)
        if gone:
            self._watch.left()
        if gone or now - self._renewed > self._settings.lease * 0.9:
            for execution in self._in_flight:
                self._abandon(execution)
            self._unsettled = []
            if not self._patient:
                raise error
        self._take(self._collect(block=self._store_trouble))

    # --- beginning and end ------------------------------------------------------------------

    def _row(self) -> WorkerRow:
        return WorkerRow(
            id=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=self._parts.version,
            queues=self._queues,
            started_at=to_datetime(self._started_at),
            seen_at=to_datetime(self._clock.micros()),
            kinds=tuple(self._parts.services.catalog.kinds()),
            labels=self._labels,
        )

    def _register(self) -> None:
        self._started_at = self._clock.micros()
        while not self.draining:
            try:
                self._store.record_worker(self._row())
                break
            except StoreError as error:
                if not self._patient:
                    raise
                self._on_store_trouble(error)
        self._store_trouble = 0.0
        self._announce(EventType.WORKER_STARTED)

    def _announce(self, type: EventType) -> None:
        event = Event(type, to_datetime(self._clock.micros()), worker=self.id)
        self._parts.observers.publish(event)

    def _shut_down(self) -> None:
        """Let running steps finish within the grace, give back the rest, stop the pools."""
        if self._inherited:
            return
        self._turn.acquire()  # which an interrupt of `_wait` may have left free
        self._waiting = False
        if self.draining:
            self._announce(EventType.WORKER_DRAINING)
        reach(Point.DRAINING)
        begun = self._clock.monotonic()
        for execution in self._in_flight:
            if execution.withdraw():
                self._take(((execution, Released(execution.step, "worker stopped")),))
        try:
            if self._in_flight and not self._broken:
                # What was canceled meanwhile need not be waited for.
                self._renew()
            while (self._in_flight or self._unsettled) and not self._broken:
                grace = self._settings.grace if self._stop_grace is None else self._stop_grace
                if self._clock.monotonic() - begun >= grace:
                    break
                self._tend()
                self._take(self._collect(block=WATCH_IDLE))
                if self._unsettled:
                    self._exchange(self._unsettled, None)
            self._give_back_all()
            reach(Point.AFTER_RELEASE)
            if not self._broken:
                self._store.forget_worker(self.id)
        except (StoreError, RuntimeClosed) as error:
            _log.warning("%s; leases will lapse", error, extra={"action": "store_trouble"})
        finally:
            self._windows.shutdown(self._settings.kill_grace)
            self._watch.close()
            reach(Point.STOPPED)
            self._announce(EventType.WORKER_STOPPED)

    def _give_back_all(self) -> None:
        """Release uncharged what is still running."""
        for execution in self._in_flight:
            outcome = Released(execution.step, "worker stopped")
            if not execution.withdraw():
                self._windows.cancel(execution)
            self._take(((execution, outcome),))
        if self._unsettled and not self._broken:
            reach(Point.BEFORE_RELEASE)
        while self._unsettled and self._exchange(self._unsettled, None) is not None:
            pass


def _runs(outcomes: Sequence[Outcome], claimed: Sequence[ClaimedStep]) -> int:
    """The number of runs that these are of."""
    settled = {outcome.step.run.key for outcome in outcomes}
    return len(settled.union(step.run.key for step in claimed))
