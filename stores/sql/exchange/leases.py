"""Leases between claim and settle: renewing them, and taking back those that lapsed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimedStep, LostLease
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import Act, StepStatus
from stepwell.stores.sql.connection.corruption import decodes
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    becomes,
    bind,
    literal,
    may,
    rows_json,
    still_may,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.limit_rules import is_any_over, next_limits
from stepwell.stores.sql.exchange.propagation import Propagation
from stepwell.stores.sql.exchange.waking import Waking
from stepwell.stores.sql.schema import tables

steps = tables.steps

# Key and run key of a step whose wait is over by time, and the name of what it waits for.
Due = tuple[int, int, str | None]
# The most steps that are woken in one transaction; the others follow in the next ones.
MAX_WOKEN = 5_000


class _Lapsed(NamedTuple):
    """A step whose lease lapsed, as it is afterwards; the fields are columns of `steps`."""

    id: int
    run_key: int
    attempt: int
    lost_leases: int
    worker: str


class LeaseStatements(Statements):
    """Renewals, lapses and due waits."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        self._renewals(dialect)
        self._lapses(dialect)
        self._due(dialect)
        self._times()

    def _renewals(self, dialect: Any) -> None:
        held = dialect.rows("rows", id=sa.BigInteger, token=sa.BigInteger)
        running = steps.c.status == literal(StepStatus.RUNNING)
        mine = (
            steps.c.id == held.c.id,
            steps.c.token == held.c.token,
            steps.c.worker == bind("worker"),
            running,
        )
        renew = sa.update(steps).values(expires_at=bind("until"))
        renew = renew.returning(steps.c.id, steps.c.token)
        names = ("until", "worker", "rows")
        self.renew_waiting = Statement(renew.where(*mine), *names)
        self.renew = self.renew_waiting
        if dialect.concurrent:
            mine_now = sa.select(steps.c.id).where(*mine)
            mine_now = mine_now.with_for_update(of=steps, skip_locked=True)
            free = mine_now.cte("free").prefix_with("MATERIALIZED")
            self.renew = Statement(renew.where(steps.c.id == free.c.id), *names)
        self.runs_held = Statement(
            sa.select(steps.c.run_key)
            .distinct()
            .where(may(Act.RELEASE, steps.c.status), steps.c.worker == bind("worker")),
            "worker",
        )
        self.release_others = Statement(
            sa.update(steps)
            .values(status=becomes(Act.RELEASE), expires_at=None, attempt=steps.c.attempt - 1)
            .where(
                may(Act.RELEASE, steps.c.status),
                steps.c.worker == bind("worker"),
                steps.c.id.not_in(dialect.scalars("keep")),
            )
            .returning(steps.c.id, steps.c.run_key, steps.c.attempt),
            *("worker", "keep"),
        )
        self.held = Statement(
            sa.select(steps.c.id)
            .where(steps.c.id == bind("key"), steps.c.token == bind("token"), running)
            .with_for_update(),
            *("key", "token"),
        )
        self.status_of = Statement(
            sa.select(steps.c.id, steps.c.status, steps.c.token).where(
                steps.c.id.in_(dialect.scalars("keys"))
            ),
            "keys",
        )

    def _lapses(self, dialect: Any) -> None:
        running = steps.c.status == literal(StepStatus.RUNNING)
        columns = [steps.c[name] for name in _Lapsed._fields]
        self._lapsed = lapsed = (running, steps.c.expires_at <= bind("now"))
        times = sa.cast(steps.c.lost_leases + 1, sa.Text)
        # Written so that no index on runs fits: few leases lapse, but a run may have many steps.
        run_key = sa.func.coalesce(steps.c.run_key, sa.literal_column("0"))
        in_runs = run_key.in_(dialect.scalars("runs"))
        self.lose = Statement(
            sa.update(steps)
            .values(
                status=becomes(Act.LOSE),
                lost_leases=steps.c.lost_leases + 1,
                expires_at=None,
                ended_at=bind("now"),
                error=bind("before") + times + bind("after"),
            )
            .where(
                *lapsed,
                in_runs,
                steps.c.lost_leases + 1
                >= sa.func.coalesce(steps.c.max_recoveries + 1, bind("most")),
            )
            .returning(*columns),
            *("now", "before", "after", "most", "runs"),
        )
        self.lapse = Statement(
            sa.update(steps)
            .values(
                status=becomes(Act.LAPSE),
                lost_leases=steps.c.lost_leases + 1,
                expires_at=None,
                ready_at=bind("now"),
            )
            .where(*lapsed, in_runs)
            .returning(*columns),
            *("now", "runs"),
        )
        self.lapsed_runs = Statement(sa.select(steps.c.run_key).where(*lapsed).distinct(), "now")

    def _due(self, dialect: Any) -> None:
        due = (may(Act.WAKE, steps.c.status), steps.c.wake_at <= bind("now"))
        self.find_due = Statement(
            sa.select(steps.c.id, steps.c.run_key, steps.c.wait_for)
            .where(*due)
            .order_by(steps.c.wake_at)
            .limit(bind("most")),
            *("now", "most"),
        )
        self.wake = Statement(
            sa.update(steps)
            .values(wait_names.wakes())
            .where(
                steps.c.id.in_(dialect.scalars("keys")),
                still_may(Act.WAKE, steps.c.status),
                steps.c.wake_at <= bind("now"),
            )
            .returning(steps.c.id, steps.c.run_key, steps.c.attempt),
            *("now", "keys"),
        )
        self.anything_due = Statement(
            sa.select(
                sa.or_(
                    sa.exists().where(*self._lapsed).correlate(None),
                    sa.exists().where(*due).correlate(None),
                    is_any_over(),
                )
            ),
            "now",
        )

    def _times(self) -> None:
        running = steps.c.status == literal(StepStatus.RUNNING)
        ready = steps.c.status == literal(StepStatus.READY)
        self.next_due = Statement(
            sa.select(
                sa.select(sa.func.min(steps.c.expires_at)).where(running).scalar_subquery(),
                sa.select(sa.func.min(steps.c.wake_at))
                .where(steps.c.status == literal(StepStatus.WAITING), steps.c.wake_at.is_not(None))
                .scalar_subquery(),
                sa.select(sa.func.min(steps.c.ready_at))
                .where(ready, steps.c.ready_at > bind("after"))
                .scalar_subquery(),
                *next_limits(),
            ),
            "after",
        )


