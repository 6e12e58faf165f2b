"""What a run was given when it started, besides its input: stored after its row, if there is any.

A run that has none of it costs no statement here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.errors import Conflict
from stepwell.engine.exchange import NewRun
from stepwell.engine.run_options import RunOptions
from stepwell.engine.states import RunStatus
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
)
from stepwell.stores.sql.schema import tables

runs, steps = tables.runs, tables.steps

# The columns of a new run that has no options; all others are null then.
NEW_RUN_COLUMNS = (
    *("id", "run_id", "package", "entrypoint", "name", "status", "input", "metadata", "tags"),
    *("total_steps", "open_steps", "event_seq", "parent_run", "parent_step"),
    *("created_at", "started_at", "ended_at", "holds"),
)
_OPTIONS = (
    *("queue", "priority", "partition_key", "version", "summary", "dedup_key", "dedup_for"),
    *("start_at", "start_by", "timeout", "deadline"),
)
_ABOUT = ("entrypoint", "name", "input", "metadata", "tags")


class WaitingRun(NamedTuple):
    """A run that has not begun, under a dedup key."""

    key: int
    run_id: str
    created_at: int


class Holder(NamedTuple):
    """The run that holds a dedup key."""

    key: int
    run_id: str


class OptionStatements(Statements):
    """Storing options, and finding who holds a key."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.set_options = Statement(
            sa.update(runs)
            .values({name: bind(name) for name in _OPTIONS})
            .where(runs.c.id == bind("id")),
            *(*_OPTIONS, "id"),
        )
        self.replace = Statement(
            sa.update(runs)
            .values(
                {name: bind(name) for name in (*_ABOUT, *_OPTIONS)}
                | {"replaced": sa.func.coalesce(runs.c.replaced, 0) + 1}
            )
            .where(runs.c.id == bind("id")),
            *(*_ABOUT, *_OPTIONS, "id"),
        )
        self._keys()
        self._replacing()

    def _keys(self) -> None:
        """Who holds a key, and who waits under it."""
        of_key = (runs.c.package == bind("package"), runs.c.dedup_key == bind("dedup_key"))
        is_open = runs.c.ended_at.is_(None)
        held = sa.and_(
            runs.c.status == sa.literal_column(f"'{RunStatus.SUCCEEDED}'"),
            runs.c.ended_at + runs.c.dedup_for > bind("now"),
        )
        self.holder = Statement(
            sa.select(runs.c.id, runs.c.run_id)
            .where(
                *of_key,
                # The partial index's own conditions.
                runs.c.dedup_key.is_not(None),
                sa.or_(is_open, runs.c.dedup_for.is_not(None)),
                sa.or_(is_open, held),
            )
            .order_by(runs.c.id)
            .limit(2),
            *("package", "dedup_key", "now"),
        )
        self.waiting = Statement(
            sa.select(runs.c.id, runs.c.run_id, runs.c.created_at).where(
                *of_key,
                runs.c.dedup_key.is_not(None),
                runs.c.started_at.is_(None),
                is_open,
            ),
            *("package", "dedup_key"),
        )

    def _replacing(self) -> None:
        """Taking away what a run has that is replaced."""
        events = tables.events
        self.drop_told = Statement(
            sa.update(events)
            .values(step=None)
            .where(events.c.run_key == bind("run_key"), events.c.step.is_not(None)),
            "run_key",
        )
        self.drop_holds = Statement(
            sa.update(runs)
            .values(holds=runs.c.holds - bind("count"))
            .where(runs.c.id == bind("run_key")),
            *("count", "run_key"),
        )
        self.drop_steps = Statement(
            sa.delete(steps).where(steps.c.run_key == bind("run_key")).returning(steps.c.held),
            "run_key",
        )

    def waiting_run(self, tx: StoreTransaction, package: str, dedup_key: str) -> WaitingRun | None:
        """The run of this key that has not begun."""
        row = self.waiting(tx, package, dedup_key).fetchone()
        return None if row is None else WaitingRun._make(row)

    def holder_of(self, tx: StoreTransaction, package: str, dedup_key: str) -> Holder | None:
        """The first run that holds this key: an open one, or one whose success holds it still."""
        rows = self.holder(tx, package, dedup_key, tx.now).fetchall()
        return Holder._make(rows[0]) if rows else None

    def other_holder(
        self, tx: StoreTransaction, package: str, dedup_key: str, run_key: int
    ) -> Holder | None:
        """The first other run that holds the key of this one."""
        rows = self.holder(tx, package, dedup_key, tx.now).fetchall()
        return next((Holder._make(row) for row in rows if row[0] != run_key), None)


class RunOptionRows:
    """Works in a transaction given by the caller."""

    def __init__(self, dialect: Dialect) -> None:
        self.sql = OptionStatements(dialect)

    def store(self, tx: StoreTransaction, new: Sequence[tuple[int, NewRun]]) -> None:
        """Store the options of new runs, by their keys."""
        rows = [
            (*option_values(run, tx.now), key)
            for key, run in new
            if run.options is not None or run.summary is not None
        ]
        if rows:
            self.sql.set_options.many(tx, rows)

    def replace(
        self, tx: StoreTransaction, key: int, run: NewRun, begins: int, *, holds: int
    ) -> None:
        """Give a run other options and another input; `holds` of its steps were held."""
        self.sql.replace(tx, *about_values(run), *option_values(run, tx.now, begins), key)
        if holds:
            self.sql.drop_holds(tx, holds, key)
        # Operators may have held its steps, which events tell of.
        self.sql.drop_told(tx, key)


def begins_at(options: RunOptions, now: int) -> int:
    """When the first steps of a run may begin that is stored `now`."""
    if options.start_at is not None:
        return max(options.start_at, now)
    return now + (options.delay or 0)


def option_values(run: NewRun, now: int, begins: int | None = None) -> tuple[Any, ...]:
    """The values of `_OPTIONS`; `begins` replaces what they say of the start."""
    options = run.options or RunOptions()
    if begins is None and (options.start_at is not None or options.delay is not None):
        begins = begins_at(options, now)
    start_by = options.start_by
    if options.start_within is not None:
        start_by = now + options.start_within
    return (
        *(options.queue, options.priority, options.partition_key, options.version, run.summary),
        *(options.dedup_key, options.dedup_for, begins, start_by),
        *(options.timeout, options.deadline),
    )


def about_values(run: NewRun) -> tuple[Any, ...]:
    """The values of `_ABOUT`."""
    return run.entrypoint, run.name, run.input, run.metadata, run.tags


def key_is_taken(package: str, dedup_key: str, holder: str) -> Conflict:
    """The error of a second run with the same dedup key."""
    return Conflict(
        f"run {holder!r} of package {package!r} holds the dedup key {dedup_key!r}; wait for its "
        "end, choose another key, or start with on_duplicate='return'"
    )
