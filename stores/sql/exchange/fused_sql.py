"""The hot path in few round trips, for databases that can change rows within WITH.

Each statement here does what several stepwise ones do one after another, and says which; that both
leave the same rows is tested in `tests/postgres/test_plans_agree.py`. All parts of a statement see
the database as it was before it, so nothing here reads what it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from stepwell.engine.states import Act
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    bind,
    may,
    named,
    still_may,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.fused_claim_sql import claim_together, start_together
from stepwell.stores.sql.exchange.fused_settle_sql import succeed_together
from stepwell.stores.sql.exchange.run_ends import END_EVENTS, counting, ending
from stepwell.stores.sql.exchange.run_options import NEW_RUN_COLUMNS
from stepwell.stores.sql.exchange.steps_sql import NEW_STEP_COLUMNS
from stepwell.stores.sql.schema import tables

steps, runs, dependencies = tables.steps, tables.runs, tables.dependencies

# What a row of `FusedStatements.end_runs` tells of: a run that ended, a step that was woken by it,
# a step that waits for it beside something else.
ENDED, WOKEN, BESIDE = 0, 1, 2


class EndRow(NamedTuple):
    """A row of `FusedStatements.end_runs`.

    `key` is that of the run or step; `number` is that of the run's last event, or the step's
    attempt; only ENDED has a status, only WOKEN a `run_key`, which is that of the step's run.
    """

    what: int
    key: int
    run_id: str
    status: str
    number: int
    run_key: int


end_row = named(EndRow)


def keys_array(keys: Iterable[int]) -> str:
    """Keys as the parameter of `lock_runs`."""
    return "{" + ",".join(map(str, keys)) + "}"


class FusedStatements(Statements):
    """Made only where the database can change rows within WITH."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.lock_runs = self._lock_runs()
        self.claim = claim_together(dialect)
        self.start_runs = start_together(dialect)
        self.succeed = succeed_together(dialect)
        self.count = self._count()
        self.end_runs = self._end_runs()
        self.add_graphs = self._add_graphs()

    def _lock_runs(self) -> Statement:
        """`GraphStatements.lock_runs`, which returns the control number with each run.

        The number was read before the locks were waited for: a change meanwhile is noticed one
        exchange late.
        """
        meta = tables.meta
        control = sa.select(meta.c.value).where(meta.c.name == sa.literal_column("'control'"))
        keys = sa.cast(bind("keys"), postgresql.ARRAY(sa.BigInteger))
        return Statement(
            sa.select(control.scalar_subquery(), runs.c.id)
            .where(runs.c.id == sa.any_(keys))
            .order_by(runs.c.id)
            .with_for_update(of=runs, key_share=True),
            "keys",
        )

    def _add_graphs(self) -> Statement:
        """Insert runs, steps, edges and first events, as `Stepwise.add_runs` does one by one."""

        def insert(parameter: str, table: sa.Table, names: Sequence[str]) -> Any:
            kinds: dict[str, Any] = {name: table.c[name].type for name in names}
            rows = self.dialect.rows(parameter, **kinds)
            return sa.insert(table).from_select(list(names), sa.select(rows))

        new_runs = insert("runs", runs, NEW_RUN_COLUMNS)
        new_steps = insert("steps", steps, NEW_STEP_COLUMNS)
        edges = insert("edges", dependencies, [column.name for column in dependencies.columns])
        events = insert("events", tables.events, [column.name for column in tables.events.columns])
        added = edges.add_cte(
            new_runs.cte("new_runs"), new_steps.cte("new_steps"), events.cte("new_events")
        )
        return Statement(added, *("runs", "steps", "edges", "events"))

    def _end_runs(self) -> Statement:
        """End runs with an event each, and wake the steps that wait for their ends.

        As `StepwiseStatements.end_runs` and `Waking.by_name`; steps that wait side by side for
        something else are only returned.
        """
        ended = (
            ending(self.dialect.scalars("keys"))
            .values(event_seq=runs.c.event_seq + 1)
            .returning(runs.c.id, runs.c.run_id, runs.c.status, runs.c.event_seq)
            .cte("ended")
        )
        events = tables.events
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
        name = sa.literal(wait_names.run_end("")) + ended.c.run_id
        sleeper = steps.alias("sleeper")
        # OFFSET makes a look-up for each run: a planner that underestimates the waiting steps would
        # read all of them.
        each = (
            sa.select(sleeper.c.id)
            .where(may(Act.WAKE, sleeper.c.status), sleeper.c.wait_for == name)
            .offset(sa.literal_column("0"))
            .lateral("each")
        )
        among = sa.select(tables.waits.c.step).where(tables.waits.c.name == name)
        beside = among.offset(sa.literal_column("0")).lateral("beside")
        found = sa.select(each.c.id, ended.c.run_id).select_from(ended.join(each, sa.true()))
        sleepers = found.cte("sleepers").prefix_with("MATERIALIZED")
        woken = (
            sa.update(steps)
            .values(wait_names.wakes())
            .where(steps.c.id == sleepers.c.id, still_may(Act.WAKE, steps.c.status))
            .returning(steps.c.id, steps.c.run_key, steps.c.attempt, sleepers.c.run_id)
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
            sa.select(
                sa.literal_column(str(BESIDE)),
                *(beside.c.step, ended.c.run_id, sa.cast(sa.null(), sa.Text), nothing, nothing),
            ).select_from(ended.join(beside, sa.true())),
        )
        return Statement(rows.add_cte(told.cte("told")), *("now", "data", "keys"))

    def _count(self) -> Statement:
        """Add to the counters of runs, and store the events that get their numbers from them."""
        given = self.dialect.rows(
            "rows", id=sa.BigInteger, total=sa.BigInteger, open=sa.BigInteger, events=sa.BigInteger
        )
        counted = counting(given).cte("counted")
        events = tables.events
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
