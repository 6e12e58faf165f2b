"""The unit of work of one transaction: its changes are collected, and written once at its end.

    lock ──▶ settle ──▶ propagate ──▶ claim ──▶ close
               └────────────┴───────────┴── each notes what it did in `Changes` ──▶ `Closing`

Runs' counters and event numbers are written once per transaction, however many steps changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimedStep, LostLease, Refusal, RunInfo
from stepwell.engine.payloads.payload import encode
from stepwell.stores.sql.connection.statements import StoreTransaction, named
from stepwell.stores.sql.exchange.handoff import NO_OFFER, Handoff, Offer
from stepwell.stores.sql.exchange.run_ends import END_EVENTS

# Events that may give another process something to do.
_NEWS = frozenset(
    {
        EventType.RUN_CREATED,
        EventType.RUN_REPLACED,
        EventType.RUN_RETRIED,
        EventType.RUN_RESUMED,
        *END_EVENTS.values(),
        EventType.STEP_RETRIED,
        EventType.STEP_RETRYING,
        EventType.STEP_RELEASED,
        EventType.STEP_WOKEN,
        EventType.STEP_LAPSED,
        EventType.STEP_UNHELD,
    }
)


class NewEvent(NamedTuple):
    """An event that has no number yet; `step` is the step's key, `data` is JSON text."""

    type: str
    at: int
    step: int | None = None
    attempt: int | None = None
    worker: str | None = None
    data: str | None = None


class StoredEvent(NamedTuple):
    """An event as it is stored: a `NewEvent` after the key of its run and its number there."""

    run_key: int
    seq: int
    type: str
    at: int
    step: int | None = None
    attempt: int | None = None
    worker: str | None = None
    data: str | None = None


new_event = named(NewEvent)
stored_event = named(StoredEvent)


class CountedRun(NamedTuple):
    """A run as it is after its steps and events were counted."""

    key: int
    open_steps: int
    last_event: int
    status: str
    holds: int


class Unwritten(NamedTuple):
    """What is still to be written.

    `total`, `open` and `events` are by run key: how many steps were added, how many more are open,
    and the new events. `readied` are steps that may be ready, `counted` the runs whose counters are
    up to date.
    """

    total: dict[int, int]
    open: dict[int, int]
    events: dict[int, list[NewEvent]]
    readied: list[Iterable[int]]
    counted: dict[int, CountedRun]


class Changes:
    """What one transaction changes, run by run, and what is reported of it.

    `offer` says what may be handed on, `handoffs` what was. `lost` and `refused` are outcomes that
    were not settled. `stored` are the events that were written, `ended_runs` the ids of runs that
    ended, `new_runs` what was loaded about runs that were not in the cache.
    """

    def __init__(self, tx: StoreTransaction) -> None:
        self.tx = tx
        self.offer: Offer = NO_OFFER
        self.handoffs = Handoff()
        self.lost: list[LostLease] = []
        self.refused: list[Refusal] = []
        self.stored: list[StoredEvent] = []
        self.ended_runs: list[str] = []
        self.new_runs: list[RunInfo] = []
        self._canceled: dict[int, Mapping[str, Any]] = {}
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._total: dict[int, int] = {}
        self._open: dict[int, int] = {}
        self._events: dict[int, list[NewEvent]] = {}
        self._readied: list[Iterable[int]] = []
        self._counted: dict[int, CountedRun] = {}

    def take(self) -> Unwritten | None:
        """What was noted since the last call; None if there is nothing to write."""
        if not (self._total or self._open or self._events or self._counted):
            return None
        unwritten = Unwritten(self._total, self._open, self._events, self._readied, self._counted)
        self._begin_anew()
        return unwritten

    def steps_added(self, run_key: int, total: int, open_: int) -> None:
        """`total` steps were added, and `open_` of them have not ended."""
        self._total[run_key] = self._total.get(run_key, 0) + total
        self._open[run_key] = self._open.get(run_key, 0) + open_

    def created(self, run_key: int, data: Mapping[str, Any]) -> StoredEvent:
        """The first event of a new run, whose row already counts it; the caller stores it."""
        text = encode(dict(data), "event", limit=2**31)
        event = StoredEvent(run_key, 1, EventType.RUN_CREATED.value, self.tx.now, data=text)
        self.stored.append(event)
        return event

    def told(self, type: EventType, run_key: int, number: int) -> None:
        """An event was stored already, with this number in its run."""
        self.stored.append(StoredEvent(run_key, number, type.value, self.tx.now))

    def steps_opened(self, run_key: int, count: int = 1) -> None:
        """`count` steps are open again; negative when they ended."""
        self._open[run_key] = self._open.get(run_key, 0) + count

    def step_ended(self, run_key: int) -> None:
        self._open[run_key] = self._open.get(run_key, 0) - 1

    def steps_succeeded(self, steps: Iterable[ClaimedStep]) -> None:
        """These steps succeeded; adds an event for each."""
        kind, now = EventType.STEP_SUCCEEDED.value, self.tx.now
        by_run: dict[int, list[NewEvent]] = {}
        for step in steps:
            row = new_event((kind, now, step.key, step.attempt, None, None))
            rows = by_run.get(step.run.key)
            if rows is None:
                by_run[step.run.key] = [row]
            else:
                rows.append(row)
        for run_key, rows in by_run.items():
            self._open[run_key] = self._open.get(run_key, 0) - len(rows)
            self._events.setdefault(run_key, []).extend(rows)

    def counted(self, run: CountedRun, succeeded: Iterable[ClaimedStep]) -> None:
        """These steps of a run succeeded; their events are stored, and the run is counted."""
        self._counted[run.key] = run
        event, now = EventType.STEP_SUCCEEDED.value, self.tx.now
        steps = list(succeeded)
        self.stored += [
            stored_event((run.key, seq, event, now, step.key, step.attempt, None, None))
            for seq, step in enumerate(steps, run.last_event - len(steps) + 1)
        ]

    def readied(self, keys: Iterable[int]) -> None:
        """These steps may be ready now, although no event says so."""
        self._readied.append(keys)

    def event(
        self,
        run_key: int,
        type: EventType,
        step: int | None = None,
        attempt: int | None = None,
        worker: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an event to the run; it is numbered when the changes are written."""
        if type in _NEWS:
            self.tx.news = self.tx.more_ready = True
        text = encode(dict(data), "event", limit=2**31) if data else None
        row = new_event((type.value, self.tx.now, step, attempt, worker, text))
        events = self._events.get(run_key)
        if events is None:
            self._events[run_key] = [row]
        else:
            events.append(row)

    def end_canceled(self, run_key: int, data: Mapping[str, Any]) -> None:
        """An operator canceled all open steps of a run: the event of its end gets `data`."""
        self._open.setdefault(run_key, 0)
        self._canceled[run_key] = data

    def canceled(self, run_key: int) -> Mapping[str, Any] | None:
        """The data of the event that ends this run, if an operator canceled it."""
        return self._canceled.pop(run_key, None) if self._canceled else None
