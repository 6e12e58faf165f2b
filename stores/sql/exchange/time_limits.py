"""Ending the runs whose time limits are over."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from stepwell.engine.clock import to_text
from stepwell.engine.payloads.payload import encode
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
)
from stepwell.stores.sql.exchange.cancels import Cancels
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.graphs import Graphs
from stepwell.stores.sql.exchange.limit_rules import RULES, Limit, is_any_over
from stepwell.stores.sql.schema import tables

runs = tables.runs

DEADLINE_EXCEEDED, EXPIRED = "deadline_exceeded", "expired"


class Over(NamedTuple):
    """A run with a limit that is over, and since when."""

    key: int
    limit: Limit
    at: int


class LimitStatements(Statements):
    """Finding runs whose limits are over, and telling why they failed."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        each = [
            sa.select(
                runs.c.id,
                sa.literal_column(f"'{rule.limit}'").label("limit"),
                rule.at.label("at"),
            )
            .where(*rule.where, rule.at <= bind("now"))
            .order_by(rule.at)
            .limit(1)
            .subquery()
            for rule in RULES
        ]
        over = sa.union_all(*map(sa.select, each)).subquery("over")
        first = sa.select(over).order_by(over.c.at, over.c.id).limit(1)
        self.find_over = Statement(first, "now")
        self.any_over = Statement(sa.select(is_any_over()), "now")
        self.set_error = Statement(
            sa.update(runs).values(error=bind("error")).where(runs.c.id == bind("run_key")),
            *("error", "run_key"),
        )


class TimeLimits:
    """Works in a transaction given by the caller."""

    def __init__(self, dialect: Dialect, graphs: Graphs, cancels: Cancels) -> None:
        self._sql = LimitStatements(dialect)
        self._graphs = graphs
        self._cancels = cancels

    def is_any_over(self, tx: StoreTransaction) -> bool:
        """Whether enforcing would do anything; needs no write."""
        return bool(self._sql.any_over(tx, tx.now).fetchone()[0])

    def enforce(self, tx: StoreTransaction, changes: Changes) -> int:
        """End the run whose limit was over first; returns 0 if there is none, else 1.

        One at a time: the runs below it are locked after it, and for several runs at once that
        would not be in the order of keys.
        """
        found = self._first_over(tx)
        if found is None:
            return 0
        self._graphs.lock_runs(tx, [found.key], to_end=True)
        if self._first_over(tx) == found:  # else others ended it meanwhile, or paused it
            self._end(tx, changes, found)
        return 1

    def _first_over(self, tx: StoreTransaction) -> Over | None:
        row = self._sql.find_over(tx, tx.now).fetchone()
        return None if row is None else Over(row[0], Limit(row[1]), row[2])

    def _end(self, tx: StoreTransaction, changes: Changes, run: Over) -> None:
        at = to_text(run.at)
        if run.limit is Limit.START_BY:
            code, message = EXPIRED, f"the run had not begun by {at}"
        else:
            code = DEADLINE_EXCEEDED
            message = f"the run had not ended by {at}, when its {run.limit} was over"
            error = {"code": code, "message": message}
            self._sql.set_error(tx, encode(error, "error"), run.key)
        data = {"code": code, "message": message}
        self._cancels.cancel_open(tx, changes, run.key, code, message, data)
