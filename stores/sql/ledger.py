"""Bookkeeping of one transaction: what changed per run, and the events of it.

Runs' counters and event numbers are written once per transaction, however many steps changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.payload import encode
from stepwell.engine.states import RUN_ENDED, Act, RunStatus, StepStatus, run_end
from stepwell.stores.sql import schema
from stepwell.stores.sql.statements import (
    UNSUCCESSFUL,
    Statement,
    Statements,
    Transaction,
    becomes,
    bind,
    insert,
    literal,
    may,
    rows_json,
    status_in,
)

_RUN_END_EVENT = {
    RunStatus.SUCCEEDED: EventType.RUN_SUCCEEDED,
    RunStatus.FAILED: EventType.RUN_FAILED,
    RunStatus.CANCELED: EventType.RUN_CANCELED,
}

# Events after which another process may have something to do.
_NEWS = frozenset(
    {
        EventType.RUN_CREATED,
        EventType.RUN_RETRIED,
        *_RUN_END_EVENT.values(),
        EventType.STEP_RETRIED,
        EventType.STEP_RETRYING,
        EventType.STEP_RELEASED,
        EventType.STEP_WOKEN,
        EventType.STEP_LAPSED,
    }
)

# type, at, step key, attempt, worker, data (JSON text)
EventRow = tuple[str, int, int | None, int | None, str | None, str | None]


class LedgerStatements(Statements):
    """Counters, run ends and events."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        runs = schema.runs
        given = dialect.rows(
            "rows", id=sa.BigInteger, total=sa.BigInteger, open=sa.BigInteger, events=sa.BigInteger
        )
        self.count = Statement(
            sa.update(runs)
            .values(
                total_steps=runs.c.total_steps + given.c.total,
                open_steps=runs.c.open_steps + given.c.open,
                event_seq=runs.c.event_seq + given.c.events,
            )
            .where(runs.c.id == given.c.id)
            .returning(runs.c.id, runs.c.open_steps, runs.c.event_seq, runs.c.status),
            "rows",
        )
        self._ends()
        self.add_events = insert(schema.events)

    def _ends(self) -> None:
        runs, steps = schema.runs, schema.steps
        self.has_unhandled_failure = Statement(
            sa.select(sa.literal(1))
            .where(
                steps.c.run_key == bind("run_key"),
                # The wider condition is the partial index's own.
                status_in(steps.c.status, UNSUCCESSFUL),
                steps.c.status == literal(StepStatus.FAILED),
                steps.c.allow_failure == 0,
                ~sa.exists().where(
                    schema.dependencies.c.needs == steps.c.id,
                    schema.dependencies.c.condition == sa.literal_column("'failed'"),
                ),
            )
            .limit(1),
            "run_key",
        )
        # What an operator canceled and nobody retried; what followed from a failure has a cause.
        self.has_canceled_root = Statement(
            sa.select(sa.literal(1))
            .where(
                steps.c.run_key == bind("run_key"),
                status_in(steps.c.status, UNSUCCESSFUL),
                steps.c.status == literal(StepStatus.CANCELED),
                steps.c.cause.is_(None),
            )
            .limit(1),
            "run_key",
        )
        self.end_run = Statement(
            sa.update(runs)
            .values(status=bind("status"), ended_at=bind("now"))
            .where(runs.c.id == bind("run_key"))
            .returning(runs.c.run_id),
            "status",
            "now",
            "run_key",
        )
        self.wake_awaiting = Statement(
            sa.update(steps)
            .values(status=becomes(Act.WAKE), ready_at=bind("now"), wait_run=None, wake_at=None)
            .where(may(Act.WAKE, steps.c.status), steps.c.wait_run == bind("run_id"))
            .returning(steps.c.id, steps.c.run_key, steps.c.attempt),
            "now",
            "run_id",
        )


class Ledger:
    """What one transaction changed, run by run."""

    def __init__(self, tx: Transaction, sql: LedgerStatements) -> None:
        self._tx = tx
        self._sql = sql
        self._total: dict[int, int] = {}
        self._open: dict[int, int] = {}
        self._events: dict[int, list[EventRow]] = {}
        self.stored: list[tuple[int, int, EventRow]] = []
        self.ended_runs: list[str] = []

    def steps_added(self, run_key: int, total: int, open_: int) -> None:
        """`total` steps were added, `open_` of them not ended."""
        self._total[run_key] = self._total.get(run_key, 0) + total
        self._open[run_key] = self._open.get(run_key, 0) + open_

    def steps_opened(self, run_key: int, count: int = 1) -> None:
        """`count` steps are open again; negative when they ended."""
        self._open[run_key] = self._open.get(run_key, 0) + count

    def step_ended(self, run_key: int) -> None:
        self._open[run_key] = self._open.get(run_key, 0) - 1

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
            self._tx.news = True
        text = encode(dict(data), "event", limit=2**31) if data else None
        row = (type.value, self._tx.now, step, attempt, worker, text)
        events = self._events.get(run_key)
        if events is None:
            self._events[run_key] = [row]
        else:
            events.append(row)

    def write(self) -> None:
        """Write counters and events, and end the runs in which nothing is open any more."""
        while self._total or self._open or self._events:
            keys = {**self._total, **self._open, **self._events}
            total, open_, events = self._total, self._open, self._events
            self._total, self._open, self._events = {}, {}, {}
            rows = [
                (key, total.get(key, 0), open_.get(key, 0), len(events.get(key, ())))
                for key in keys
            ]
            counted = self._sql.count(self._tx, rows_json(rows)).fetchall()
            stored: list[tuple[Any, ...]] = []
            for run_key, still_open, last_seq, status in counted:
                mine = events.get(run_key, ())
                for seq, event in enumerate(mine, last_seq - len(mine) + 1):
                    stored.append((run_key, seq, *event))
                    self.stored.append((run_key, seq, event))
                if still_open == 0 and run_key in open_ and status not in RUN_ENDED:
                    self._end(run_key)
            if stored:
                self._sql.add_events.many(self._tx, stored)

    def end_canceled(self, run_key: int, data: Mapping[str, Any]) -> None:
        """End a run by an operator's cancel."""
        self._end(run_key, RunStatus.CANCELED, data)

    def _end(
        self,
        run_key: int,
        status: RunStatus | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        tx = self._tx
        if status is None:
            canceled = self._sql.has_canceled_root(tx, run_key).fetchone() is not None
            failed = self._sql.has_unhandled_failure(tx, run_key).fetchone() is not None
            status = run_end(canceled=canceled, unhandled_failures=failed)
        (run_id,) = self._sql.end_run(tx, status.value, tx.now, run_key).fetchone()
        self.event(run_key, _RUN_END_EVENT[status], data=data)
        self.ended_runs.append(run_id)
        for step, awaiting_run, attempt in self._sql.wake_awaiting(tx, tx.now, run_id).fetchall():
            self.event(awaiting_run, EventType.STEP_WOKEN, step, attempt, data={"run_id": run_id})
