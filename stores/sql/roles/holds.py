"""Paused runs and held steps: what is held back is not claimed, and its waits stand still.

`steps.held` is the flag of one step, set and taken away by operators. `runs.holds` counts a run's
flags, and one more if it is paused: only where it is not zero does `Closing` look whether
steps that became ready are to be held back.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stepwell.engine.crash_points import Write
from stepwell.engine.errors import RefusedByState
from stepwell.engine.events import EventType
from stepwell.engine.model import Operator
from stepwell.engine.states import RUN_ENDED, Act, RunStatus, StepStatus
from stepwell.stores.sql.connection.corruption import reads_stored
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    may,
    still_may,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.roles.lookup import Lookup
from stepwell.stores.sql.roles.writer import Writer
from stepwell.stores.sql.schema import tables

runs, steps = tables.runs, tables.steps

_MAY_BE_HELD = (StepStatus.PENDING, StepStatus.READY, StepStatus.WAITING, StepStatus.HELD)


class HoldStatements(Statements):
    """Holding back and letting go, of a run or of one step."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self.pause = Statement(
            sa.update(runs)
            .values(
                status=sa.literal_column(f"'{RunStatus.PAUSED}'"),
                holds=runs.c.holds + 1,
                paused_at=bind("now"),
            )
            .where(runs.c.id == bind("run_key")),
            *("now", "run_key"),
        )
        # What is left of the timeout stays as it was when the run was paused.
        paused_for = bind("now") - sa.func.coalesce(runs.c.paused_at, bind("now"))
        counts_from = sa.func.coalesce(runs.c.timeout_from, runs.c.started_at)
        self.resume = Statement(
            sa.update(runs)
            .values(
                status=bind("status"),
                holds=runs.c.holds - 1,
                paused_at=None,
                timeout_from=sa.case(
                    (runs.c.timeout.is_not(None), counts_from + paused_for), else_=None
                ),
            )
            .where(runs.c.id == bind("run_key")),
            *("now", "status", "run_key"),
        )
        self.was_started = Statement(
            sa.select(runs.c.started_at.is_not(None)).where(runs.c.id == bind("run_key")), "run_key"
        )
        self.flag = Statement(
            sa.update(steps)
            .values(held=bind("held"))
            .where(steps.c.id == bind("step"), steps.c.held != bind("held"))
            .returning(steps.c.id),
            *("held", "step"),
        )
        self.add_hold = Statement(
            sa.update(runs)
            .values(holds=runs.c.holds + bind("count"))
            .where(runs.c.id == bind("run_key")),
            *("count", "run_key"),
        )
        self._changes()

    def _changes(self) -> None:
        step = steps.c.id == bind("step")
        of_run = steps.c.run_key == bind("run_key")
        freeze = sa.update(steps).values(wait_names.freezes()).returning(steps.c.status)
        unhold = (
            sa.update(steps)
            .values(wait_names.unholds())
            .where(steps.c.held == sa.literal_column("0"))
            .returning(steps.c.status)
        )
        ready_or_waiting = [
            sa.or_(guard(Act.HOLD, steps.c.status), guard(Act.WAKE, steps.c.status))
            for guard in (may, still_may)
        ]
        held_or_waiting = [
            sa.or_(guard(Act.UNHOLD, steps.c.status), guard(Act.WAKE, steps.c.status))
            for guard in (may, still_may)
        ]
        self.freeze_run = Statement(freeze.where(of_run, ready_or_waiting[0]), "now", "run_key")
        self.freeze_step = Statement(freeze.where(step, ready_or_waiting[1]), "now", "step")
        self.unhold_run = Statement(unhold.where(of_run, held_or_waiting[0]), "now", "run_key")
        self.unhold_step = Statement(unhold.where(step, held_or_waiting[1]), "now", "step")


class Holds:
    """The holds of the role `ports.Operators`."""

    def __init__(self, writer: Writer, lookup: Lookup) -> None:
        self._db = writer.database
        self._writer = writer
        self._lookup = lookup
        self._sql = HoldStatements(self._db.dialect)

    @reads_stored
    def pause_run(self, run_id: str, by: Operator) -> int:
        sql = self._sql

        def work(tx: StoreTransaction, changes: Changes) -> int:
            run_key, status = self._writer.locked_run(tx, run_id)
            if status == RunStatus.PAUSED:
                return 0
            if status in RUN_ENDED:
                raise RefusedByState(f"run {run_id!r} is {status}; it cannot be paused any more")
            sql.pause(tx, tx.now, run_key)
            frozen = sql.freeze_run(tx, tx.now, run_key).fetchall()
            held = len([row for row in frozen if row[0] == StepStatus.HELD])
            data = {"by": by.by, "reason": by.reason, "steps": held}
            changes.event(run_key, EventType.RUN_PAUSED, data=data)
            return held

        return self._writer.act(work, Write.PAUSE_RUN)

    @reads_stored
    def resume_run(self, run_id: str, by: Operator) -> int:
        sql = self._sql

        def work(tx: StoreTransaction, changes: Changes) -> int:
            run_key, status = self._writer.locked_run(tx, run_id)
            if status != RunStatus.PAUSED:
                raise RefusedByState(f"run {run_id!r} is {status}, not paused")
            (started,) = sql.was_started(tx, run_key).fetchone()
            back = RunStatus.RUNNING if started else RunStatus.PENDING
            sql.resume(tx, tx.now, back.value, run_key)
            unheld = sql.unhold_run(tx, tx.now, run_key).fetchall()
            ready = len([row for row in unheld if row[0] == StepStatus.READY])
            data = {"by": by.by, "reason": by.reason, "steps": ready}
            changes.event(run_key, EventType.RUN_RESUMED, data=data)
            return ready

        return self._writer.act(work, Write.RESUME_RUN)

    @reads_stored
    def hold_step(self, run_id: str, step_id: str, by: Operator) -> None:
        sql = self._sql

        def work(tx: StoreTransaction, changes: Changes) -> int:
            run_key, _ = self._writer.locked_run(tx, run_id)
            step = self._lookup.step(tx, run_id, step_id)
            if step.status not in _MAY_BE_HELD:
                raise RefusedByState(
                    f"step {step_id!r} is {step.status}; only pending, ready and waiting steps "
                    "can be held"
                )
            if sql.flag(tx, 1, step.key).fetchone() is None:
                return 0
            sql.add_hold(tx, 1, run_key)
            sql.freeze_step(tx, tx.now, step.key)
            data = {"by": by.by, "reason": by.reason}
            changes.event(run_key, EventType.STEP_HELD, step.key, data=data)
            return 1

        self._writer.act(work, Write.HOLD_STEP)

    @reads_stored
    def release_step(self, run_id: str, step_id: str, by: Operator) -> None:
        sql = self._sql

        def work(tx: StoreTransaction, changes: Changes) -> int:
            run_key, run_status = self._writer.locked_run(tx, run_id)
            step = self._lookup.step(tx, run_id, step_id)
            if sql.flag(tx, 0, step.key).fetchone() is None:
                paused = run_status == RunStatus.PAUSED
                hint = f"; run {run_id!r} is paused: resume it" if paused else ""
                raise RefusedByState(
                    f"step {step_id!r} is {step.status} and not held by itself{hint}"
                )
            sql.add_hold(tx, -1, run_key)
            if run_status != RunStatus.PAUSED:
                sql.unhold_step(tx, tx.now, step.key)
            data = {"by": by.by, "reason": by.reason}
            changes.event(run_key, EventType.STEP_UNHELD, step.key, data=data)
            return 1

        self._writer.act(work, Write.RELEASE_STEP)
