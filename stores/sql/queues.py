"""Queues' limits: how many may run, and the token bucket that survives restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from stepwell.engine.clock import duration_micros
from stepwell.engine.errors import NotFound, nearest
from stepwell.engine.model import ClaimRequest, Queue, QueueStatus
from stepwell.engine.payload import decode, encode
from stepwell.engine.states import StepStatus
from stepwell.stores.sql import schema
from stepwell.stores.sql.statements import (
    Statement,
    Statements,
    Transaction,
    bind,
    literal,
)


class QueueStatements(Statements):
    """Definitions, counts and tokens of queues."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        queues, steps = schema.queues, schema.steps
        self.all = Statement(sa.select(queues).order_by(queues.c.name))
        self.lock_limited = Statement(
            sa.select(queues.c.name)
            .where(
                sa.or_(
                    queues.c.max_in_flight.is_not(None),
                    queues.c.rate_limit.is_not(None),
                    queues.c.max_per_worker.is_not(None),
                )
            )
            .order_by(queues.c.name)
            .with_for_update()
        )
        self.define = Statement(
            dialect.upsert(queues, ("name",)), *(column.name for column in queues.columns)
        )
        self.running = Statement(
            sa.select(sa.func.count()).where(
                steps.c.status == literal(StepStatus.RUNNING), steps.c.queue == bind("queue")
            ),
            "queue",
        )
        self.running_here = Statement(
            sa.select(sa.func.count()).where(
                steps.c.status == literal(StepStatus.RUNNING),
                steps.c.queue == bind("queue"),
                steps.c.worker == bind("worker"),
            ),
            *("queue", "worker"),
        )
        self.ready = Statement(
            sa.select(sa.func.count()).where(
                steps.c.status == literal(StepStatus.READY), steps.c.queue == bind("queue")
            ),
            "queue",
        )
        self.any_ready = Statement(
            sa.select(steps.c.id)
            .where(steps.c.status == literal(StepStatus.READY), steps.c.queue == bind("queue"))
            .limit(1),
            "queue",
        )
        self.spend = Statement(
            sa.update(queues)
            .values(tokens=bind("tokens"), refilled_at=bind("now"))
            .where(queues.c.name == bind("name")),
            *("tokens", "now", "name"),
        )


class _Row:
    """A stored queue."""

    __slots__ = (
        "burst",
        "labels",
        "max_in_flight",
        "max_per_worker",
        "name",
        "period",
        "rate",
        "refilled_at",
        "tokens",
    )

    def __init__(self, row: Sequence[Any]) -> None:
        (
            self.name,
            self.max_in_flight,
            self.rate,
            self.period,
            burst,
            tokens,
            self.refilled_at,
            self.max_per_worker,
            labels,
        ) = row
        self.labels: tuple[str, ...] = tuple(decode(labels))
        self.burst: float = burst if burst is not None else max(1.0, self.rate or 1.0)
        self.tokens: float = tokens if tokens is not None else self.burst

    @property
    def limited(self) -> bool:
        """Whether it lets through less than everything."""
        limits = (self.max_in_flight, self.max_per_worker, self.rate)
        return any(limit is not None for limit in limits)

    def tokens_at(self, now: int) -> float:
        """Saved tokens with what came since; a clock that went back adds nothing."""
        gained = max(0, now - self.refilled_at) * self.rate / self.period
        return float(min(self.burst, self.tokens + gained))

    def when_next(self, now: int) -> int:
        """When the bucket holds a whole token."""
        missing = max(0.0, 1.0 - self.tokens_at(now))
        return now + int(missing * self.period / self.rate) + 1


