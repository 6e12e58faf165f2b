"""Acts of operators on runs: retry a step, retry a run, cancel a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.crash_points import Write
from stepwell.engine.errors import RefusedByState
from stepwell.engine.events import EventType
from stepwell.engine.model import Operator
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import (
    RUN_ENDED,
    Act,
    RunStatus,
    StepStatus,
    Verdict,
    verdict,
)
from stepwell.stores.sql.connection.corruption import reads_stored, stored_condition, stored_status
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    becomes,
    bind,
    literal,
    may,
    rows_json,
    status_in,
    still_may,
    unsuccessful,
)
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.roles.lookup import Lookup, RunRow, StepRow
from stepwell.stores.sql.roles.writer import Writer
from stepwell.stores.sql.schema import tables

steps, runs, dependencies = tables.steps, tables.runs, tables.dependencies


class _Unsuccessful(NamedTuple):
    """A step that ended without success; `cause` is the key of the step that brought it down."""

    key: int
    id: str
    status: str
    error: str | None
    cause: int | None


class OperatorStatements(Statements):
    """Statements for retrying and canceling."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self._look(dialect)
        self._reopen(dialect)
        self._reopen_run()
        self._cancel()

    def _look(self, dialect: Any) -> None:
        row = (steps.c.id, steps.c.step_id, steps.c.status, steps.c.error)
        self.unsuccessful = Statement(
            sa.select(*row, steps.c.cause).where(
                steps.c.run_key == bind("run_key"),
                unsuccessful(steps.c.status),
            ),
            "run_key",
        )
        self.caught = Statement(
            sa.select(dependencies.c.needs).where(
                dependencies.c.needs.in_(dialect.scalars("keys")),
                dependencies.c.condition == sa.literal_column("'failed'"),
            ),
            "keys",
        )
        target = steps.alias("target")
        self.edges_into = Statement(
            sa.select(
                dependencies.c.step,
                dependencies.c.condition,
                dependencies.c.needs,
                target.c.status,
            )
            .select_from(dependencies.join(target, target.c.id == dependencies.c.needs))
            .where(dependencies.c.step.in_(dialect.scalars("keys"))),
            "keys",
        )
        self.open_dependents = Statement(
            sa.select(steps.c.id)
            .distinct()
            .select_from(dependencies.join(steps, steps.c.id == dependencies.c.step))
            .where(
                dependencies.c.needs.in_(dialect.scalars("keys")),
                status_in(steps.c.status, (StepStatus.PENDING, StepStatus.READY, StepStatus.HELD)),
            ),
            "keys",
        )

    def _reopen(self, dialect: Any) -> None:
        self.reopen = Statement(
            sa.update(steps)
            .values(
                status=becomes(Act.REOPEN),
                failures=0,
                lost_leases=0,
                ended_at=None,
                error=None,
                cause=None,
                wait=None,
                wait_for=None,
                wake_at=None,
                wait_left=None,
                held=0,
            )
            .where(steps.c.id.in_(dialect.scalars("keys")), still_may(Act.REOPEN, steps.c.status)),
            "keys",
        )
        counts = dialect.rows("rows", id=sa.BigInteger, pending=sa.BigInteger)
        waiting_for = sa.case(
            (counts.c.pending > 0, becomes(Act.UNREADY)),
            (steps.c.status == literal(StepStatus.PENDING), becomes(Act.READY)),
            else_=steps.c.status,
        )
        self.recount = Statement(
            sa.update(steps)
            .values(
                pending=counts.c.pending,
                ready_at=sa.case(
                    (steps.c.status == literal(StepStatus.PENDING), bind("now")),
                    else_=steps.c.ready_at,
                ),
                status=waiting_for,
            )
            .where(steps.c.id == counts.c.id),
            *("now", "rows"),
        )

    def _reopen_run(self) -> None:
        flags = sa.select(sa.func.count()).where(
            steps.c.run_key == bind("run_key"), steps.c.held == sa.literal_column("1")
        )
        self.recount_holds = Statement(
            sa.update(runs)
            .values(
                holds=flags.scalar_subquery()
                + sa.case((runs.c.status == RunStatus.PAUSED.value, 1), else_=0)
            )
            .where(runs.c.id == bind("run_key")),
            "run_key",
        )
        self.reopen_run = Statement(
            sa.update(runs)
            .values(
                status=sa.case(
                    (runs.c.started_at.is_(None), RunStatus.PENDING.value),
                    else_=RunStatus.RUNNING.value,
                ),
                ended_at=None,
            )
            .where(runs.c.id == bind("run_key"), status_in_text(runs.c.status, RUN_ENDED)),
            "run_key",
        )

    def _cancel(self) -> None:
        self.cancel_open = Statement(
            sa.update(steps)
            .values(
                status=becomes(Act.CANCEL),
                ended_at=bind("now"),
                expires_at=None,
                wait_for=None,
                wake_at=None,
                wait_left=None,
                error=bind("error"),
            )
            .where(steps.c.run_key == bind("run_key"), may(Act.CANCEL, steps.c.status))
            .returning(steps.c.id),
            *("now", "error", "run_key"),
        )
        waits = tables.waits
        self.forget_waits = Statement(
            sa.delete(waits).where(waits.c.step.in_(self.dialect.scalars("keys"))), "keys"
        )
        self.open_below = Statement(_open_below(), "run_key")