class Leases:
    """Works in a transaction given by the caller."""

    def __init__(self, sql: LeaseStatements, waking: Waking) -> None:
        self._sql = sql
        self._waking = waking

    def renew(
        self,
        tx: StoreTransaction,
        worker_id: str,
        steps: Sequence[ClaimedStep],
        lease: int,
        *,
        wait: bool = False,
    ) -> tuple[list[LostLease], list[ClaimedStep]]:
        """Extend the leases, and `expires_at` of the given steps; returns those that are lost.

        Also returns, unless it may `wait`, the steps that others have locked and may be changing.
        """
        until = tx.now + lease
        rows = rows_json([(step.key, step.token) for step in steps])
        renew = self._sql.renew_waiting if wait else self._sql.renew
        held = {tuple(row) for row in renew(tx, until, worker_id, rows).fetchall()}
        gone = []
        for step in steps:
            if (step.key, step.token) in held:
                step.expires_at = until
            else:
                gone.append(step)
        if not gone:
            return [], []
        keys = rows_json([step.key for step in gone])
        now_in = {key: (status, token) for key, status, token in self._sql.status_of(tx, keys)}
        lost, locked = [], []
        for step in gone:
            status, token = now_in.get(step.key, ("", 0))
            if not wait and status == StepStatus.RUNNING and token == step.token:
                locked.append(step)
            else:
                lost.append(LostLease(step, "canceled" if status == "canceled" else "lapsed"))
        return lost, locked

    def is_held(self, tx: StoreTransaction, step: ClaimedStep) -> bool:
        """Whether the lease is held; it stays so until this transaction ends."""
        return self._sql.held(tx, step.key, step.token).fetchone() is not None

    def runs_held(self, tx: StoreTransaction, worker_id: str) -> list[int]:
        """The runs of the steps that the worker holds."""
        return [row[0] for row in self._sql.runs_held(tx, worker_id).fetchall()]

    def release_others(
        self, tx: StoreTransaction, changes: Changes, worker_id: str, keep: Sequence[ClaimedStep]
    ) -> int:
        """Release all steps that the worker holds, except `keep`; returns how many.

        The caller has locked the runs of `runs_held`.
        """
        keys = rows_json([step.key for step in keep])
        released = self._sql.release_others(tx, worker_id, keys).fetchall()
        for key, run_key, attempt in released:
            data = {"reason": "the claim was not acknowledged"}
            changes.event(run_key, EventType.STEP_RELEASED, key, attempt + 1, data=data)
        return len(released)

    def is_anything_due(self, tx: StoreTransaction) -> bool:
        """Whether there is something to reap. Only reads."""
        return bool(self._sql.anything_due(tx, tx.now).fetchone()[0])

    def lapsed_runs(self, tx: StoreTransaction) -> list[int]:
        """The runs with steps whose leases lapsed."""
        return [row[0] for row in self._sql.lapsed_runs(tx, tx.now).fetchall()]

    def due(self, tx: StoreTransaction) -> list[Due]:
        """The steps whose waits are over by time, but no more than `MAX_WOKEN`."""
        rows: list[Due] = self._sql.find_due(tx, tx.now, MAX_WOKEN).fetchall()
        return rows

    def reap(
        self,
        tx: StoreTransaction,
        changes: Changes,
        propagation: Propagation,
        most: int,
        runs: Sequence[int],
    ) -> int:
        """Take back lapsed leases in these runs, which are locked; returns how many."""
        in_runs = rows_json(runs)
        error = {
            "code": "lease_lost",
            "message": "lost its lease # times: its worker died or hung each time",
        }
        before, after = encode(error, "error").split("#")
        lost = self._sql.lose(tx, tx.now, before, after, most, in_runs).fetchall()
        for step in map(_Lapsed._make, lost):
            changes.step_ended(step.run_key)
            data: dict[str, Any] = {"code": "lease_lost", "lost_leases": step.lost_leases}
            _tell(changes, EventType.STEP_FAILED, step, data)
        propagation.ended(StepStatus.FAILED, [row[0] for row in lost])
        lapsed = self._sql.lapse(tx, tx.now, in_runs).fetchall()
        for step in map(_Lapsed._make, lapsed):
            data = {"worker": step.worker, "lost_leases": step.lost_leases}
            _tell(changes, EventType.STEP_LAPSED, step, data)
        propagation.follow()
        return len(lost) + len(lapsed)

    def wake(self, tx: StoreTransaction, changes: Changes, due: Sequence[Due]) -> int:
        """Wake those of these steps whose waits are over; returns how many were changed."""
        keys = [key for key, _, name in due if name not in wait_names.SIDE_BY_SIDE]
        several_waits = [key for key, _, name in due if name in wait_names.SIDE_BY_SIDE]
        waits_on = 0
        if several_waits:
            over = self._waking.due_side_by_side(changes, several_waits)
            waits_on = len(several_waits) - len(over)
            keys += over
        woken = self._sql.wake(tx, tx.now, rows_json(keys)).fetchall()
        for key, run_key, attempt in woken:
            changes.event(run_key, EventType.STEP_WOKEN, key, attempt)
        return len(woken) + waits_on

    def next_due(self, tx: StoreTransaction, after: int) -> int | None:
        """When something becomes due by time alone (epoch µs), or None."""
        return _earliest(self._sql.next_due(tx, after).fetchone())


def _tell(changes: Changes, type: EventType, step: _Lapsed, data: dict[str, Any]) -> None:
    changes.event(step.run_key, type, step.id, step.attempt, step.worker, data)


@decodes
def _earliest(times: Sequence[int | None]) -> int | None:
    return min((time for time in times if time is not None), default=None)
