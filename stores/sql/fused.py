"""The hot path in few round trips, for databases that can change rows within WITH.

Each statement here does what several of the others do one after another; the rules are theirs.
All parts of a statement see the moment before it, so nothing here reads what it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from stepwell.engine.states import Act, Condition, StepStatus, Verdict, verdict
from stepwell.stores.sql import schema, waiting
from stepwell.stores.sql.dialect import Dialect
from stepwell.stores.sql.run_ends import END_EVENTS, ending
from stepwell.stores.sql.statements import Statement, Statements, becomes, bind, may, still_may
from stepwell.stores.sql.steps_sql import NEW_STEP_COLUMNS

steps, runs, dependencies = schema.steps, schema.runs, schema.dependencies

# What a row of `FusedStatements.succeed` tells.
HELD, MADE_READY, UNMET = 0, 1, 2
# … and of `FusedStatements.end_runs`.
ENDED, WOKEN = 0, 1

_MET = [
    condition for condition in Condition if verdict(condition, StepStatus.SUCCEEDED) is Verdict.MET
]


class FusedStatements(Statements):
    """Made only where `Dialect.fuses`."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.lock_runs = self._lock_runs()
        self.succeed = self._succeed()
        self.count = self._count()
        self.end_runs = self._end_runs()
        self.add_graphs = self._add_graphs()

    def _lock_runs(self) -> Statement:
        """Lock runs and those that started them in the order of keys; returns the control number.

        A run that ends wakes a step in the one that started it. The number is of the moment
        before the locks were waited for: what changed it meanwhile is noticed one exchange late.
        """
        given = sa.select(self.dialect.scalars("keys").subquery("given"))
        parents = sa.select(runs.c.parent_run).where(
            runs.c.id.in_(self.dialect.scalars("keys")), runs.c.parent_run.is_not(None)
        )
        # Limited as all that is given, so that each is looked up by its key.
        locked = (
            sa.select(runs.c.id)
            .where(runs.c.id.in_(given.union(parents)))
            .order_by(runs.c.id)
            .with_for_update()
            .cte("locked")
            .prefix_with("MATERIALIZED")
        )
        control = schema.meta.c.value
        return Statement(
            sa.select(
                control, sa.select(sa.func.count()).select_from(locked).scalar_subquery()
            ).where(schema.meta.c.name == sa.literal_column("'control'")),
            "keys",
        )

    def _add_graphs(self) -> Statement:
        """Insert runs, steps, and the edges between them."""

        def insert(parameter: str, table: sa.Table, names: Sequence[str]) -> Any:
            kinds: dict[str, Any] = {name: table.c[name].type for name in names}
            rows = self.dialect.rows(parameter, **kinds)
            return sa.insert(table).from_select(list(names), sa.select(rows))

        new_runs = insert("runs", runs, [column.name for column in runs.columns])
        new_steps = insert("steps", steps, NEW_STEP_COLUMNS)
        edges = insert("edges", dependencies, [column.name for column in dependencies.columns])
        added = edges.add_cte(new_runs.cte("new_runs"), new_steps.cte("new_steps"))
        return Statement(added, *("runs", "steps", "edges"))

    def _end_runs(self) -> Statement:
        """End runs with an event each, and wake the steps that wait for it."""
        ended = (
            ending(self.dialect.scalars("keys"))
            .values(event_seq=runs.c.event_seq + 1)
            .returning(runs.c.id, runs.c.run_id, runs.c.status, runs.c.event_seq)
            .cte("ended")
        )
        events = schema.events
        kinds = {status.value: event.value for status, event in END_EVENTS.items()}
        told = sa.insert(events).from_select(
            [events.c.run_key, events.c.seq, events.c.type, events.c.at, events.c.data],
            sa.select(
                ended.c.id,
                ended.c.event_seq,
                sa.case(kinds, value=ended.c.status),
                bind("now"),
                sa.cast(bind("data"), sa.Text),
            ),
        )
        woken = (
            sa.update(steps)
            .values(waiting.wakes())
            .where(
                may(Act.WAKE, steps.c.status),
                steps.c.wait_for == sa.literal(waiting.run_end("")) + ended.c.run_id,
            )
            .returning(steps.c.id, steps.c.run_key, steps.c.attempt, ended.c.run_id)
            .cte("woken")
        )
        nothing = sa.cast(sa.null(), sa.BigInteger)
        rows = sa.union_all(
            sa.select(
                sa.literal_column(str(ENDED)),
                *(ended.c.id, ended.c.run_id, ended.c.status, ended.c.event_seq, nothing),
            ),
            sa.select(
                sa.literal_column(str(WOKEN)),
                *(woken.c.id, woken.c.run_id, sa.cast(sa.null(), sa.Text)),
                *(woken.c.attempt, woken.c.run_key),
            ),
        )
        return Statement(rows.add_cte(told.cte("told")), *("now", "data", "keys"))

    def _succeed(self) -> Statement:
        """End executions, store their results, and count down what depended on them."""
        given = self.dialect.rows(
            "rows", id=sa.BigInteger, token=sa.BigInteger, value=sa.Text, records=sa.Text
        )
        held = (
            sa.update(steps)
            .values(
                status=becomes(Act.SUCCEED),
                expires_at=sa.null(),
                ended_at=bind("now"),
                error=sa.null(),
            )
            .where(
                steps.c.id == given.c.id,
                steps.c.token == given.c.token,
                still_may(Act.SUCCEED, steps.c.status),
            )
            .returning(steps.c.id, given.c.value, given.c.records)
            .cte("held")
        )
        results = schema.results
        stored = sa.insert(results).from_select(
            [results.c.step, results.c.value, results.c.records, results.c.committed_at],
            sa.select(held.c.id, held.c.value, held.c.records, bind("now")),
        )
        met = dependencies.c.condition.in_([sa.literal_column(f"'{name}'") for name in _MET])
        edges = dependencies.join(held, held.c.id == dependencies.c.needs)
        counts = (
            sa.select(dependencies.c.step, sa.func.count().label("count"))
            .select_from(edges)
            .where(met)
            .group_by(dependencies.c.step)
            .cte("counts")
        )
        down = _count_down(counts)
        nothing = (
            sa.cast(sa.null(), sa.Text).label("condition"),
            sa.cast(sa.null(), sa.BigInteger).label("origin"),
        )

        def told(what: int, key: Any, *more: Any) -> Any:
            return sa.select(sa.literal_column(str(what)).label("what"), key.label("key"), *more)

        unmet = told(UNMET, dependencies.c.step, dependencies.c.condition, dependencies.c.needs)
        return Statement(
            sa.union_all(
                told(HELD, held.c.id, *nothing),
                told(MADE_READY, down.c.id, *nothing).where(down.c.pending == 0),
                unmet.select_from(edges).where(~met),
            ).add_cte(stored.cte("stored")),
            *("now", "rows"),
        )

    def _count(self) -> Statement:
        """Count what changed in runs, and add the events that this gives numbers to."""
        given = self.dialect.rows(
            "rows", id=sa.BigInteger, total=sa.BigInteger, open=sa.BigInteger, events=sa.BigInteger
        )
        counted = (
            sa.update(runs)
            .values(
                total_steps=runs.c.total_steps + given.c.total,
                open_steps=runs.c.open_steps + given.c.open,
                event_seq=runs.c.event_seq + given.c.events,
            )
            .where(runs.c.id == given.c.id)
            .returning(
                *(runs.c.id, runs.c.open_steps, runs.c.event_seq, runs.c.status, runs.c.holds)
            )
            .cte("counted")
        )
        events = schema.events
        kinds: dict[str, Any] = {column.name: column.type for column in events.columns}
        new = self.dialect.rows("events", **kinds)
        told = sa.select(
            *(
                counted.c.event_seq - column if column.name == "seq" else column
                for column in new.columns
            )
        ).where(counted.c.id == new.c.run_key)
        added = sa.insert(events).from_select(list(kinds), told)
        return Statement(sa.select(counted).add_cte(added.cte("added")), *("rows", "events"))


def _count_down(counts: Any) -> Any:
    """Count the steps of `counts` (step, count) down; those that reach 0 are ready."""
    left = steps.c.pending - counts.c.count
    return (
        sa.update(steps)
        .values(
            pending=left,
            status=sa.case((left == 0, becomes(Act.READY)), else_=steps.c.status),
            ready_at=sa.case((left == 0, bind("now")), else_=steps.c.ready_at),
        )
        .where(steps.c.id == counts.c.step, still_may(Act.READY, steps.c.status))
        .returning(steps.c.id, steps.c.pending)
        .cte("down")
    )
