"""Acts of people on stored runs: retry a step, retry a run, cancel a run."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.clock import to_text
from stepwell.engine.crash_points import Write
from stepwell.engine.errors import Conflict, RefusedByState
from stepwell.engine.events import EventType
from stepwell.engine.exchange import SAME, Reopening
from stepwell.engine.model import Operator
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
    rows_json,
    status_in,
    still_may,
    unsuccessful,
)
from stepwell.stores.sql.exchange.cancels import status_in_text
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.exchange.run_options import OptionStatements
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
    """What operators' acts need beyond settling."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self._look(dialect)
        self._reopen(dialect)
        self._reopen_run()

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
                error=None,
                error_step=None,
                paused_at=None,
                start_by=None,
                # The timeout counts anew.
                timeout_from=sa.case(
                    (runs.c.started_at.is_not(None), bind("now", sa.BigInteger)), else_=None
                ),
            )
            .where(runs.c.id == bind("run_key"), status_in_text(runs.c.status, RUN_ENDED)),
            *("now", "run_key"),
        )
        self.reopened = Statement(
            sa.select(runs.c.package, runs.c.dedup_key, runs.c.deadline).where(
                runs.c.id == bind("run_key")
            ),
            "run_key",
        )
        self.set_anew = Statement(
            sa.update(runs)
            .values(deadline=bind("deadline"), dedup_key=bind("dedup_key"))
            .where(runs.c.id == bind("run_key")),
            *("deadline", "dedup_key", "run_key"),
        )


class OperatorActs:
    """Retrying and canceling, of the role `ports.Operators`."""

    def __init__(self, writer: Writer, lookup: Lookup, parts: Parts) -> None:
        self._db = writer.database
        self._writer = writer
        self._lookup = lookup
        self._graphs = parts.graphs
        self._cancels = parts.cancels
        self._options = OptionStatements(self._db.dialect)
        self._sql = OperatorStatements(self._db.dialect)

    @reads_stored
    def retry_step(self, run_id: str, step_id: str, by: Operator, anew: Reopening = SAME) -> int:
        def work(tx: StoreTransaction, changes: Changes) -> int:
            run = self._writer.locked_run(tx, run_id, to_end=True)
            step = self._lookup.step(tx, run_id, step_id)
            self._check_reopening(tx, run, run_id, anew)
            return self._retry_step(tx, changes, run, step, by)

        return self._writer.act(work, Write.RETRY_STEP)

    @reads_stored
    def retry_run(self, run_id: str, by: Operator, anew: Reopening = SAME) -> int:
        def work(tx: StoreTransaction, changes: Changes) -> int:
            run = self._writer.locked_run(tx, run_id, to_end=True)
            self._check_reopening(tx, run, run_id, anew)
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
        """Reopen one failed or canceled step and all that its end dropped."""
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
        # Noted before what comes of it: a reopened step may be canceled again at once.
        data = {"by": by.by, "reason": by.reason, "reopened": len(keys), "error": step.error}
        changes.event(run.key, EventType.STEP_RETRIED, step.key, data=data)
        return self._reopen(tx, changes, run.key, keys)

    def _retry_run(
        self, tx: StoreTransaction, changes: Changes, run: RunRow, run_id: str, by: Operator
    ) -> int:
        """Reopen what keeps the run from having succeeded."""
        rows = self._unsuccessful(tx, run)
        failed = [row.key for row in rows if row.status == StepStatus.FAILED]
        caught = {row[0] for row in self._sql.caught(tx, rows_json(failed)).fetchall()}
        roots = {key for key in failed if key not in caught}
        # Canceled by an operator, and not because of another step.
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

    def _check_reopening(
        self, tx: StoreTransaction, run: RunRow, run_id: str, anew: Reopening
    ) -> None:
        """Give a run that ended its new deadline and key, if it may have them."""
        if run.status not in RUN_ENDED:
            return
        package, dedup_key, deadline = self._sql.reopened(tx, run.key).fetchone()
        if anew.deadline is not None:
            deadline = anew.deadline
        if anew.rekeyed:
            dedup_key = anew.dedup_key
        if deadline is not None and deadline <= tx.now:
            raise RefusedByState(
                f"run {run_id!r} had to end by {to_text(deadline)}; give it a later deadline"
            )
        if dedup_key is not None:
            if tx.dialect.concurrent:  # others that store runs wait from here on
                self._graphs.reserve(tx, 0, 0)
            holder = self._options.other_holder(tx, package, dedup_key, run.key)
            if holder is not None:
                raise Conflict(
                    f"run {holder.run_id!r} holds the dedup key {dedup_key!r} of run {run_id!r}; "
                    "wait for its end, or retry with another key or without one"
                )
        if anew != SAME:
            self._sql.set_anew(tx, deadline, dedup_key, run.key)

    def _unsuccessful(self, tx: StoreTransaction, run: RunRow) -> list[_Unsuccessful]:
        return list(map(_Unsuccessful._make, self._sql.unsuccessful(tx, run.key).fetchall()))

    def _reopen(self, tx: StoreTransaction, changes: Changes, run_key: int, keys: list[int]) -> int:
        sql = self._sql
        propagation = self._writer.propagation(changes)
        sql.reopen_run(tx, tx.now, run_key)
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
        data = {"by": by.by, "reason": by.reason}
        return self._cancels.cancel_open(tx, changes, run.key, "canceled", _why(by), data)


def _why(by: Operator) -> str:
    return f"canceled by {by.by}" + (f": {by.reason}" if by.reason else "")