class QueueLimits:
    """What each queue lets through; reads the definitions in the claim's own transaction."""

    def __init__(self, sql: QueueStatements) -> None:
        self._sql = sql
        self._limited: dict[str, _Row] = {}
        self._rows: list[_Row] = []
        self._unlimited_at: int | None = None

    def prepare(self, tx: Transaction, control: int) -> None:
        """Before a claim, and before anything else in its transaction.

        Definitions are read again when `control` changed, or when there is a limit; then, where
        transactions run side by side, only one at a time may spend it.
        """
        if self._unlimited_at == control:
            return
        if tx.dialect.concurrent:
            self._sql.lock_limited(tx).fetchall()
        self._rows = [_Row(row) for row in self._sql.all(tx).fetchall()]
        limited = any(queue.limited for queue in self._rows)
        self._unlimited_at = None if limited else control

    def forget(self) -> None:
        """What was read may have been rolled back."""
        self._unlimited_at = None

    def budgets(self, tx: Transaction, request: ClaimRequest) -> dict[str, int | None]:
        """How many steps each queue lets through to a worker now; None means any number."""
        self._limited.clear()
        budgets: dict[str, int | None] = {}
        for queue in self._rows:
            if request.queues is not None and queue.name not in request.queues:
                continue
            if not set(queue.labels) <= set(request.labels):
                continue
            budgets[queue.name] = None
            if queue.limited:
                self._limited[queue.name] = queue
                budgets[queue.name] = self._budget(tx, queue, request.worker_id)
        return budgets

    def _budget(self, tx: Transaction, queue: _Row, worker_id: str) -> int:
        limits = []
        if queue.max_in_flight is not None:
            limits.append(queue.max_in_flight - self._sql.running(tx, queue.name).fetchone()[0])
        if queue.max_per_worker is not None:
            here = self._sql.running_here(tx, queue.name, worker_id).fetchone()[0]
            limits.append(queue.max_per_worker - here)
        if queue.rate is not None:
            limits.append(int(queue.tokens_at(tx.now)))
        return int(max(0, min(limits)))

    def spend(self, tx: Transaction, names: Iterable[str]) -> None:
        """Take a token for each claimed step."""
        for name, count in Counter(names).items() if self._limited else ():
            queue = self._limited.get(name)
            if queue is not None and queue.rate is not None:
                queue.tokens = queue.tokens_at(tx.now) - count
                # Time that a clock went back was paid for once already.
                queue.refilled_at = max(queue.refilled_at, tx.now)
                self._sql.spend(tx, queue.tokens, queue.refilled_at, name)

    def next_token(self, tx: Transaction) -> int | None:
        """When a queue in which something waits for a token gets its next one, or None."""
        times = [
            queue.when_next(tx.now)
            for queue in self._limited.values()
            if queue.rate is not None
            and queue.tokens_at(tx.now) < 1
            and self._sql.any_ready(tx, queue.name).fetchone() is not None
        ]
        return min(times, default=None)

    def define(self, tx: Transaction, queues: Sequence[Queue]) -> bool:
        """Store limits; tokens stay, but never more than the new burst. False if none changed."""
        stored = {row[0]: row for row in self._sql.all(tx).fetchall()}
        changed = False
        for queue in queues:
            row = stored.get(queue.name)
            limits = (
                queue.max_in_flight,
                None if queue.rate_limit is None else float(queue.rate_limit),
                duration_micros(queue.rate_period),
                queue.burst,
            )
            others = (queue.max_per_worker, encode(list(queue.labels), "labels"))
            if row is not None and (tuple(row[1:5]), tuple(row[7:])) == (limits, others):
                continue
            changed = True
            tokens, refilled_at = (row[5], row[6]) if row is not None else (None, tx.now)
            self._sql.define(tx, queue.name, *limits, tokens, refilled_at, *others)
        return changed

    def statuses(self, tx: Transaction) -> list[QueueStatus]:
        """All queues, by name."""
        statuses = []
        for row in self._sql.all(tx).fetchall():
            queue = _Row(row)
            statuses.append(
                QueueStatus(
                    name=queue.name,
                    ready=self._sql.ready(tx, queue.name).fetchone()[0],
                    running=self._sql.running(tx, queue.name).fetchone()[0],
                    max_in_flight=queue.max_in_flight,
                    rate_limit=queue.rate,
                    rate_period=timedelta(microseconds=queue.period),
                    burst=row[4],
                    tokens=None if queue.rate is None else queue.tokens_at(tx.now),
                    max_per_worker=queue.max_per_worker,
                    labels=queue.labels,
                )
            )
        return statuses

    def check_known(self, tx: Transaction, names: Sequence[str] | None) -> None:
        """Raises NotFound when a name is no queue."""
        known = [row[0] for row in self._sql.all(tx).fetchall()]
        for name in names or ():
            if name not in known:
                raise NotFound(f"there is no queue {name!r}{nearest(name, known)}")
