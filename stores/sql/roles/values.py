"""Values that runs publish, with their histories."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stepwell.engine.clock import to_datetime
from stepwell.engine.crash_points import Write
from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.ids import check_id
from stepwell.engine.model import ValueEntry
from stepwell.engine.payloads.payload import decode
from stepwell.engine.states import Act
from stepwell.stores.sql.connection.corruption import decodes, first_number, reads_stored
from stepwell.stores.sql.connection.database import TryAgain
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    insert,
    may,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.roles.lookup import Lookup
from stepwell.stores.sql.roles.writer import Writer
from stepwell.stores.sql.schema import tables

steps, values = tables.steps, tables.values


class ValueStatements(Statements):
    """Setting values, and reading their histories."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        mine = (values.c.run_key == bind("run_key"), values.c.key == bind("key"))
        self.add = insert(dialect, values)
        self.set_by = Statement(
            sa.select(values.c.key, values.c.value).where(
                values.c.step == bind("step"), values.c.operation == bind("operation")
            ),
            *("step", "operation"),
        )
        self.last_number = Statement(
            sa.select(sa.func.coalesce(sa.func.max(values.c.seq), 0)).where(*mine),
            *("run_key", "key"),
        )
        self.history = Statement(
            sa.select(values.c.seq, values.c.value, steps.c.step_id, values.c.at)
            .select_from(values.join(steps, steps.c.id == values.c.step))
            .where(*mine)
            .order_by(values.c.seq.desc())
            .limit(bind("most")),
            *("run_key", "key", "most"),
        )
        newest = (
            sa.select(values.c.key, sa.func.max(values.c.seq).label("seq"))
            .where(values.c.run_key == bind("run_key"))
            .group_by(values.c.key)
            .subquery("newest")
        )
        self.last_of_each = Statement(
            sa.select(*(values.c.key, values.c.seq, values.c.value, steps.c.step_id, values.c.at))
            .select_from(
                newest.join(
                    values,
                    sa.and_(values.c.key == newest.c.key, values.c.seq == newest.c.seq),
                ).join(steps, steps.c.id == values.c.step)
            )
            .where(values.c.run_key == bind("run_key"))
            .order_by(values.c.key),
            "run_key",
        )
        several = tables.waits
        self.waiting_runs = Statement(
            sa.union(
                sa.select(steps.c.run_key).where(
                    may(Act.WAKE, steps.c.status), steps.c.wait_for == bind("name")
                ),
                sa.select(steps.c.run_key)
                .select_from(several.join(steps, steps.c.id == several.c.step))
                .where(several.c.name == bind("name")),
            ),
            "name",
        )


class Values:
    """The role `ports.Values`."""

    def __init__(self, writer: Writer, lookup: Lookup, parts: Parts) -> None:
        self._db = writer.database
        self._writer = writer
        self._lookup = lookup
        self._graphs = parts.graphs
        self._waking = parts.waking
        self._sql = ValueStatements(self._db.dialect)

    @reads_stored
    def set_value(self, step: ClaimedStep, key: str, value: str, operation: str) -> tuple[str, str]:
        check_id(key, "key")
        run, sql = step.run, self._sql
        name = wait_names.value_of(run.id, key)

        def work(tx: StoreTransaction, changes: Changes) -> tuple[str, str]:
            # Steps of other runs may wait for it.
            others = {row[0] for row in sql.waiting_runs(tx, name).fetchall()}
            self._graphs.lock_runs(tx, {run.key, *others})
            # Whoever begins to wait for it has this run locked, so that they are all known now.
            if not others.issuperset(row[0] for row in sql.waiting_runs(tx, name).fetchall()):
                raise TryAgain
            self._writer.check_lease(tx, step)
            before = sql.set_by(tx, step.key, operation).fetchone()
            if before is not None:
                return before[0], before[1]
            number = first_number(sql.last_number(tx, run.key, key).fetchone()) + 1
            sql.add(tx, run.key, key, number, value, step.key, operation, tx.now)
            data = {"key": key, "number": number, "operation": operation}
            changes.event(run.key, EventType.VALUE_SET, step.key, step.attempt, data=data)
            self._waking.by_name(changes, {name: {"run_id": run.id, "value": key}})
            return key, value

        return self._writer.write(work, Write.SET_VALUE)

    @reads_stored
    def values(self, run_id: str, key: str, last: int | None = None) -> list[ValueEntry]:
        most = 2**62 if last is None else last
        with self._db.read() as tx:
            run_key = self._lookup.run(tx, run_id).key
            rows = self._sql.history(tx, run_key, key, most).fetchall()
        return [_entry(key, *row) for row in reversed(rows)]

    @reads_stored
    def last_values(self, run_id: str) -> list[ValueEntry]:
        with self._db.read() as tx:
            run_key = self._lookup.run(tx, run_id).key
            rows = self._sql.last_of_each(tx, run_key).fetchall()
        return [_entry(*row) for row in rows]


@decodes
def _entry(key: str, number: int, value: str, step_id: str, at: int) -> ValueEntry:
    return ValueEntry(key, number, decode(value), step_id, to_datetime(at))
