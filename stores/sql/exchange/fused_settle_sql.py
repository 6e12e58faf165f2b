"""The success of many executions in one statement, which may hand on what they made ready.

All parts of a statement see the database as it was before it, so nothing here reads what it
changes. The statement before this one has locked the runs, so the values of them and of the
`pending` of their steps that are read here are current.
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
from stepwell.stores.sql.exchange.ready_rules import (
    OfWorker,
    counted_down,
    of_worker,
    on_hold,
)
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

    `rows` has (step, token, value, records, number of later rows of the same run) for each of
    `all` executions. If all leases were held, the runs are counted and get an event for each step;
    otherwise the caller does that for the steps whose leases were held.

    Steps that become ready are handed on to the worker that asks, at most `room` steps of its
    `kinds` in its `queues`, unless other such steps are ready: it would claim the same ones.
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


def _of_worker(dialect: Dialect) -> OfWorker:
    return of_worker(dialect, _number("suspect_from"))


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
    """End the executions as `SettleStatements.succeed` does, and pass on what came with them."""
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
    """Whether all leases were held."""
    every = sa.func.count() == _number("all")
    return sa.select(every.label("whole")).select_from(held).cte("whole")


def _stored(held: Any) -> Any:
    results = tables.results
    return sa.insert(results).from_select(
        [results.c.step, results.c.value, results.c.records, results.c.committed_at],
        sa.select(held.c.id, held.c.value, held.c.records, _number("now")),
    )


def _counted(held: Any, whole: Any) -> Any:
    """Count the ended steps in their runs, if all leases were held."""
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
    """How many dependencies of each step were met."""
    return (
        sa.select(dependencies.c.step, sa.func.count().label("count"))
        .select_from(dependencies.join(held, held.c.id == dependencies.c.needs))
        .where(_is_met())
        .group_by(dependencies.c.step)
        .cte("counts")
    )


def _alone(dialect: Dialect, held: Any, counts: Any) -> Any:
    """Whether what is made ready here is all that the worker would claim, and it may be.

    These are the conditions of `SettleStatements.hand_on`, on all steps together. Those of its
    callers are here, too: `as_known` is `Stepwise.may_offer`, `few` and `drops` are in
    `Stepwise.count_down` and in what calls it with `last`, `Propagation.follow`.
    """
    fits = _of_worker(dialect)
    # Closer than in `hand_on`, which looks at what is ready for anybody.
    others = sa.exists().where(may(Act.CLAIM, steps.c.status), fits.queue, fits.kind)
    held_back = on_hold(runs.c.id.in_(sa.select(held.c.run_key)))
    # Steps that are dropped may make others ready, which come first.
    drops = sa.exists().where(held.c.id == dependencies.c.needs, ~_is_met())
    meta = tables.meta
    control = sa.select(meta.c.value).where(meta.c.name == sa.literal_column("'control'"))
    as_known = control.scalar_subquery() == _number("control")
    few = sa.select(sa.func.count()).select_from(counts).scalar_subquery() <= _number("room")
    alone = sa.and_(few, as_known, ~others, ~held_back, ~drops)
    return sa.select(alone.label("alone")).cte("alone")


def _dependents(dialect: Dialect, counts: Any, alone: Any) -> Any:
    """The steps of `counts`, and whether each may be handed on if it becomes ready."""
    of_worker = _of_worker(dialect)
    fits = sa.and_(alone.c.alone, of_worker.queue, of_worker.kind, of_worker.not_suspect)
    return (
        sa.select(counts.c.step, counts.c.count, fits.label("fits"))
        .where(steps.c.id == counts.c.step)
        .cte("dependents")
    )


def _count_down(dependents: Any) -> Any:
    """Count the dependents down; those that reach 0 are ready, or handed on."""
    is_handoff = sa.and_(steps.c.pending - dependents.c.count == _ZERO, dependents.c.fits)
    values = {
        name: sa.case((is_handoff, value), else_=steps.c[name]) for name, value in taking().items()
    }
    handed = (is_handoff, becomes(Act.CLAIM))
    values |= counted_down(dependents.c.count, _number("now"), handed)
    claimed = sa.case(
        (
            steps.c.status == becomes(Act.CLAIM),
            sa.cast(sa.func.json_build_array(*as_found()), sa.Text),
        )
    )
    return (
        sa.update(steps)
        .values(values)
        .where(steps.c.id == dependents.c.step, still_may(Act.READY, steps.c.status))
        .returning(steps.c.id, steps.c.status, claimed.label("claimed"))
        .cte("down")
    )
