"""A whole claim in one statement, of the fused plan."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.states import Act
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import Statement, bind, may
from stepwell.stores.sql.exchange.claim_rules import OF_RUN, ONE, as_found, starting, taking
from stepwell.stores.sql.schema import tables

steps = tables.steps

_ORDER = (steps.c.priority, steps.c.ready_at, steps.c.id)


def claim_together(dialect: Dialect) -> Statement:
    """Find the best ready steps for every pool, and take them: `Choice.best` with `take`.

    `wanted` has a row of (queue, kind, limit, pool, budget) for each queue and kind that may be
    claimed: `limit` is the pool's, `budget` the queue's. One suspect is taken, if `suspects`.
    Returns the columns of `as_found`, in no order, and with each step how many were locked: others
    could not see for a moment those that were not taken.
    """
    wanted = sa.select(
        dialect.rows(
            "wanted",
            queue=sa.Text,
            kind=sa.Text,
            limit=sa.BigInteger,
            pool=sa.BigInteger,
            budget=sa.BigInteger,
        )
    ).cte("wanted")
    candidates = sa.union_all(sa.select(_found(wanted)), sa.select(_suspect(wanted)))
    locked = candidates.cte("locked")
    best = _best(locked)
    taken = (
        sa.update(steps)
        .values(taking())
        .where(
            steps.c.id == best.c.id,
            sa.or_(best.c.budget.is_(None), best.c.turn <= best.c.budget),
        )
        .returning(*as_found())
        .cte("taken")
    )
    count = sa.select(sa.func.count()).select_from(locked).scalar_subquery()
    return Statement(
        sa.select(taken, count),
        *("worker", "now", "expires", "suspect_from", "suspects", "wanted"),
    )


def start_together(dialect: Dialect) -> Statement:
    """Start runs, with an event each; returns the columns of `FoundRun` and the event's number."""
    runs, events = tables.runs, tables.events
    started = (
        starting(dialect)
        .values(event_seq=runs.c.event_seq + ONE)
        .returning(*OF_RUN, runs.c.event_seq)
        .cte("started")
    )
    told = sa.insert(events).from_select(
        [events.c.run_key, events.c.seq, events.c.type, events.c.at],
        sa.select(
            started.c.id,
            started.c.event_seq,
            sa.literal_column(f"'{EventType.RUN_STARTED}'"),
            bind("now", sa.BigInteger),
        ),
    )
    return Statement(sa.select(started).add_cte(told.cte("told")), *("now", "keys"))


def _fits(wanted: Any) -> tuple[Any, ...]:
    return (
        may(Act.CLAIM, steps.c.status),
        steps.c.queue == wanted.c.queue,
        steps.c.kind == wanted.c.kind,
        steps.c.ready_at <= bind("now"),
    )


def _shares(wanted: Any) -> list[Any]:
    return [wanted.c[name] for name in ("pool", "limit", "queue", "budget")]


def _found(wanted: Any) -> Any:
    """The best of each queue and kind, locked, as `ClaimStatements.find_ready` finds them."""
    each = (
        sa.select(*_ORDER)
        .where(*_fits(wanted), steps.c.lost_leases < bind("suspect_from"))
        .order_by(*_ORDER)
        .limit(sa.func.least(wanted.c.limit, wanted.c.budget))
        .with_for_update(skip_locked=True)
        .lateral("each")
    )
    # Materialized, so that rows are locked once and limits hold, whatever the planner chooses.
    found = sa.select(*each.columns, *_shares(wanted)).select_from(wanted.join(each, sa.true()))
    return found.cte("found").prefix_with("MATERIALIZED")


def _suspect(wanted: Any) -> Any:
    """The first that may have killed its workers, as `ClaimStatements.find_suspect` has it."""
    return (
        sa.select(*_ORDER, *_shares(wanted))
        .where(
            *_fits(wanted),
            # Implied by the next condition, but needed for the partial index of suspects.
            steps.c.lost_leases > sa.literal_column("0"),
            steps.c.lost_leases >= bind("suspect_from"),
        )
        .order_by(*_ORDER)
        .limit(bind("suspects"))
        .with_for_update(of=steps, skip_locked=True)
        .cte("suspect")
        .prefix_with("MATERIALIZED")
    )


def _best(locked: Any) -> Any:
    """The best steps of each pool, up to its limit, with the `turn` of each in its queue."""
    order = (locked.c.priority, locked.c.ready_at, locked.c.id)
    place = sa.func.row_number().over(partition_by=locked.c.pool, order_by=order)
    placed = sa.select(locked, place.label("place")).subquery("placed")
    order = (placed.c.priority, placed.c.ready_at, placed.c.id)
    turn = sa.func.row_number().over(partition_by=placed.c.queue, order_by=order)
    best = sa.select(placed, turn.label("turn")).where(placed.c.place <= placed.c.limit)
    return best.cte("best")
