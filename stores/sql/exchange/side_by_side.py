"""Waits side by side: steps that wait for any or all of several names.

    suspended ──▶ names in `waits` ──▶ any or all arrived ──▶ woken, names deleted
                                  └──▶ last sleep of all is over ──▶ waits on, up to its limit

A step's row is locked before looking what has arrived for it: if two things arrive at the same
time, the second transaction sees what the first one brought.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from stepwell.engine.exchange import Suspended, Wait
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.states import Act
from stepwell.engine.wait_rules import told_of, wait_from
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    insert,
    rows_json,
    still_may,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.arrivals import ArrivalStatements, look
from stepwell.stores.sql.schema import tables

runs, steps, waits = tables.runs, tables.steps, tables.waits


class _SideBySideStatements(Statements):
    """Storing the names of waits, and reading the steps that wait for them."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self.add = insert(dialect, waits)
        self.forget = Statement(
            sa.delete(waits).where(waits.c.step.in_(dialect.scalars("keys"))), "keys"
        )
        of_steps = sa.select(steps.c.run_key).where(steps.c.id.in_(dialect.scalars("keys")))
        self.lock_runs = Statement(
            sa.select(runs.c.id)
            .where(runs.c.id.in_(of_steps))
            .order_by(runs.c.id)
            .with_for_update(),
            "keys",
        )
        self.standing = Statement(
            sa.select(steps.c.id, steps.c.run_key, steps.c.wait, steps.c.wake_at)
            .where(steps.c.id.in_(dialect.scalars("keys")), still_may(Act.WAKE, steps.c.status))
            .order_by(steps.c.id)
            .with_for_update(),
            "keys",
        )
        self.wait_on = Statement(
            sa.update(steps)
            .values(wait=bind("wait"), wake_at=bind("wake_at"))
            .where(steps.c.id == bind("step")),
            *("wait", "wake_at", "step"),
        )


class SideBySide:
    """Works in a transaction given by the caller, who wakes the steps that this returns."""

    def __init__(self, dialect: Any) -> None:
        self._sql = _SideBySideStatements(dialect)
        self._arrivals = ArrivalStatements(dialect)

    def begin(self, tx: StoreTransaction, suspended: Sequence[Suspended]) -> list[int]:
        """Store what these steps wait for; returns the keys of those that need not wait."""
        over, rows = [], []
        for outcome in suspended:
            step, wait = outcome.step, outcome.wait
            if self._is_there(tx, step.key, step.run.key, wait):
                over.append(step.key)
            elif wait_names.registered(step, wait) in wait_names.SIDE_BY_SIDE:
                assert wait.several is not None
                names = wait_names.names(step.run.key, wait.several.waits)
                rows += [(step.key, name) for name in names]
        if rows:
            self._sql.add.many(tx, rows)
        return over

    def arrived(self, tx: StoreTransaction, keys: Iterable[int]) -> list[int]:
        """Something arrived for these steps; returns the keys of those whose waits are over."""
        over = [
            key
            for key, run_key, told, _ in self._standing(tx, keys)
            if self._is_there(tx, key, run_key, wait_from(told))
        ]
        self.forget(tx, over)
        return over

    def due(self, tx: StoreTransaction, keys: Iterable[int]) -> list[int]:
        """The time of these steps is up; returns the keys of those that do not go on waiting."""
        over = []
        for key, run_key, told, wake_at in self._standing(tx, keys):
            wait = wait_from(told)
            rest = _without_sleeps(wait)
            if rest is None or self._is_there(tx, key, run_key, rest):
                over.append(key)
                continue
            left = None if rest.until is None else rest.until - (wait.until or 0)
            at = None if left is None or wake_at is None else wake_at + left
            text = encode({**told, **told_of(rest)}, "wait", limit=1 << 40)
            self._sql.wait_on(tx, text, at, key)
        self.forget(tx, over)
        return over

    def forget(self, tx: StoreTransaction, keys: Sequence[int]) -> None:
        """Delete the names of these steps: they do not wait any more."""
        if keys:
            self._sql.forget(tx, rows_json(keys))

    def _standing(
        self, tx: StoreTransaction, keys: Iterable[int]
    ) -> list[tuple[int, int, dict[str, Any], int | None]]:
        """Key, run, stored wait and time of those that still wait; locks them."""
        text = rows_json(sorted(keys))
        if tx.dialect.concurrent:
            self._sql.lock_runs(tx, text).fetchall()
        rows = self._sql.standing(tx, text).fetchall()
        return [(key, run, decode(wait), at) for key, run, wait, at in rows]

    def _is_there(self, tx: StoreTransaction, key: int, run_key: int, wait: Wait) -> bool:
        """Whether enough has arrived for the step to go on, apart from sleeps."""
        several = wait.several
        assert several is not None
        named = [one for one in several.waits if wait_names.named(run_key, one) is not None]
        found = look(tx, self._arrivals, key, run_key, named)
        if wait.kind == wait_names.ANY:
            return any(one is not None for one in found)
        return (several.sleep is None or several.slept) and None not in found


def _without_sleeps(wait: Wait) -> Wait | None:
    """The rest of a wait for all once its last sleep is over; None if its time is up."""
    several = wait.several
    if wait.kind != wait_names.ALL or several is None or several.slept:
        return None
    if several.sleep is None or several.sleep != wait.until:
        return None
    return replace(wait, until=several.limit, several=replace(several, slept=True))
