"""The last stage: writes counters and events, and ends runs that have no open steps."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import sqlalchemy as sa

from stepwell.engine.states import RUN_ENDED, Act
from stepwell.stores.sql.connection.statements import Statement, Statements, rows_json, still_may
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes, Unwritten
from stepwell.stores.sql.exchange.plan import Plan
from stepwell.stores.sql.exchange.run_ends import is_paused
from stepwell.stores.sql.exchange.waking import Waking
from stepwell.stores.sql.schema import tables


class ClosingStatements(Statements):
    """Holding steps that became ready in a paused run, or that are held themselves."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        runs, steps = tables.runs, tables.steps
        # The statements that make steps ready ignore holds; this one makes up for it.
        self.hold_back = Statement(
            sa.update(steps)
            .values(wait_names.freezes())
            .where(
                steps.c.id.in_(dialect.scalars("keys")),
                runs.c.id == steps.c.run_key,
                sa.or_(is_paused(), steps.c.held == 1),
                sa.or_(still_may(Act.HOLD, steps.c.status), still_may(Act.WAKE, steps.c.status)),
            ),
            "now",
            "keys",
        )


class Closing:
    """Writes what a transaction changed."""

    def __init__(self, dialect: Any, plan: Plan, waking: Waking) -> None:
        self._sql = ClosingStatements(dialect)
        self._plan = plan
        self._waking = waking

    def close(self, changes: Changes) -> None:
        """Write counters and events, end runs, wake who waits for that, and write that, too."""
        while (unwritten := changes.take()) is not None:
            over = self._write_counters(changes, unwritten)
            if not over:
                return
            for run_key in sorted(over):
                data = changes.canceled(run_key)
                if data is not None:
                    over.remove(run_key)
                    self._end(changes, [run_key], data)
            if over:  # those that were not canceled
                self._end(changes, over)

    def _write_counters(self, changes: Changes, unwritten: Unwritten) -> list[int]:
        """Write counters and events; returns the keys of the runs that are to end."""
        total, open_, events = unwritten.total, unwritten.open, unwritten.events
        keys = sorted(total.keys() | open_.keys() | events.keys())
        rows = [
            (key, total.get(key, 0), open_.get(key, 0), len(events.get(key, ()))) for key in keys
        ]
        counted, stored = self._plan.count(changes.tx, rows, events) if rows else ([], [])
        changes.stored += stored
        changed = set(keys)
        counted += [run for key, run in unwritten.counted.items() if key not in changed]
        readied = unwritten.readied
        over: list[int] = []
        held = False
        for run in counted:
            if run.holds:
                mine = events.get(run.key, ())
                readied.append([event.step for event in mine if event.step is not None])
                held = True
            may_end = run.key in open_ or run.key in unwritten.counted
            if run.open_steps == 0 and may_end and run.status not in RUN_ENDED:
                over.append(run.key)
        if held:
            keys_json = rows_json(list(chain.from_iterable(readied)))
            self._sql.hold_back(changes.tx, changes.tx.now, keys_json)
        return over

    def _end(
        self, changes: Changes, run_keys: list[int], data: Mapping[str, Any] | None = None
    ) -> None:
        """End runs, and wake the steps that wait for their ends."""
        ended = self._plan.end_runs(changes, run_keys, data)
        if ended.names:
            self._waking.by_name(changes, ended.names)
        if ended.arrived:
            self._waking.arrived(changes, ended.arrived)
