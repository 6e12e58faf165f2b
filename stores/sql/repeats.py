"""Joins over a step that emitted one which was there already, under the same dedup key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from stepwell.engine.states import Condition, StepStatus, Verdict, verdict
from stepwell.stores.sql import schema
from stepwell.stores.sql.emissions import Emission
from stepwell.stores.sql.spread import Spread
from stepwell.stores.sql.statements import (
    Statement,
    Statements,
    Transaction,
    bind,
    rows_json,
)
from stepwell.stores.sql.steps_sql import GraphStatements, SettleStatements

dependencies = schema.dependencies


class RepeatStatements(Statements):
    """What a join waits for already, among given steps."""

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


class Repeats:
    """Has joins wait for the first step of a key, and all below it, as if it were emitted now.

    One transaction's, which has stored all that is new. `unsettled` are steps that ended in it and
    whose end was not followed yet.
    """

    def __init__(
        self,
        tx: Transaction,
        sql: tuple[RepeatStatements, SettleStatements, GraphStatements],
        spread: Spread,
        unsettled: frozenset[int],
    ) -> None:
        self._tx = tx
        self._own_sql, self._sql, self._graph_sql = sql
        self._spread = spread
        self._unsettled = unsettled

    def join(self, emissions: Sequence[Emission]) -> None:
        """Add to the joins over these what is missing."""
        repeating = [emission for emission in emissions if emission.repeated]
        added = bool(repeating)
        while added:
            added = False
            for emission in repeating:
                added |= self._join_one(emission, alone=len(repeating) == 1)
            # What a join got now may repeat others in its turn, if it emitted just now, too.
            added = added and len(repeating) > 1

    def _join_one(self, emission: Emission, *, alone: bool) -> bool:
        joins = emission.joins
        if not alone:
            keys = rows_json([emission.parent.key])
            rows = self._sql.subtree_dependents(self._tx, keys).fetchall()
            joins = [(step, condition) for _, step, condition in rows]
        widened = [
            self._widen(step, Condition(condition), emission.repeated) for step, condition in joins
        ]
        return any(widened)

    def _widen(self, join: int, condition: Condition, repeated: Iterable[int]) -> bool:
        """Have one join wait for these and all below them; whether it did not yet.

        What waits for the join itself is left out: it could never come first.
        """
        edges = self._edges(join, repeated)
        new = [key for key in repeated if edges.get(key) != 1 and key != join]
        if not new or self._has_begun(join):
            return False
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
        return bool(rows or widen)

    def _is_unmet(self, join: int, condition: Condition, key: int, status: StepStatus) -> bool:
        """Whether the join has to wait for it; one that can never be met drops the join."""
        if key in self._unsettled:
            return True
        ruling = verdict(condition, status)
        if ruling in (Verdict.CANCEL, Verdict.SKIP):
            self._spread.drop(ruling, join, key)
        return ruling is not Verdict.MET

    def _edges(self, join: int, keys: Iterable[int]) -> dict[int, int]:
        """Which of these it waits for, and whether with all below."""
        return dict(self._own_sql.edges(self._tx, rows_json(list(keys)), join).fetchall())

    def _has_begun(self, join: int) -> bool:
        """Whether it was executed, as one whose targets were retried may have been."""
        ((_, _, _, token),) = self._sql.status_of(self._tx, rows_json([join])).fetchall()
        return bool(token)

    def _with_all_below(self, keys: Sequence[int]) -> dict[int, StepStatus]:
        given = rows_json(keys)
        rows = [(key, status) for key, _, status, _ in self._sql.status_of(self._tx, given)]
        rows += self._graph_sql.descendants(self._tx, given).fetchall()
        return {key: StepStatus(status) for key, status in rows}
