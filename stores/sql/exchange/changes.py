"""Bookkeeping of one transaction: what changed per run, and the events of it.

Runs' counters and event numbers are written once per transaction, however many steps changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimedStep, Suspended
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import RUN_ENDED, Act, RunStatus
from stepwell.stores.sql.connection.statements import (
    Each,
    Statement,
    Statements,
    StoreTransaction,
    bind,
    insert,
    may,
    rows_json,
    still_may,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.fused_sql import BESIDE, ENDED, FusedStatements
from stepwell.stores.sql.exchange.run_ends import END_EVENTS, ending, is_paused
from stepwell.stores.sql.exchange.side_by_side import SideBySide
from stepwell.stores.sql.schema import tables

# Events after which another process may have something to do.
_NEWS = frozenset(
    {
        EventType.RUN_CREATED,
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

# type, at, step key, attempt, worker, data (JSON text)
EventRow = tuple[str, int, int | None, int | None, str | None, str | None]
# The same after the key of the run and the number of the event in it.
StoredEvent = tuple[int, int, str, int, int | None, int | None, str | None, str | None]


class ChangesStatements(Statements):
    """Counters, run ends and events."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        runs = tables.runs
        self.count = Each(
            dialect,
            lambda given: (
                sa.update(runs)
                .values(
                    total_steps=runs.c.total_steps + given.c.total,
                    open_steps=runs.c.open_steps + given.c.open,
                    event_seq=runs.c.event_seq + given.c.events,
                )
                .where(runs.c.id == given.c.id)
                .returning(
                    *(runs.c.id, runs.c.open_steps, runs.c.event_seq, runs.c.status, runs.c.holds)
                )
            ),
            id=sa.BigInteger,
            total=sa.BigInteger,
            open=sa.BigInteger,
            events=sa.BigInteger,
        )
        self._ends()
        self._waits(dialect)
        self.add_events = insert(dialect, tables.events)
        self.side_by_side = SideBySide(dialect)

    def _ends(self) -> None:
        runs = tables.runs
        self.end_runs = Statement(
            ending(self.dialect.scalars("keys")).returning(runs.c.id, runs.c.run_id, runs.c.status),
            *("now", "keys"),
        )

    def _waits(self, dialect: Any) -> None:
        runs, steps = tables.runs, tables.steps
        several = tables.waits

        def waiting_for(wanted: Callable[[Any], Any]) -> Any:
            """Who waits for these names: alone, or among others."""
            alone = may(Act.WAKE, steps.c.status), wanted(steps.c.wait_for)
            return sa.union_all(
                sa.select(steps.c.id, steps.c.wait_for, sa.literal_column("0")).where(*alone),
                sa.select(several.c.step, several.c.name, sa.literal_column("1")).where(
                    wanted(several.c.name)
                ),
            )

        names = dialect.texts("names")
        self.find_waiting = Statement(waiting_for(lambda column: column.in_(names)), "names")
        self.find_one = Statement(waiting_for(lambda column: column == bind("name")), "name")
        self.wake_steps = Statement(
            sa.update(steps)
            .values(wait_names.wakes())
            .where(steps.c.id.in_(dialect.scalars("keys")), still_may(Act.WAKE, steps.c.status))
            .returning(steps.c.id, steps.c.run_key, steps.c.attempt),
            *("now", "keys"),
        )
        # Whatever makes steps ready does not look at holds.
        self.hold_back = Statement(
            sa.update(steps)
            .values(wait_names.freezes())
            .where(
                steps.c.id.in_(dialect.scalars("keys")),
                runs.c.id == steps.c.run_key,
                sa.or_(is_paused(), steps.c.held == 1),
                sa.or_(still_may(Act.HOLD, steps.c.status), still_may(Act.WAKE, steps.c.status)),
            ),
            "now",
            "keys",
        )


