"""Joins over a step that emitted one which was there already, under the same dedup key.

That it did is stored, for joins that are made later. An edge of a join to a repeated step is like
one to an emitted step: what is emitted below it later is waited for, too.
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
    """What a join waits for already, among given steps, and what steps repeated."""

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
    """Has joins wait for the first step of a key, and all below it, as if it were emitted now.

    One transaction's, which has stored all that is new. `unsettled` are steps that ended in it and
    whose end was not followed yet.
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
        """Keep what these repeated; before any step is stored that may wait for it."""
        rows = [
            (emission.parent.key, key)
            for emission in emissions
            for key in emission.repeated
            if key != emission.parent.key
        ]
        if rows:
            self._own_sql.add.many(self._tx, rows)

    def join(self, emissions: Sequence[Emission]) -> None:
        """Add what is missing to the joins over these, and to new ones over what repeated before.

        Each is looked at when the edges of the ones before it are stored: of two joins that lead to
        each other, only one waits for the other.
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
        """The joins over the emitting step; with others they may have changed since."""
        if alone:
            return emission.joins
        rows = self._sql.subtree_dependents(self._tx, rows_json([emission.parent.key])).fetchall()
        return [(step, condition) for _, step, condition in rows]

    def _widen(self, join: int, condition: Condition, repeated: Iterable[int]) -> None:
        """Have one join wait for these and all below them.

        What waits for the join itself is left out: it could never come first.
        """
        edges = self._edges(join, repeated)
        new = [key for key in repeated if edges.get(key) != 1 and key != join]
        if not new or self._has_begun(join):
            return
        below = self._with_all_below(new)
        later = {join, *(row[0] for row in self._graph_sql.downstream(self._tx, rows_json([join])))}
        wanted = {key: status for key, status in below.items() if key not in later}
        # What has succeeded emits no more: with something left out, no rule holds below it.
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
        """Whether the join has to wait for it; one that can never be met drops the join."""
        if key in self._unsettled:
            return True
        ruling = verdict(condition, status)
        if ruling in (Verdict.CANCEL, Verdict.SKIP):
            self._propagation.drop(ruling, join, key)
        return ruling is not Verdict.MET

    def _edges(self, join: int, keys: Iterable[int]) -> dict[int, int]:
        """Which of these it waits for, and whether with all below."""
        return dict(self._own_sql.edges(self._tx, rows_json(list(keys)), join).fetchall())

    def _has_begun(self, join: int) -> bool:
        """Whether it was executed, as one whose targets were retried may have been."""
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
