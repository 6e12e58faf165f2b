"""Queues' limits: how many may run, and the token bucket that survives restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from stepwell.engine.clock import duration_micros
from stepwell.engine.errors import NotFound, nearest
from stepwell.engine.exchange import ClaimRequest
from stepwell.engine.model import Queue, QueueStatus
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.queue_rules import bucket_of
from stepwell.engine.states import StepStatus
from stepwell.stores.sql.connection.corruption import decodes, first_number
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    literal,
    rows_json,
    upsert_of,
)
from stepwell.stores.sql.schema import tables

# Microseconds until the next look at limits that others had locked.
TRY_AGAIN = 2_000
# The meta entry for the time when limits were last changed. Workers that have not noticed yet may
# still claim by the old limits; `verify` tolerates that for some time (in microseconds).
LIMITS_SET = "limits_set"
LIMITS_GRACE = 60_000_000


class QueueStatements(Statements):
    """Definitions, counts and tokens of queues."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        queues, steps = tables.queues, tables.steps
        self.all = Statement(sa.select(queues).order_by(queues.c.name))
        # Only queues with steps that can be claimed: the limits of others do not matter.
        wanted = (
            sa.select(queues)
            .where(
                queues.c.name.in_(dialect.texts("names")),
                sa.exists().where(
                    steps.c.status == literal(StepStatus.READY),
                    steps.c.queue == queues.c.name,
                    steps.c.kind.in_(dialect.texts("kinds")),
                ),
            )
            .order_by(queues.c.name)
        )
        self.wanted = Statement(wanted, *("names", "kinds"))
        self.lock = Statement(wanted.with_for_update(), *("names", "kinds"))
        self.try_lock = Statement(wanted.with_for_update(skip_locked=True), *("names", "kinds"))
        self.define = Statement(
            upsert_of(dialect, queues, ("name",)), *(column.name for column in queues.columns)
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

        self._limits_set(dialect)

    def _limits_set(self, dialect: Any) -> None:
        steps = tables.steps
        self.put_meta = Statement(upsert_of(dialect, tables.meta, ("name",)), *("name", "value"))
        self.last_start = Statement(
            sa.select(sa.func.coalesce(sa.func.max(steps.c.started_at), 0)).where(
                steps.c.status == literal(StepStatus.RUNNING)
            )
        )


class _Stored(NamedTuple):
    """The columns of `queues`, in their order."""

    name: str
    max_in_flight: int | None
    rate: float | None
    period: int
    burst: int | None
    tokens: float | None
    refilled_at: int
    max_per_worker: int | None
    labels: str


class _Row:
    """A stored queue, as its limits are looked at."""

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

    def __init__(self, row: _Stored) -> None:
        self.name = row.name
        self.max_in_flight, self.max_per_worker = row.max_in_flight, row.max_per_worker
        self.rate: Any = row.rate
        self.period = row.period
        self.labels: tuple[str, ...] = tuple(decode(row.labels))
        self.burst: float = bucket_of(row.burst, row.rate or 1.0)
        self.tokens: float = self.burst if row.tokens is None else row.tokens
        self.refilled_at = row.refilled_at

    @property
    def limited(self) -> bool:
        """Whether it has any limit."""
        limits = (self.max_in_flight, self.max_per_worker, self.rate)
        return any(limit is not None for limit in limits)

    @property
    def has_slots(self) -> bool:
        """Whether it limits how many run, so that the end of one lets another one begin."""
        return self.max_in_flight is not None or self.max_per_worker is not None

    def tokens_at(self, now: int) -> float:
        """Saved tokens and those gained since; a clock that was set back adds none."""
        gained = max(0, now - self.refilled_at) * self.rate / self.period
        return float(min(self.burst, self.tokens + gained))

    def when_next(self, now: int) -> int:
        """When the bucket holds a whole token."""
        missing = max(0.0, 1.0 - self.tokens_at(now))
        return now + int(missing * self.period / self.rate) + 1


@decodes
def _read(row: Sequence[Any]) -> _Row:
    queue = _Row(_Stored._make(row))
    numbers = (queue.max_in_flight, queue.max_per_worker, queue.rate, queue.period)
    more = (queue.burst, queue.tokens, queue.refilled_at)
    sum(number for number in (*numbers, *more) if number is not None)  # raises for a text
    return queue


class QueueLimits:
    """How many steps each queue lets through.

    Definitions are cached until the store's control number changes. Where transactions run side by
    side, a claim locks the row of each limited queue that it may claim from, so that only one at a
    time uses up the limit. Queues without limits, and those with nothing to claim, are not locked.
    """

    def __init__(self, sql: QueueStatements) -> None:
        self._sql = sql
        self._known: dict[str, _Row] = {}
        self._known_at: int | None = None
        self._limited: dict[str, _Row] = {}
        self._locked: dict[str, _Row] = {}
        self._missed = False
        self._any_limited = False

    def lock(self, tx: StoreTransaction, request: ClaimRequest) -> None:
        """Lock the limits for a claim, before anything else in its transaction; may wait."""
        self._locked.clear()
        if not self._any_limited:
            return
        names = self._unlocked(request)
        if tx.dialect.concurrent and names:
            self._add_locked(self._sql.lock(tx, rows_json(names), _kinds(request)).fetchall())

    def _lock_late(self, tx: StoreTransaction, request: ClaimRequest) -> None:
        """Lock queues whose steps became ready in this transaction; waiting now could deadlock."""
        names = self._unlocked(request)
        kinds = _kinds(request)
        wanted = self._sql.wanted(tx, rows_json(names), kinds).fetchall() if names else []
        if wanted:
            wanted_json = rows_json([row[0] for row in wanted])
            rows = self._sql.try_lock(tx, wanted_json, kinds).fetchall()
            self._add_locked(rows)
            self._missed = len(rows) < len(wanted)

    def _unlocked(self, request: ClaimRequest) -> list[str]:
        """The limited queues that the worker may claim from and that are not locked yet."""
        return [
            queue.name
            for queue in self._open_to(request)
            if queue.limited and queue.name not in self._locked
        ]

    def _add_locked(self, rows: Sequence[Sequence[Any]]) -> None:
        self._locked.update((row[0], _read(row)) for row in rows)

    def _open_to(self, request: ClaimRequest) -> list[_Row]:
        """The queues that a worker may claim from."""
        return [
            queue
            for queue in self._known.values()
            if (request.queues is None or queue.name in request.queues)
            and (not queue.labels or set(queue.labels) <= set(request.labels))
        ]

    def forget(self) -> None:
        """Drop what is known: it may be from a transaction that was rolled back."""
        self._known_at = None

    def budgets(
        self, tx: StoreTransaction, request: ClaimRequest, control: int
    ) -> dict[str, int | None]:
        """How many steps each queue lets through to a worker now; None means any number."""
        if self._known_at != control or (self._any_limited and not tx.dialect.concurrent):
            self._known = {row[0]: _read(row) for row in self._sql.all(tx).fetchall()}
            self._known_at = control
            self._any_limited = any(queue.limited for queue in self._known.values())
        self._missed = False
        self._limited.clear()
        if not self._any_limited:
            return {queue.name: None for queue in self._open_to(request)}
        if tx.dialect.concurrent:
            self._lock_late(tx, request)
        budgets: dict[str, int | None] = {}
        for known in self._open_to(request):
            queue = self._locked.get(known.name, known)
            budgets[queue.name] = None
            if queue.limited:
                locked = queue is not known or not tx.dialect.concurrent
                self._limited[queue.name] = queue
                budgets[queue.name] = self._budget(tx, queue, request.worker_id) if locked else 0
        return budgets

    def unlimited(self, request: ClaimRequest) -> tuple[int, tuple[str, ...]] | None:
        """The queues that a worker may claim from, and the control number when they were read.

        None if some of them have limits.
        """
        queues = self._open_to(request)
        if self._known_at is None or any(queue.limited for queue in queues):
            return None
        return self._known_at, tuple(queue.name for queue in queues)

    def _budget(self, tx: StoreTransaction, queue: _Row, worker_id: str) -> int:
        limits = []
        if queue.max_in_flight is not None:
            limits.append(queue.max_in_flight - self._sql.running(tx, queue.name).fetchone()[0])
        if queue.max_per_worker is not None:
            here = self._sql.running_here(tx, queue.name, worker_id).fetchone()[0]
            limits.append(queue.max_per_worker - here)
        if queue.rate is not None:
            limits.append(int(queue.tokens_at(tx.now)))
        return int(max(0, min(limits)))

    def spend(self, tx: StoreTransaction, names: Iterable[str]) -> None:
        """Take a token for each claimed step."""
        if not self._limited:
            return
        for name, count in Counter(names).items():
            queue = self._limited.get(name)
            if queue is not None and queue.rate is not None:
                queue.tokens = queue.tokens_at(tx.now) - count
                # Tokens for the time by which a clock was set back were gained once already.
                queue.refilled_at = max(queue.refilled_at, tx.now)
                self._sql.spend(tx, queue.tokens, queue.refilled_at, name)

    def next_token(self, tx: StoreTransaction) -> int | None:
        """When the first queue with steps that lack a token gets one, or None.

        Soon, if others had locked the limits of a queue that has ready steps.
        """
        if self._missed:
            return tx.now + TRY_AGAIN
        if not self._limited:
            return None
        times = [
            queue.when_next(tx.now)
            for queue in self._limited.values()
            if queue.rate is not None
            and queue.tokens_at(tx.now) < 1
            and self._sql.any_ready(tx, queue.name).fetchone() is not None
        ]
        return min(times, default=None)

    def has_room(self, tx: StoreTransaction, freed: Iterable[str], claimed: Iterable[str]) -> bool:
        """Whether something waits for slots of queues that were freed, and not taken again."""
        if not self._any_limited:
            return False
        left = Counter(freed)
        left.subtract(claimed)
        narrow = [name for name in +left if name in self._known and self._known[name].has_slots]
        return any(self._sql.any_ready(tx, name).fetchone() is not None for name in narrow)

    def define(self, tx: StoreTransaction, queues: Sequence[Queue]) -> bool:
        """Store limits; tokens stay, but never more than the new burst. False if none changed."""
        rows = map(_Stored._make, self._sql.all(tx).fetchall())
        stored = {row.name: row for row in rows}
        changed = False
        for queue in sorted(queues, key=lambda queue: queue.name):
            before = stored.get(queue.name)
            row = _Stored(
                queue.name,
                queue.max_in_flight,
                None if queue.rate_limit is None else float(queue.rate_limit),
                duration_micros(queue.rate_period),
                queue.burst,
                None if before is None else before.tokens,
                tx.now if before is None else before.refilled_at,
                queue.max_per_worker,
                encode(list(queue.labels), "labels"),
            )
            if row != before:
                changed = True
                self._sql.define(tx, *row)
        if changed:
            # A clock that went back must not make it look as if what runs had come later.
            set_at = max(tx.now, first_number(self._sql.last_start(tx).fetchone()))
            self._sql.put_meta(tx, LIMITS_SET, set_at)
        tx.news = tx.news or changed
        return changed

    def statuses(self, tx: StoreTransaction) -> list[QueueStatus]:
        """All queues, by name."""
        statuses = []
        for row in map(_Stored._make, self._sql.all(tx).fetchall()):
            queue = _read(row)
            statuses.append(
                QueueStatus(
                    name=queue.name,
                    ready=self._sql.ready(tx, queue.name).fetchone()[0],
                    running=self._sql.running(tx, queue.name).fetchone()[0],
                    max_in_flight=queue.max_in_flight,
                    rate_limit=queue.rate,
                    rate_period=timedelta(microseconds=queue.period),
                    burst=row.burst,
                    tokens=None if queue.rate is None else queue.tokens_at(tx.now),
                    max_per_worker=queue.max_per_worker,
                    labels=queue.labels,
                )
            )
        return statuses

    def check_known(self, tx: StoreTransaction, names: Sequence[str] | None) -> None:
        """Raises NotFound when a name is no queue."""
        known = [row[0] for row in self._sql.all(tx).fetchall()]
        for name in names or ():
            if name not in known:
                raise NotFound(f"there is no queue {name!r}{nearest(name, known)}")


def _kinds(request: ClaimRequest) -> str:
    """The kinds that a worker can take, as a JSON parameter."""
    return rows_json([kind for pool in request.pools for kind in pool.kinds])
