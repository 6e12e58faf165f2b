"""What a claim tells of steps and runs, and what it sets: the same in both plans."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stepwell.engine.states import Act, RunStatus
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import becomes, bind
from stepwell.stores.sql.schema import tables

runs, steps = tables.runs, tables.steps

ONE: sa.ColumnElement[int] = sa.literal_column("1")

# What a claim tells of each step.
CLAIMED = (
    *("priority", "ready_at", "id", "run_key", "step_id", "kind", "queue", "input", "attempt"),
    *("failures", "lost_leases", "max_attempts", "timeout", "retry", "metadata", "dedup_key"),
    *("site", "parent", "allow_failure", "wait", "wake_at", "token", "created_at"),
)
# What executions know of a run.
OF_RUN = [
    runs.c[name]
    for name in (
        *("id", "run_id", "package", "entrypoint", "name", "metadata", "tags", "input"),
        *("created_at", "parent_run"),
    )
]
# What a claim adds one to.
_COUNTED = ("attempt", "token")


def as_found() -> list[Any]:
    """The columns of a step that was taken in the same statement, as they were before that.

    So they are told where steps are found first and then taken.
    """
    columns = [steps.c[name] for name in CLAIMED]
    return [column - ONE if column.name in _COUNTED else column for column in columns]


def taking() -> dict[str, Any]:
    """What a claim sets; needs the parameters `worker`, `now` and `expires`."""
    return {
        "status": becomes(Act.CLAIM),
        "token": steps.c.token + ONE,
        "attempt": steps.c.attempt + ONE,
        "worker": bind("worker"),
        "started_at": bind("now", sa.BigInteger),
        "expires_at": bind("expires", sa.BigInteger),
    }


def starting(dialect: Dialect) -> Any:
    """An update that starts those of the runs that are pending; needs `now` and `keys`.

    Where transactions run side by side it passes over runs that others hold: its transaction holds
    steps already, and so may wait for nothing (see the room's lock order).
    """
    pending = sa.select(runs.c.id).where(
        runs.c.id.in_(dialect.scalars("keys")), runs.c.status == RunStatus.PENDING.value
    )
    if dialect.concurrent:
        locked = pending.with_for_update(skip_locked=True, key_share=True).cte("locked")
        pending = sa.select(locked.prefix_with("MATERIALIZED").c.id)
    start = sa.update(runs).values(
        status=RunStatus.RUNNING.value,
        started_at=sa.func.coalesce(runs.c.started_at, bind("now", sa.BigInteger)),
    )
    return start.where(runs.c.id.in_(pending))
