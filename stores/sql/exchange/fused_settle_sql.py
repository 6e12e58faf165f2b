"""The success of many executions in one statement, which may hand on what they made ready.

All parts of a statement see the moment before it, so nothing here reads what it changes. The runs
are locked by the statement before this one, so what is read of them and of the `pending` of their
steps is what it will be changed from.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.states import Act, Condition, StepStatus, Verdict, verdict
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import (
    Parameter,
    Statement,
    becomes,
    bind,
    may,
    named,
    still_may,
)
from stepwell.stores.sql.exchange.claim_rules import as_found, taking
from stepwell.stores.sql.schema import tables

steps, runs, dependencies = tables.steps, tables.runs, tables.dependencies

# What a row of the statement tells:
#   HELD        the lease of this step was still held; told only if not all leases were
#   MADE_READY  this step is ready now
#   HANDOFF     this step was made ready and claimed; `text` is its `FoundStep` as JSON
#   UNMET       this step does not get what it needs: `text` is its condition on step `number`
#   COUNTED     the counts of this run: `text` is its status, `number` its open steps
HELD, MADE_READY, HANDOFF, UNMET, COUNTED = range(5)


class SuccessRow(NamedTuple):
    """A row of the statement; only COUNTED has the last three.

    `alone` says whether nothing but what was handed on could be claimed.
    """

    what: int
    key: int
    text: str
    number: int
    last_event: int
    holds: int
    alone: int


success_row = named(SuccessRow)

_MET = [
    condition for condition in Condition if verdict(condition, StepStatus.SUCCEEDED) is Verdict.MET
]
_ZERO: sa.ColumnElement[int] = sa.literal_column("0")


def succeed_together(dialect: Dialect) -> Statement:
    """End executions, store their results, and count down what depended on them.

    `rows` has (step, token, value, records, how many of its run come after it) for each of `all`
    executions. If all were held, their runs are counted and get an event for each; else the
    caller does that, for those that were.

    What is ready now is handed on to the worker that asks, at most `room` steps of the `kinds` in
    the `queues`, if no other one of them is ready: these are the ones it would claim.
    """
    held = _held(dialect)
    whole = _whole(held)
    counts = _counts(held)
    alone = _alone(dialect, held, counts)
    down = _count_down(_dependents(dialect, counts, alone))
    counted = _counted(held, whole)
    handed = down.c.status == becomes(Act.CLAIM)
    ready = down.c.status == becomes(Act.READY)
    unmet = dependencies.join(held, held.c.id == dependencies.c.needs)
    asked = sa.select(alone.c.alone).scalar_subquery()
    rows = sa.union_all(
        _told(HELD, held.c.id).where(~whole.c.whole),
        _told(MADE_READY, down.c.id).where(ready),
        _told(HANDOFF, down.c.id, down.c.claimed).where(handed),
        _told(UNMET, dependencies.c.step, dependencies.c.condition, dependencies.c.needs)
        .select_from(unmet)
        .where(~_is_met()),
        _told(COUNTED, *counted.c, sa.cast(asked, sa.Integer)),
    )
    names = ("now", "rows", "all", "worker", "expires", "suspect_from", "kinds", "queues")
    more = ("room", "control")
    return Statement(
        rows.add_cte(_stored(held).cte("stored"), _events(held, counted)), *names, *more
    )


def _number(name: str) -> Parameter:
    return bind(name, sa.BigInteger)


def _told(what: int, key: Any, *more: Any) -> Any:
    kinds: tuple[Any, ...] = (sa.Text, *[sa.BigInteger] * 4)
    nothing = [sa.cast(sa.null(), kind) for kind in kinds[len(more) :]]
    columns = (sa.literal_column(str(what)), key, *more, *nothing)
    return sa.select(*(column.label(f"c{place}") for place, column in enumerate(columns)))


def _is_met() -> Any:
    met: list[Any] = [sa.literal_column(f"'{name}'") for name in _MET]
    return dependencies.c.condition.in_(met)


def _held(dialect: Dialect) -> Any:
    given = dialect.rows(
        "rows",
        id=sa.BigInteger,
        token=sa.BigInteger,
        value=sa.Text,
        records=sa.Text,
        after=sa.BigInteger,
    )
    return (
        sa.update(steps)
        .values(
            status=becomes(Act.SUCCEED),
            expires_at=sa.null(),
            ended_at=_number("now"),
            error=sa.null(),
        )
        .where(
            steps.c.id == given.c.id,
            steps.c.token == given.c.token,
            still_may(Act.SUCCEED, steps.c.status),
        )
        .returning(
            *(steps.c.id, steps.c.run_key, steps.c.attempt),
            *(given.c.value, given.c.records, given.c.after),
        )
        .cte("held")
    )


def _whole(held: Any) -> Any:
    """Whether all were held."""
    every = sa.func.count() == _number("all")
    return sa.select(every.label("whole")).select_from(held).cte("whole")


def _stored(held: Any) -> Any:
    results = tables.results
    return sa.insert(results).from_select(
        [results.c.step, results.c.value, results.c.records, results.c.committed_at],
        sa.select(held.c.id, held.c.value, held.c.records, _number("now")),
    )


def _counted(held: Any, whole: Any) -> Any:
    """Count the ended steps in their runs."""
    ended = (
        sa.select(held.c.run_key, sa.func.count().label("count"))
        .group_by(held.c.run_key)
        .subquery("ended")
    )
    return (
        sa.update(runs)
        .values(
            open_steps=runs.c.open_steps - ended.c.count,
            event_seq=runs.c.event_seq + ended.c.count,
        )
        .where(runs.c.id == ended.c.run_key, whole.c.whole)
        .returning(*(runs.c.id, runs.c.status, runs.c.open_steps, runs.c.event_seq, runs.c.holds))
        .cte("counted")
    )


def _events(held: Any, counted: Any) -> Any:
    events = tables.events
    columns = ("run_key", "seq", "type", "at", "step", "attempt")
    told = sa.select(
        held.c.run_key,
        counted.c.event_seq - held.c.after,
        sa.literal_column(f"'{EventType.STEP_SUCCEEDED}'"),
        _number("now"),
        *(held.c.id, held.c.attempt),
    ).where(counted.c.id == held.c.run_key)
    return sa.insert(events).from_select([events.c[name] for name in columns], told).cte("told")


def _counts(held: Any) -> Any:
    """By how much the pending steps are counted down."""
    return (
        sa.select(dependencies.c.step, sa.func.count().label("count"))
        .select_from(dependencies.join(held, held.c.id == dependencies.c.needs))
        .where(_is_met())
        .group_by(dependencies.c.step)
        .cte("counts")
    )


def _alone(dialect: Dialect, held: Any, counts: Any) -> Any:
    """Whether what is made ready here is all that the worker would claim, and it may be."""
    others = sa.exists().where(
        may(Act.CLAIM, steps.c.status),
        dialect.is_one_of(steps.c.queue, "queues"),
        dialect.is_one_of(steps.c.kind, "kinds"),
    )
    on_hold = sa.exists().where(runs.c.id.in_(sa.select(held.c.run_key)), runs.c.holds > _ZERO)
    # What they drop may make others ready, which come first.
    drops = sa.exists().where(held.c.id == dependencies.c.needs, ~_is_met())
    meta = tables.meta
    control = sa.select(meta.c.value).where(meta.c.name == sa.literal_column("'control'"))
    as_known = control.scalar_subquery() == _number("control")
    few = sa.select(sa.func.count()).select_from(counts).scalar_subquery() <= _number("room")
    return sa.select(sa.and_(few, as_known, ~others, ~on_hold, ~drops).label("alone")).cte("alone")


def _dependents(dialect: Dialect, counts: Any, alone: Any) -> Any:
    """The steps of `counts`, and whether each may be handed on once it is ready."""
    fits = sa.and_(
        alone.c.alone,
        dialect.is_one_of(steps.c.queue, "queues"),
        dialect.is_one_of(steps.c.kind, "kinds"),
        steps.c.lost_leases < _number("suspect_from"),
    )
    return (
        sa.select(counts.c.step, counts.c.count, fits.label("fits"))
        .where(steps.c.id == counts.c.step)
        .cte("dependents")
    )


def _count_down(dependents: Any) -> Any:
    """Count the dependents down; those that reach 0 are ready, or handed on."""
    left = steps.c.pending - dependents.c.count
    is_ready = left == _ZERO
    is_handoff = sa.and_(is_ready, dependents.c.fits)
    values = {
        name: sa.case((is_handoff, value), else_=steps.c[name]) for name, value in taking().items()
    }
    values["status"] = sa.case(
        (is_handoff, becomes(Act.CLAIM)),
        (is_ready, becomes(Act.READY)),
        else_=steps.c.status,
    )
    values["ready_at"] = sa.case((is_ready, _number("now")), else_=steps.c.ready_at)
    claimed = sa.case(
        (
            steps.c.status == becomes(Act.CLAIM),
            sa.cast(sa.func.json_build_array(*as_found()), sa.Text),
        )
    )
    return (
        sa.update(steps)
        .values(pending=left, **values)
        .where(steps.c.id == dependents.c.step, still_may(Act.READY, steps.c.status))
        .returning(steps.c.id, steps.c.status, claimed.label("claimed"))
        .cte("down")
    )
