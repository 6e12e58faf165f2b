"""What a claim reads and what it sets: the same in both plans."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.states import Act, RunStatus
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import becomes, bind, named
from stepwell.stores.sql.schema import tables

runs, steps = tables.runs, tables.steps

ONE: sa.ColumnElement[int] = sa.literal_column("1")


class FoundStep(NamedTuple):
    """A ready step, as a claim finds it and before the claim changes it.

    The fields are columns of `steps`. They begin with the order in which steps are claimed.
    """

    priority: int
    ready_at: int
    id: int
    run_key: int
    step_id: str
    kind: str
    queue: str
    input: str
    attempt: int
    failures: int
    lost_leases: int
    max_attempts: int
    timeout: int | None
    retry: str | None
    metadata: str | None
    dedup_key: str | None
    site: str | None
    parent: int | None
    allow_failure: int
    wait: str | None
    wake_at: int | None
    token: int
    created_at: int


class FoundRun(NamedTuple):
    """What executions know of a run; the fields are columns of `runs`."""

    id: int
    run_id: str
    package: str
    entrypoint: str
    name: str
    metadata: str
    tags: str
    input: str
    created_at: int
    parent_run: int | None
    queue: str | None
    priority: int | None


found_step = named(FoundStep)
found_run = named(FoundRun)

# The columns of `FoundRun`.
OF_RUN = [runs.c[name] for name in FoundRun._fields]
# Columns that a claim increments.
_COUNTED = ("attempt", "token")


def finding() -> list[Any]:
    """The columns of `FoundStep`."""
    return [steps.c[name] for name in FoundStep._fields]


def as_found() -> list[Any]:
    """The columns of `FoundStep` for an update that takes the steps: as they were before it."""
    return [column - ONE if column.name in _COUNTED else column for column in finding()]


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
    """An update that starts the pending ones of these runs; needs `now` and `keys`.

    Where transactions run side by side it skips runs that others have locked: its transaction has
    locked steps already, so it must not wait (see the lock order in `stores.sql`).
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
