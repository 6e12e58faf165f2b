"""When a step becomes ready, and what of it may be handed on: the same in both plans.

What the fused plan has to say in other words names its original in the stepwise one;
`tests/postgres/test_plans_agree.py` holds that both leave the same rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.states import Act
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import becomes
from stepwell.stores.sql.schema import tables

runs, steps = tables.runs, tables.steps


def counted_down(count: Any, now: Any, *before: tuple[Any, Any]) -> dict[str, Any]:
    """What an update sets in a pending step when `count` of its dependencies are met.

    With none left it is ready, from `now` on; `before` are (condition, status) that come first.
    """
    left = steps.c.pending - count
    is_ready = left == 0
    return {
        "pending": left,
        "status": sa.case(*before, (is_ready, becomes(Act.READY)), else_=steps.c.status),
        "ready_at": sa.case((is_ready, now), else_=steps.c.ready_at),
    }


class OfWorker(NamedTuple):
    """Conditions on a step for it to be handed on to the worker of an `Offer`."""

    kind: Any
    queue: Any
    not_suspect: Any


def of_worker(dialect: Dialect, suspect_from: Any) -> OfWorker:
    """Needs the parameters `kinds` and `queues`."""
    return OfWorker(
        dialect.is_one_of(steps.c.kind, "kinds"),
        dialect.is_one_of(steps.c.queue, "queues"),
        steps.c.lost_leases < suspect_from,
    )


def on_hold(which: Any) -> Any:
    """One of these runs is paused, or has a held step: `Closing` may have to hold back more."""
    return sa.exists().where(which, runs.c.holds > sa.literal_column("0"))
