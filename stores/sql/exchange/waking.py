"""Waking the steps that wait for something, alone or side by side with other things."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.exchange import Suspended
from stepwell.engine.states import Act
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    bind,
    may,
    rows_json,
    still_may,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.side_by_side import SideBySide
from stepwell.stores.sql.schema import tables

# The data of the event of a woken step, by the name that it waited for, or by its key.
ByName = Mapping[str, Mapping[str, Any]]
ByKey = Mapping[int, Mapping[str, Any]]


class WakingStatements(Statements):
    """Finding the steps that wait for a name, and waking them."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        steps, several = tables.steps, tables.waits

        def waiting_for(wanted: Callable[[Any], Any]) -> Any:
            """The steps that wait for these names, only for one or side by side."""
            alone = may(Act.WAKE, steps.c.status), wanted(steps.c.wait_for)
            return sa.union_all(
                sa.select(steps.c.id, steps.c.wait_for, sa.literal_column("0")).where(*alone),
                sa.select(several.c.step, several.c.name, sa.literal_column("1")).where(
                    wanted(several.c.name)
                ),
            )

        names = dialect.texts("names")
        self.find_waiting = Statement(waiting_for(lambda column: column.in_(names)), "names")
        self.find_one = Statement(waiting_for(lambda column: column == bind("name")), "name")
        self.wake_steps = Statement(
            sa.update(steps)
            .values(wait_names.wakes())
            .where(steps.c.id.in_(dialect.scalars("keys")), still_may(Act.WAKE, steps.c.status))
            .returning(steps.c.id, steps.c.run_key, steps.c.attempt),
            *("now", "keys"),
        )


class Waking:
    """Wakes steps, with an event each."""

    def __init__(self, dialect: Any) -> None:
        self._sql = WakingStatements(dialect)
        self._side_by_side = SideBySide(dialect)

    def by_name(self, changes: Changes, names: ByName) -> None:
        """Wake all steps that wait for these names (see `wait_names`)."""
        tx = changes.tx
        if len(names) == 1:
            found = self._sql.find_one(tx, *names).fetchall()
        else:
            found = self._sql.find_waiting(tx, rows_json(list(names))).fetchall()
        if not found:
            return
        alone = {key: names[name] for key, name, several in found if not several}
        if alone:
            self.steps(changes, alone)
        if len(alone) < len(found):
            self.arrived(changes, {key: names[name] for key, name, several in found if several})

    def steps(self, changes: Changes, steps: ByKey) -> None:
        """Wake these waiting steps."""
        tx, keys = changes.tx, rows_json(list(steps))
        for step, run_key, attempt in self._sql.wake_steps(tx, tx.now, keys).fetchall():
            changes.event(run_key, EventType.STEP_WOKEN, step, attempt, data=steps[step])

    def arrived(self, changes: Changes, steps: ByKey) -> None:
        """Something arrived for these, which wait side by side: wake those whose waits are over."""
        over = self._side_by_side.arrived(changes.tx, steps)
        if over:
            self.steps(changes, {key: steps[key] for key in over})

    def wait_side_by_side(self, changes: Changes, suspended: Sequence[Suspended]) -> None:
        """Store waits for several things; wakes the steps whose waits are over already."""
        if over := self._side_by_side.begin(changes.tx, suspended):
            self.steps(changes, {key: {} for key in over})

    def due_side_by_side(self, changes: Changes, keys: Iterable[int]) -> list[int]:
        """Of these steps, whose time is up, those that do not go on waiting."""
        return self._side_by_side.due(changes.tx, keys)
