"""How runs are counted, and how they end when they have no open steps."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.states import RUN_ENDED, RunStatus, StepStatus, run_end
from stepwell.stores.sql.connection.statements import bind, literal, unsuccessful
from stepwell.stores.sql.schema import tables

runs, steps = tables.runs, tables.steps

END_EVENTS = {
    RunStatus.SUCCEEDED: EventType.RUN_SUCCEEDED,
    RunStatus.FAILED: EventType.RUN_FAILED,
    RunStatus.CANCELED: EventType.RUN_CANCELED,
}

# The columns of a `CountedRun`.
COUNTED_RUN = (runs.c.id, runs.c.open_steps, runs.c.event_seq, runs.c.status, runs.c.holds)

_ENDED: list[sa.ColumnElement[str]] = [
    sa.literal_column(f"'{status}'") for status in sorted(RUN_ENDED)
]


def counting(given: Any) -> Any:
    """An update that adds to the counters of runs; returns them as a `CountedRun`."""
    return (
        sa.update(runs)
        .values(
            total_steps=runs.c.total_steps + given.c.total,
            open_steps=runs.c.open_steps + given.c.open,
            event_seq=runs.c.event_seq + given.c.events,
        )
        .where(runs.c.id == given.c.id)
        .returning(*COUNTED_RUN)
    )


def ending(keys: Any) -> Any:
    """An update that ends these runs, by how their steps ended; needs the parameter `now`.

    A run that has ended already stays as it is, and is not returned.
    """
    of_run = (
        steps.c.run_key == runs.c.id,
        # The partial index's own condition.
        unsuccessful(steps.c.status),
    )
    unhandled_failure = (
        *of_run,
        steps.c.status == literal(StepStatus.FAILED),
        steps.c.allow_failure == 0,
        ~sa.exists().where(
            tables.dependencies.c.needs == steps.c.id,
            tables.dependencies.c.condition == sa.literal_column("'failed'"),
        ),
    )
    # Canceled by an operator and not retried; a step that a failure canceled has a cause.
    canceled_root = sa.exists().where(
        *of_run,
        steps.c.status == literal(StepStatus.CANCELED),
        steps.c.cause.is_(None),
    )
    return (
        sa.update(runs)
        .values(
            status=sa.case(
                (runs.c.error.is_not(None), _ends_as(unhandled_failures=True)),
                (canceled_root, _ends_as(canceled=True)),
                (sa.exists().where(*unhandled_failure), _ends_as(unhandled_failures=True)),
                else_=_ends_as(),
            ),
            error_step=sa.select(steps.c.id)
            .where(*unhandled_failure)
            .order_by(steps.c.ended_at, steps.c.id)
            .limit(1)
            .scalar_subquery(),
            ended_at=bind("now"),
            holds=runs.c.holds - sa.case((is_paused(), 1), else_=0),
        )
        .where(runs.c.id.in_(keys), runs.c.status.not_in(_ENDED))
    )


def is_paused() -> Any:
    """Whether the run is paused."""
    return runs.c.status == RunStatus.PAUSED.value


def _ends_as(*, canceled: bool = False, unhandled_failures: bool = False) -> Any:
    """The status of a run that ends like this, as a literal."""
    status = run_end(canceled=canceled, unhandled_failures=unhandled_failures)
    return sa.literal_column(f"'{status}'", sa.Text)
