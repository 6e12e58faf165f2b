"""Joins (subtree dependencies) on a step that emitted a dedup key which another step had already.

The repetition is stored, for joins that are made later. A join waits for the repeated step as it
would for an emitted one, and for all that is emitted below it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from stepwell.engine.states import Condition, StepStatus, Verdict, verdict
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    insert,
    rows_json,
)
from stepwell.stores.sql.exchange.emissions import Emission
from stepwell.stores.sql.exchange.propagation import Propagation
from stepwell.stores.sql.exchange.steps_sql import GraphStatements, SettleStatements
from stepwell.stores.sql.schema import tables

dependencies, repeats, steps = tables.dependencies, tables.repeats, tables.steps


class RepeatStatements(Statements):
    """Which given steps a join waits for already, and which stored steps were repeated."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        named = (
            dependencies.c.needs.in_(dialect.scalars("keys")),
            dependencies.c.step == bind("step"),
        )
        columns = dependencies.c.needs, dependencies.c.subtree
        self.edges = Statement(sa.select(*columns).where(*named), "keys", "step")
        self.widen = Statement(
            sa.update(dependencies).values(subtree=sa.literal_column("1")).where(*named),
            *("keys", "step"),
        )
        self.add = insert(dialect, repeats)
        self.of = Statement(
            sa.select(repeats.c.step).where(repeats.c.emitter.in_(dialect.scalars("keys"))), "keys"
        )


class Repeats:
    """Makes joins wait for the first step of a dedup key, and all below it, as if emitted now.

    It is made for one transaction. `unsettled` are steps that ended in it and whose edges were not
    followed yet.
    """

    def __init__(
        self,
        tx: StoreTransaction,
        sql: tuple[RepeatStatements, SettleStatements, GraphStatements],
        propagation: Propagation,
        unsettled: frozenset[int],
    ) -> None:
        self._tx = tx
        self._own_sql, self._sql, self._graph_sql = sql
        self._propagation = propagation
        self._unsettled = unsettled

    def store(self, emissions: Sequence[Emission]) -> None:
        """Store what these repeated, before any step is stored that may wait for it."""
        rows = [
            (emission.parent.key, key)
            for emission in emissions
            for key in emission.repeated
            if key != emission.parent.key
        ]
        if rows:
            self._own_sql.add.many(self._tx, rows)

    def join(self, emissions: Sequence[Emission]) -> None:
        """Add the missing edges to the joins on these, and to new joins on earlier repetitions.

        One after the other, each with the edges of those before it stored: so of two joins that
        lead to each other, only one waits for the other.
        """
        for emission in emissions:
            if emission.repeated:
                for join, condition in self._joins(emission, alone=len(emissions) == 1):
                    self._widen(join, Condition(condition), emission.repeated)
        for emission in emissions:
            for join, condition, target in emission.late:
                self._widen(join, condition, self._with_all_below([target]))
                self._propagation.met(join)

    def _joins(self, emission: Emission, *, alone: bool) -> Iterable[tuple[int, str]]:
        """The joins on the emitting step; other emissions may have changed them."""
        if alone:
            return emission.joins
        rows = self._sql.subtree_dependents(self._tx, rows_json([emission.parent.key])).fetchall()
        return [(step, condition) for _, step, condition in rows]

    def _widen(self, join: int, condition: Condition, repeated: Iterable[int]) -> None:
        """Make one join wait for these and all below them.

        Steps that wait for the join itself are left out: that would be a cycle.
        """
        edges = self._edges(join, repeated)
        new = [key for key in repeated if edges.get(key) != 1 and key != join]
        if not new or self._has_begun(join):
            return
        below = self._with_all_below(new)
        later = {join, *(row[0] for row in self._graph_sql.downstream(self._tx, rows_json([join])))}
        wanted = {key: status for key, status in below.items() if key not in later}
        # If some are left out, the edge to a succeeded step, which emits no more, is a plain one:
        # a subtree edge promises edges to all below.
        is_whole = len(wanted) == len(below)
        edges = self._edges(join, wanted)
        rows, widen, unmet = [], [], 0
        for key, status in wanted.items():
            subtree = int(is_whole or status is not StepStatus.SUCCEEDED)
            if key not in edges:
                rows.append((key, join, condition.value, subtree))
                unmet += self._is_unmet(join, condition, key, status)
            elif subtree > edges[key]:
                widen.append(key)
        if rows:
            self._sql.add_edges.many(self._tx, rows)
        if widen:
            self._own_sql.widen(self._tx, rows_json(widen), join)
        if unmet:
            self._sql.count_up(self._tx, rows_json([(join, unmet)]))

    def _is_unmet(self, join: int, condition: Condition, key: int, status: StepStatus) -> bool:
        """Whether the join has to wait for it. If it can never be met, drops the join."""
        if key in self._unsettled:
            return True
        ruling = verdict(condition, status)
        if ruling in (Verdict.CANCEL, Verdict.SKIP):
            self._propagation.drop(ruling, join, key)
        return ruling is not Verdict.MET

    def _edges(self, join: int, keys: Iterable[int]) -> dict[int, int]:
        """Which of these the join waits for, and whether for all below them, too."""
        return dict(self._own_sql.edges(self._tx, rows_json(list(keys)), join).fetchall())

    def _has_begun(self, join: int) -> bool:
        """Whether it was executed; it may have been, if its targets were retried."""
        ((_, _, _, token),) = self._sql.status_of(self._tx, rows_json([join])).fetchall()
        return bool(token)

    def _with_all_below(self, keys: Iterable[int]) -> dict[int, StepStatus]:
        """These and what they emitted or repeated, at any depth."""
        below: dict[int, StepStatus] = {}
        fresh = set(keys)
        while fresh:
            rows = self._graph_sql.descendants(self._tx, rows_json(sorted(fresh))).fetchall()
            below.update((key, StepStatus(status)) for key, status, _ in rows)
            repeating = rows_json([key for key, _, has_repeated in rows if has_repeated])
            fresh = {row[0] for row in self._own_sql.of(self._tx, repeating)} - below.keys()
        return below
