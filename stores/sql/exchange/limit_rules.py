"""When the time limits of a run are over.

A timeout counts from the first claim of a run's steps (or from `timeout_from`, when it was paused
or retried since) and only while the run runs; a deadline always; `start_by` until the first claim.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.states import RunStatus
from stepwell.stores.sql.connection.statements import bind
from stepwell.stores.sql.schema import tables

runs = tables.runs


class Limit(StrEnum):
    """The limits there are."""

    TIMEOUT = "timeout"
    DEADLINE = "deadline"
    START_BY = "start_by"


class Rule(NamedTuple):
    """When a limit is over, and of which runs; the conditions are those of its partial index."""

    limit: Limit
    at: Any
    where: tuple[Any, ...]


_OPEN = runs.c.ended_at.is_(None)
RULES = (
    Rule(
        Limit.TIMEOUT,
        sa.func.coalesce(runs.c.timeout_from, runs.c.started_at) + runs.c.timeout,
        (
            runs.c.timeout.is_not(None),
            runs.c.status == sa.literal_column(f"'{RunStatus.RUNNING}'"),
        ),
    ),
    Rule(Limit.DEADLINE, runs.c.deadline, (runs.c.deadline.is_not(None), _OPEN)),
    Rule(
        Limit.START_BY,
        runs.c.start_by,
        (runs.c.start_by.is_not(None), runs.c.started_at.is_(None), _OPEN),
    ),
)


def is_any_over() -> Any:
    """Whether a limit of any run is over; needs the parameter `now`."""
    found = [sa.exists().where(*rule.where, rule.at <= bind("now")) for rule in RULES]
    return sa.or_(*(each.correlate(None) for each in found))


def next_limits() -> list[Any]:
    """When the next limit of each kind is over."""
    return [sa.select(sa.func.min(rule.at)).where(*rule.where).scalar_subquery() for rule in RULES]
