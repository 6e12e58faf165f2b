"""Claiming: ready steps for a worker, within the limits of their queues."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from heapq import merge
from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.model import ClaimedStep, ClaimRequest, Exchange, RunInfo
from stepwell.engine.payload import decode, encode
from stepwell.engine.states import Act, RunStatus
from stepwell.stores.sql import schema
from stepwell.stores.sql.ledger import Ledger
from stepwell.stores.sql.queues import QueueLimits
from stepwell.stores.sql.statements import (
    Statement,
    Statements,
    Transaction,
    becomes,
    bind,
    may,
    rows_json,
)

CACHED_RUNS = 10_000

_COLUMNS = (
    *("priority", "ready_at", "id", "run_key", "step_id", "kind", "queue", "input", "attempt"),
    *("failures", "lost_leases", "max_attempts", "timeout", "retry", "metadata", "dedup_key"),
    *("site", "parent", "allow_failure", "wait", "token", "created_at"),
)


class ClaimStatements(Statements):
    """Finding ready steps and taking them."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        steps, runs = schema.steps, schema.runs
        self.find_ready = Statement(
            dialect.skip_locked(
                sa.select(*(steps.c[name] for name in _COLUMNS))
                .where(
                    may(Act.CLAIM, steps.c.status),
                    steps.c.queue == bind("queue"),
                    steps.c.ready_at <= bind("now"),
                    steps.c.kind.in_(dialect.texts("kinds")),
                )
                .order_by(steps.c.priority, steps.c.ready_at, steps.c.id)
                .limit(bind("limit"))
            ),
            *("queue", "now", "kinds", "limit"),
        )
        self.take = Statement(
            sa.update(steps)
            .values(
                status=becomes(Act.CLAIM),
                token=steps.c.token + 1,
                attempt=steps.c.attempt + 1,
                worker=bind("worker"),
                started_at=bind("now"),
                expires_at=bind("expires"),
            )
            .where(steps.c.id.in_(dialect.scalars("keys")), may(Act.CLAIM, steps.c.status)),
            *("worker", "now", "expires", "keys"),
        )
        columns = ("id", "run_id", "package", "entrypoint", "name", "metadata", "tags", "input")
        self.load_runs = Statement(
            sa.select(*(runs.c[name] for name in columns), runs.c.created_at, runs.c.status).where(
                runs.c.id.in_(dialect.scalars("keys"))
            ),
            "keys",
        )
        self.start_runs = Statement(
            sa.update(runs)
            .values(
                status=RunStatus.RUNNING.value,
                started_at=sa.func.coalesce(runs.c.started_at, bind("now")),
            )
            .where(runs.c.id.in_(dialect.scalars("keys"))),
            *("now", "keys"),
        )
        self.step_names = Statement(
            sa.select(steps.c.id, steps.c.step_id).where(steps.c.id.in_(dialect.scalars("keys"))),
            "keys",
        )


class Claims:
    """Claims in a transaction given by the caller; keeps what executions know of their runs."""

    def __init__(self, sql: ClaimStatements, limits: QueueLimits) -> None:
        self._sql = sql
        self._limits = limits
        self._runs: OrderedDict[int, RunInfo] = OrderedDict()

    def claim(
        self, tx: Transaction, ledger: Ledger, request: ClaimRequest, result: Exchange
    ) -> None:
        """Take up to each lane's limit of steps; they are in `result.claimed` afterwards."""
        rows = self._choose(tx, request, result)
        if not rows:
            return
        expires = tx.now + request.lease
        keys = rows_json([row[2] for row in rows])
        self._sql.take(tx, request.worker_id, tx.now, expires, keys)
        runs = self._load_runs(tx, ledger, {row[3] for row in rows})
        parents = self._parents(tx, {row[17] for row in rows if row[17] is not None})
        for row in rows:
            result.claimed.append(_claimed(row, runs[row[3]], parents, tx.now, expires))

    def _choose(
        self, tx: Transaction, request: ClaimRequest, result: Exchange
    ) -> list[tuple[Any, ...]]:
        """The rows to take, in the order of the promise: priority, ready time, creation."""
        chosen: list[tuple[Any, ...]] = []
        suspects_left = int(request.suspects)
        budgets = self._limits.budgets(tx, request.queues)
        for lane in request.lanes:
            if lane.limit <= 0:
                continue
            kinds = encode(list(lane.kinds), "kinds")
            found: list[Sequence[tuple[Any, ...]]] = []
            for queue, budget in budgets.items():
                limit = lane.limit if budget is None else min(lane.limit, budget)
                if limit > 0:
                    cursor = self._sql.find_ready(tx, queue, tx.now, kinds, limit)
                    found.append(cursor.fetchall())
            left = lane.limit
            for row in found[0] if len(found) == 1 else merge(*found):
                if left == 0:
                    break
                if row[10]:
                    # One suspect at a time: it may be what killed its worker.
                    if not suspects_left:
                        continue
                    suspects_left -= 1
                left -= 1
                chosen.append(row)
                budget = budgets[row[6]]
                if budget is not None:
                    budgets[row[6]] = budget - 1
        if chosen:
            result.wake_at = self._limits.spend(tx, (row[6] for row in chosen))
        else:
            result.wake_at = self._limits.next_token(tx, request.queues)
        return chosen

    def _load_runs(self, tx: Transaction, ledger: Ledger, keys: set[int]) -> dict[int, RunInfo]:
        cache = self._runs
        missing = [key for key in keys if key not in cache]
        if missing:
            pending = []
            for key, *columns, created_at, status in self._sql.load_runs(
                tx, rows_json(missing)
            ).fetchall():
                run_id, package, entrypoint, name, metadata, tags, text = columns
                labels = tuple(decode(tags))
                cache[key] = RunInfo(
                    *(key, run_id, package, entrypoint, name, decode(metadata), labels),
                    *(text, created_at),
                )
                if status == RunStatus.PENDING:
                    pending.append(key)
            if pending:
                self._sql.start_runs(tx, tx.now, rows_json(pending))
                for key in pending:
                    ledger.event(key, EventType.RUN_STARTED)
        runs = {key: cache[key] for key in keys}
        while len(cache) > CACHED_RUNS:
            cache.popitem(last=False)
        return runs

    def forget_runs(self) -> None:
        """After a transaction that was rolled back: what it read and started may not be so."""
        self._runs.clear()

    def _parents(self, tx: Transaction, keys: set[int]) -> dict[int, str]:
        if not keys:
            return {}
        return dict(self._sql.step_names(tx, rows_json(list(keys))).fetchall())


def _claimed(
    row: Sequence[Any], run: RunInfo, parents: dict[int, str], now: int, expires: int
) -> ClaimedStep:
    """A row of `_COLUMNS` as the value workers hold, as it is after the claim."""
    # fmt: off
    (priority, ready_at, key, _, step_id, kind, queue, text, attempt, failures, lost_leases,
     max_attempts, timeout, retry, metadata, dedup_key, site, parent, allow_failure, wait,
     token, created_at) = row
    # fmt: on
    return ClaimedStep(
        key,
        token + 1,
        run,
        step_id,
        kind,
        queue,
        text,
        attempt + 1,
        failures,
        lost_leases,
        max_attempts,
        priority,
        timeout,
        retry,
        metadata,
        dedup_key,
        site or run.package,
        None if parent is None else parents[parent],
        bool(allow_failure),
        wait,
        created_at,
        ready_at,
        now,
        expires,
    )