class Changes:
    """What one transaction changed, run by run."""

    def __init__(
        self, tx: StoreTransaction, sql: ChangesStatements, fused: FusedStatements | None = None
    ) -> None:
        self._tx = tx
        self._sql = sql
        self._fused = fused
        self._total: dict[int, int] = {}
        self._open: dict[int, int] = {}
        self._events: dict[int, list[EventRow]] = {}
        self._readied: list[Iterable[int]] = []
        self._canceled: dict[int, Mapping[str, Any]] = {}
        self._counted: dict[int, tuple[Any, ...]] = {}
        self.stored: list[StoredEvent] = []
        self.ended_runs: list[str] = []

    def steps_added(self, run_key: int, total: int, open_: int) -> None:
        """`total` steps were added, `open_` of them not ended."""
        self._total[run_key] = self._total.get(run_key, 0) + total
        self._open[run_key] = self._open.get(run_key, 0) + open_

    def created(self, run_key: int, data: Mapping[str, Any]) -> StoredEvent:
        """The first event of a run that is stored with its counts; the caller adds it."""
        text = encode(dict(data), "event", limit=2**31)
        event = (run_key, 1, EventType.RUN_CREATED.value, self._tx.now, None, None, None, text)
        self.stored.append(event)
        return event

    def add(self, events: Sequence[StoredEvent]) -> None:
        """Add events that have their numbers, and are noted, already."""
        self._sql.add_events.many(self._tx, events)

    def told(self, type: EventType, row: Sequence[Any]) -> Sequence[Any]:
        """An event was added already; `row` is its run's, with its number last.

        Returns the row without that.
        """
        self.stored.append((row[0], row[-1], type.value, self._tx.now, None, None, None, None))
        return row[:-1]

    def steps_opened(self, run_key: int, count: int = 1) -> None:
        """`count` steps are open again; negative when they ended."""
        self._open[run_key] = self._open.get(run_key, 0) + count

    def step_ended(self, run_key: int) -> None:
        self._open[run_key] = self._open.get(run_key, 0) - 1

    def steps_succeeded(self, steps: Iterable[ClaimedStep]) -> None:
        """These steps ended, each with the event that says so."""
        kind, now = EventType.STEP_SUCCEEDED.value, self._tx.now
        by_run: dict[int, list[EventRow]] = {}
        for step in steps:
            row = (kind, now, step.key, step.attempt, None, None)
            rows = by_run.get(step.run.key)
            if rows is None:
                by_run[step.run.key] = [row]
            else:
                rows.append(row)
        for run_key, rows in by_run.items():
            self._open[run_key] = self._open.get(run_key, 0) - len(rows)
            self._events.setdefault(run_key, []).extend(rows)

    def counted(
        self, run: tuple[int, int, int, str, int], succeeded: Iterable[ClaimedStep]
    ) -> None:
        """These steps of a run were counted and told of already.

        `run` is its row after that: key, open steps, last event, status, holds.
        """
        key, _, last_seq, *_ = self._counted[run[0]] = run
        event, now = EventType.STEP_SUCCEEDED.value, self._tx.now
        rows = [(event, now, step.key, step.attempt, None, None) for step in succeeded]
        self.stored += [(key, seq, *row) for seq, row in enumerate(rows, last_seq - len(rows) + 1)]

    def readied(self, keys: Iterable[int]) -> None:
        """These steps may be ready now, and no event of theirs says so."""
        self._readied.append(keys)

    def wake(self, name: str, data: Mapping[str, Any]) -> None:
        """Wake all steps that wait for `name` (see `waiting`)."""
        self.wake_all({name: data})

    def wake_all(self, names: Mapping[str, Mapping[str, Any]]) -> None:
        """`wake` for many names at once, each with the data of its events."""
        if len(names) == 1:
            found = self._sql.find_one(self._tx, *names).fetchall()
        else:
            found = self._sql.find_waiting(self._tx, rows_json(list(names))).fetchall()
        if not found:
            return
        plain = {key: names[name] for key, name, several in found if not several}
        if plain:
            self.wake_steps(plain)
        if len(plain) < len(found):
            self._arrived({key: names[name] for key, name, several in found if several})

    def _arrived(self, steps: Mapping[int, Mapping[str, Any]]) -> None:
        """Wake those of these that have what they wait for side by side."""
        over = self._sql.side_by_side.arrived(self._tx, steps)
        if over:
            self.wake_steps({key: steps[key] for key in over})

    def wait_side_by_side(self, suspended: Sequence[Suspended]) -> None:
        """These steps wait for several things; those that have them already are woken."""
        if over := self._sql.side_by_side.begin(self._tx, suspended):
            self.wake_steps({key: {} for key in over})

    def due_side_by_side(self, keys: Iterable[int]) -> list[int]:
        """Of steps whose time is up those that do not wait on for something else."""
        return self._sql.side_by_side.due(self._tx, keys)

    def wake_steps(self, steps: Mapping[int, Mapping[str, Any]]) -> None:
        """Wake these waiting steps, each with the data of its event."""
        keys = rows_json(list(steps))
        for step, run_key, attempt in self._sql.wake_steps(self._tx, self._tx.now, keys).fetchall():
            self.event(run_key, EventType.STEP_WOKEN, step, attempt, data=steps[step])

    def event(
        self,
        run_key: int,
        type: EventType,
        step: int | None = None,
        attempt: int | None = None,
        worker: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an event to the run; it is numbered when the ledger is written."""
        if type in _NEWS:
            self._tx.news = self._tx.more_ready = True
        text = encode(dict(data), "event", limit=2**31) if data else None
        row = (type.value, self._tx.now, step, attempt, worker, text)
        events = self._events.get(run_key)
        if events is None:
            self._events[run_key] = [row]
        else:
            events.append(row)

    def write(self) -> None:
        """Write counters and events, and end the runs in which nothing is open any more."""
        while self._total or self._open or self._events or self._counted:
            keys = sorted(self._total.keys() | self._open.keys() | self._events.keys())
            total, open_, events = self._total, self._open, self._events
            readied, before = self._readied, self._counted
            self._counted = {}
            self._total, self._open, self._events, self._readied = {}, {}, {}, []
            rows = [
                (key, total.get(key, 0), open_.get(key, 0), len(events.get(key, ())))
                for key in keys
            ]
            counted = self._count(rows, events) if rows else []
            changed = set(keys)
            counted += [row for key, row in before.items() if key not in changed]
            stored: list[StoredEvent] = []
            held = False
            over: list[int] = []
            for run_key, still_open, last_seq, status, holds in counted:
                mine = events.get(run_key, ())
                first = last_seq - len(mine) + 1
                stored += [(run_key, seq, *event) for seq, event in enumerate(mine, first)]
                if holds:
                    readied.append([event[2] for event in mine if event[2] is not None])
                    held = True
                may_end = run_key in open_ or run_key in before
                if still_open == 0 and may_end and status not in RUN_ENDED:
                    over.append(run_key)
            if held:
                keys_json = rows_json(list(chain.from_iterable(readied)))
                self._sql.hold_back(self._tx, self._tx.now, keys_json)
            if stored and self._fused is None:
                self._sql.add_events.many(self._tx, stored)
            self.stored += stored
            for run_key in sorted(self._canceled.keys() & set(over)):
                over.remove(run_key)
                self._end([run_key], self._canceled.pop(run_key))
            if over:
                self._end(over)

    def _count(
        self, rows: list[tuple[int, int, int, int]], events: Mapping[int, list[EventRow]]
    ) -> list[Any]:
        """Count; where that is possible, add the events in the same statement.

        Their numbers are only known there; each is told by how many come after it.
        """
        if self._fused is None:
            return self._sql.count(self._tx, rows)
        given = [
            (key, len(mine) - place, *event)
            for key, mine in events.items()
            for place, event in enumerate(mine, 1)
        ]
        rows_text, events_text = rows_json(rows), rows_json(given)
        counted: list[Any] = self._fused.count(self._tx, rows_text, events_text).fetchall()
        return counted

    def end_canceled(self, run_key: int, data: Mapping[str, Any]) -> None:
        """An operator canceled all that was open in a run: its end will say so, with `data`."""
        self._open.setdefault(run_key, 0)
        self._canceled[run_key] = data

    def _end(self, run_keys: list[int], data: Mapping[str, Any] | None = None) -> None:
        """End runs in which nothing is open any more, and wake what waits for that."""
        tx, keys = self._tx, rows_json(run_keys)
        if self._fused is not None:
            self._end_together(self._fused, keys, data)
            return
        names: dict[str, dict[str, Any]] = {}
        for run_key, run_id, status in sorted(self._sql.end_runs(tx, tx.now, keys).fetchall()):
            self.event(run_key, END_EVENTS[RunStatus(status)], data=data)
            self.ended_runs.append(run_id)
            names[wait_names.run_end(run_id)] = {"run_id": run_id}
        self.wake_all(names)

    def _end_together(
        self, fused: FusedStatements, keys: str, data: Mapping[str, Any] | None
    ) -> None:
        """The same in one statement, which also adds the event of each end."""
        tx = self._tx
        tx.news = True
        text = encode(dict(data), "event") if data else None
        rows = fused.end_runs(tx, tx.now, text, keys).fetchall()
        several_waits: dict[int, dict[str, Any]] = {}
        for what, key, run_id, status, number, run_key in sorted(rows, key=itemgetter(0, 1)):
            if what == ENDED:
                event = END_EVENTS[RunStatus(status)].value
                self.stored.append((key, number, event, tx.now, None, None, None, text))
                self.ended_runs.append(run_id)
            elif what == BESIDE:
                several_waits[key] = {"run_id": run_id}
            else:
                self.event(run_key, EventType.STEP_WOKEN, key, number, data={"run_id": run_id})
        if several_waits:
            self._arrived(several_waits)