def _open_below() -> Any:
    """The open runs that steps of a run started, at any depth."""

    def started_by(parent: Any) -> Any:
        # The first condition is that of the partial index.
        is_open = ~status_in_text(runs.c.status, RUN_ENDED)
        return sa.select(runs.c.id).where(
            runs.c.parent_run.is_not(None), runs.c.parent_run == parent, is_open
        )

    below = started_by(bind("run_key")).cte("below", recursive=True)
    below = below.union_all(started_by(below.c.id))
    return sa.select(below.c.id).order_by(below.c.id)


def status_in_text(column: sa.ColumnElement[Any], statuses: Iterable[RunStatus]) -> Any:
    """`column` is one of these run statuses, as literals."""
    return column.in_([sa.literal_column(f"'{status}'") for status in sorted(statuses)])


class OperatorActs:
    """Retrying and canceling, of the role `ports.Operators`."""

    def __init__(self, writer: Writer, lookup: Lookup, parts: Parts) -> None:
        self._db = writer.database
        self._writer = writer
        self._lookup = lookup
        self._graphs = parts.graphs
        self._sql = OperatorStatements(self._db.dialect)

    @reads_stored
    def retry_step(self, run_id: str, step_id: str, by: Operator) -> int:
        def work(tx: StoreTransaction, changes: Changes) -> int:
            run = self._writer.locked_run(tx, run_id, to_end=True)
            step = self._lookup.step(tx, run_id, step_id)
            return self._retry_step(tx, changes, run, step, by)

        return self._writer.act(work, Write.RETRY_STEP)

    @reads_stored
    def retry_run(self, run_id: str, by: Operator) -> int:
        def work(tx: StoreTransaction, changes: Changes) -> int:
            run = self._writer.locked_run(tx, run_id, to_end=True)
            return self._retry_run(tx, changes, run, run_id, by)

        return self._writer.act(work, Write.RETRY_RUN)

    @reads_stored
    def cancel_run(self, run_id: str, by: Operator) -> int:
        def work(tx: StoreTransaction, changes: Changes) -> int:
            run = self._writer.locked_run(tx, run_id, to_end=True)
            return self._cancel_run(tx, changes, run, run_id, by)

        return self._writer.act(work, Write.CANCEL_RUN)

    def _retry_step(
        self, tx: StoreTransaction, changes: Changes, run: RunRow, step: StepRow, by: Operator
    ) -> int:
        """Reopen one failed or canceled step and all steps that its end canceled or skipped."""
        if step.status not in (StepStatus.FAILED, StepStatus.CANCELED):
            raise RefusedByState(
                f"step {step.id!r} is {step.status}; only failed and canceled steps can be retried"
            )
        rows = self._unsuccessful(tx, run)
        names = {row.key: row.id for row in rows}
        cause = next(row.cause for row in rows if row.key == step.key)
        if cause is not None:
            root = names.get(cause, "an earlier step")
            raise RefusedByState(
                f"step {step.id!r} was canceled because step {root!r} did not succeed; "
                f"retry {root!r}, and it comes along"
            )
        edges = self._sql.edges_into(tx, rows_json([step.key])).fetchall()
        for _, condition, needs, ended in edges:
            if verdict(stored_condition(condition), stored_status(ended)) is Verdict.CANCEL:
                raise RefusedByState(
                    f"step {step.id!r} needs step {names[needs]!r}, which is {ended}; "
                    f"retry {names[needs]!r} first, or the whole run"
                )
        keys = [step.key, *(row.key for row in rows if row.cause == step.key)]
        # Noted before its consequences: a reopened step may be canceled again at once.
        data = {"by": by.by, "reason": by.reason, "reopened": len(keys), "error": step.error}
        changes.event(run.key, EventType.STEP_RETRIED, step.key, data=data)
        return self._reopen(tx, changes, run.key, keys)

    def _retry_run(
        self, tx: StoreTransaction, changes: Changes, run: RunRow, run_id: str, by: Operator
    ) -> int:
        """Reopen the steps that keep the run from success."""
        rows = self._unsuccessful(tx, run)
        failed = [row.key for row in rows if row.status == StepStatus.FAILED]
        caught = {row[0] for row in self._sql.caught(tx, rows_json(failed)).fetchall()}
        roots = {key for key in failed if key not in caught}
        # A step that an operator canceled has no cause.
        canceled = (row for row in rows if row.status == StepStatus.CANCELED)
        roots |= {row.key for row in canceled if row.cause is None}
        if not roots:
            raise RefusedByState(
                f"run {run_id!r} is {run.status} and has no failed or canceled step to retry"
            )
        keys = [row.key for row in rows if row.key in roots or row.cause in roots]
        data = {"by": by.by, "reason": by.reason, "steps": len(keys)}
        changes.event(run.key, EventType.RUN_RETRIED, data=data)
        return self._reopen(tx, changes, run.key, keys)

    def _unsuccessful(self, tx: StoreTransaction, run: RunRow) -> list[_Unsuccessful]:
        return list(map(_Unsuccessful._make, self._sql.unsuccessful(tx, run.key).fetchall()))

    def _reopen(self, tx: StoreTransaction, changes: Changes, run_key: int, keys: list[int]) -> int:
        sql = self._sql
        propagation = self._writer.propagation(changes)
        sql.reopen_run(tx, run_key)
        sql.reopen(tx, rows_json(keys))
        changes.steps_opened(run_key, len(keys))
        touched = {*keys, *(row[0] for row in sql.open_dependents(tx, rows_json(keys)))}
        pending = dict.fromkeys(touched, 0)
        dropped: dict[int, tuple[Verdict, int]] = {}
        for step, condition, needs, status in sql.edges_into(tx, rows_json(list(touched))):
            ruling = verdict(stored_condition(condition), stored_status(status))
            if ruling is not Verdict.MET:
                pending[step] += 1
            if ruling in (Verdict.CANCEL, Verdict.SKIP):
                dropped.setdefault(step, (ruling, needs))
        sql.recount(tx, tx.now, rows_json(list(pending.items())))
        changes.readied(pending)
        sql.recount_holds(tx, run_key)
        for step, (ruling, needs) in dropped.items():
            propagation.drop(ruling, step, needs)
        propagation.follow()
        return len(keys)

    def _cancel_run(
        self, tx: StoreTransaction, changes: Changes, run: RunRow, run_id: str, by: Operator
    ) -> int:
        """Cancel a run and, below it, the runs that its steps started and wait for."""
        if run.status == RunStatus.CANCELED:
            return 0
        if run.status in RUN_ENDED:
            raise RefusedByState(f"run {run_id!r} is {run.status}; it cannot be canceled any more")
        error = encode({"code": "canceled", "message": _why(by)}, "error")
        total = 0
        for key in (run.key, *self._locked_below(tx, run.key)):
            canceled = self._sql.cancel_open(tx, tx.now, error, key).fetchall()
            if canceled:
                self._sql.forget_waits(tx, rows_json([row[0] for row in canceled]))
            for (step,) in canceled:
                changes.event(key, EventType.STEP_CANCELED, step, data={"code": "canceled"})
            changes.steps_opened(key, -len(canceled))
            changes.end_canceled(key, {"by": by.by, "reason": by.reason, "steps": len(canceled)})
            total += len(canceled)
        return total

    def _locked_below(self, tx: StoreTransaction, run_key: int) -> list[int]:
        """Lock the open runs below one that is locked, and return them.

        They are read again after waiting for the locks: some may have ended, or started others.
        Those have greater keys, so that the order of locks is kept.
        """
        locked: set[int] = set()
        while True:
            below = [row[0] for row in self._sql.open_below(tx, run_key).fetchall()]
            if locked.issuperset(below):
                return below
            self._graphs.lock_runs(tx, set(below) - locked)
            locked.update(below)


def _why(by: Operator) -> str:
    return f"canceled by {by.by}" + (f": {by.reason}" if by.reason else "")
