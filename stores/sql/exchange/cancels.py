"""Canceling all that is open in a run, and in the runs that its steps started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import RUN_ENDED, Act, RunStatus
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    becomes,
    bind,
    may,
    rows_json,
)
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.graphs import Graphs
from stepwell.stores.sql.schema import tables

runs, steps = tables.runs, tables.steps


class CancelStatements(Statements):
    """Ending what is open."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.cancel_open = Statement(
            sa.update(steps)
            .values(
                status=becomes(Act.CANCEL),
                ended_at=bind("now"),
                expires_at=None,
                wait_for=None,
                wake_at=None,
                wait_left=None,
                error=bind("error"),
            )
            .where(steps.c.run_key == bind("run_key"), may(Act.CANCEL, steps.c.status))
            .returning(steps.c.id),
            *("now", "error", "run_key"),
        )
        waits = tables.waits
        self.forget_waits = Statement(
            sa.delete(waits).where(waits.c.step.in_(dialect.scalars("keys"))), "keys"
        )
        self.open_below = Statement(_open_below(), "run_key")


def _open_below() -> Any:
    """The runs that steps of a run started, and theirs, as far as they have not ended."""

    def started_by(parent: Any) -> Any:
        # The first condition is the partial index's own.
        is_open = ~status_in_text(runs.c.status, RUN_ENDED)
        return sa.select(runs.c.id).where(
            runs.c.parent_run.is_not(None), runs.c.parent_run == parent, is_open
        )

    below = started_by(bind("run_key")).cte("below", recursive=True)
    below = below.union_all(started_by(below.c.id))
    return sa.select(below.c.id).order_by(below.c.id)


def status_in_text(column: sa.ColumnElement[Any], statuses: Iterable[RunStatus]) -> Any:
    """`column` is one of these run statuses, as literals."""
    return column.in_([sa.literal_column(f"'{status}'") for status in sorted(statuses)])


class Cancels:
    """Works in a transaction given by the caller, who has locked the run and its parent."""

    def __init__(self, dialect: Dialect, graphs: Graphs) -> None:
        self._sql = CancelStatements(dialect)
        self._graphs = graphs

    def cancel_open(  # what is told of it
        self,
        tx: StoreTransaction,
        changes: Changes,
        run_key: int,
        code: str,
        message: str,
        data: Mapping[str, Any],
    ) -> int:
        """Cancel what is open in a run and below it, which ends them; returns how many steps.

        `data` is what the ends of the runs say.
        """
        error = encode({"code": code, "message": message}, "error")
        total = 0
        for key in (run_key, *self._locked_below(tx, run_key)):
            canceled = self._sql.cancel_open(tx, tx.now, error, key).fetchall()
            if canceled:
                self._sql.forget_waits(tx, rows_json([row[0] for row in canceled]))
            for (step,) in canceled:
                changes.event(key, EventType.STEP_CANCELED, step, data={"code": code})
            changes.steps_opened(key, -len(canceled))
            changes.end_canceled(key, {**data, "steps": len(canceled)})
            total += len(canceled)
        return total

    def _locked_below(self, tx: StoreTransaction, run_key: int) -> list[int]:
        """The open runs below one that is locked, locked themselves.

        They are read again after they were waited for: some may have ended, or started others.
        Those have greater keys, so that the order of locks is kept.
        """
        locked: set[int] = set()
        while True:
            below = [row[0] for row in self._sql.open_below(tx, run_key).fetchall()]
            if locked.issuperset(below):
                return below
            self._graphs.lock_runs(tx, set(below) - locked)
            locked.update(below)
