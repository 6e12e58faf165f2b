"""Claims: ready steps for a worker, within the limits of their queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from heapq import merge
from operator import itemgetter
from typing import Any

from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimedStep, ClaimRequest, Exchange, PoolRequest, RunInfo
from stepwell.engine.payloads.payload import decode
from stepwell.engine.states import RunStatus
from stepwell.stores.sql.connection.corruption import decodes
from stepwell.stores.sql.connection.statements import Statement, StoreTransaction, rows_json
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements
from stepwell.stores.sql.exchange.fused_sql import FusedStatements
from stepwell.stores.sql.exchange.handoff import NO_OFFER, Handoff, Offer
from stepwell.stores.sql.exchange.queue_limits import QueueLimits
from stepwell.stores.sql.exchange.run_cache import RunCache

# Microseconds until steps are looked for again whose runs could not be begun, as others held them.
BEGIN_AGAIN = 5_000


class Claiming:
    """Claims in a transaction given by the caller; keeps what executions know of their runs."""

    def __init__(
        self, sql: ClaimStatements, limits: QueueLimits, fused: FusedStatements | None
    ) -> None:
        self._sql = sql
        self._fused = fused
        self._limits = limits
        self._name_list = lru_cache(maxsize=1_000)(sql.dialect.name_list)
        self.runs = RunCache()

    def forget(self) -> None:
        """What comes next may be another database."""
        self.runs = RunCache()
        self._limits.forget()

    def offer(self, request: ClaimRequest | None, control: Callable[[], int]) -> Offer:
        """What may be handed on to the worker before it claims; `control` tells that number."""
        if request is None or not request.pools:
            return NO_OFFER
        known = self._limits.unlimited(request)
        if known is None:
            return NO_OFFER
        known_at, queues = known
        if self._fused is None and known_at != control():  # else the statement looks
            return NO_OFFER
        return Offer(
            request.worker_id,
            request.lease,
            request.suspect_from,
            self._name_list(tuple(kind for pool in request.pools for kind in pool.kinds)),
            self._name_list(queues),
            min(pool.limit for pool in request.pools),
            known_at,
        )

    def claim(
        self,
        tx: StoreTransaction,
        changes: Changes,
        request: ClaimRequest,
        result: Exchange,
        handoffs: Handoff,
        created: RunInfo | None = None,
    ) -> Collection[RunInfo]:
        """Take up to each pool's limit of steps; they are in `result.claimed` afterwards.

        `handoffs` were taken already; `created` is the run that this transaction stores. Returns
        what `runs` has to remember, once it is committed.
        """
        fresh: Collection[RunInfo] = ()
        budgets = self._limits.budgets(tx, request, result.control)
        rows = handoffs.rows
        if not handoffs.all or tx.made_ready or tx.more_ready:
            pools = _without(rows, request.pools)
            if self._fused is None:
                found = self._choose_and_take(tx, request, pools, budgets)
            else:
                found = self._take_together(self._fused.claim, tx, request, pools, budgets)
            rows = [*rows, *found]
        # By priority, ready time and creation, as it is promised.
        _sort(rows)
        begun = True
        if rows:
            fresh, begun = self._add_claimed(tx, changes, request, rows, result, created)
        result.wake_at = self._limits.next_token(tx)
        if not begun:
            soon = tx.now + BEGIN_AGAIN
            result.wake_at = soon if result.wake_at is None else min(soon, result.wake_at)
        return fresh

    def _add_claimed(
        self,
        tx: StoreTransaction,
        changes: Changes,
        request: ClaimRequest,
        rows: list[tuple[Any, ...]],
        result: Exchange,
        created: RunInfo | None,
    ) -> tuple[Collection[RunInfo], bool]:
        """What was read of runs; and whether all of these steps can be begun."""
        expires = tx.now + request.lease
        runs, fresh, locked = self._load_runs(tx, changes, {row[3] for row in rows}, created)
        if locked:
            left = [row[2] for row in rows if row[3] in locked]
            self._sql.give_back(tx, rows_json(left))
            rows = [row for row in rows if row[3] not in locked]
        self._limits.spend(tx, (row[6] for row in rows))
        parents = self._parents(tx, {row[17] for row in rows if row[17] is not None})
        result.claimed += _claimed_of(rows, runs, parents, tx.now, expires)
        return fresh, not locked

    def _take_together(
        self,
        together: Statement,
        tx: StoreTransaction,
        request: ClaimRequest,
        pools: Sequence[PoolRequest],
        budgets: Mapping[str, int | None],
    ) -> list[tuple[Any, ...]]:
        """Find and take in one statement; returns the rows as they were, in no order."""
        wanted = [
            (queue, kind, pool.limit, number, budget)
            for number, pool in enumerate(pools)
            for kind in pool.kinds
            for queue, budget in budgets.items()
            if budget != 0
        ]
        rows: list[tuple[Any, ...]] = together(
            tx,
            request.worker_id,
            tx.now,
            tx.now + request.lease,
            request.suspect_from,
            int(request.suspects),
            rows_json(wanted),
        ).fetchall()
        if rows and rows[0][-1] > len(rows):
            # Who looked meanwhile was not shown what was locked here and left.
            tx.news = True
        return [row[:-1] for row in rows]

    def _choose_and_take(
        self,
        tx: StoreTransaction,
        request: ClaimRequest,
        pools: Sequence[PoolRequest],
        budgets: dict[str, int | None],
    ) -> list[tuple[Any, ...]]:
        """The same in several statements."""
        rows = self._choose(tx, request, pools, budgets)
        if rows:
            keys = rows_json([row[2] for row in rows])
            self._sql.take(tx, request.worker_id, tx.now, tx.now + request.lease, keys)
        return rows

    def _choose(
        self,
        tx: StoreTransaction,
        request: ClaimRequest,
        pools: Sequence[PoolRequest],
        budgets: dict[str, int | None],
    ) -> list[tuple[Any, ...]]:
        """The rows to take, for each pool the best ones."""
        ready: list[tuple[str, str]] = []
        suspects = False
        for queue, budget in budgets.items():
            if budget != 0:
                for kind, some in self._sql.ready_kinds(tx, queue).fetchall():
                    ready.append((queue, kind))
                    suspects = suspects or bool(some)
        suspect = self._suspect(tx, request, budgets) if suspects and request.suspects else []
        chosen: list[tuple[Any, ...]] = []
        for pool in pools:
            sources = [source for source in ready if source[1] in pool.kinds]
            mine = [row for row in suspect if row[5] in pool.kinds]
            if len(sources) == 1 and not mine:
                queue = sources[0][0]
                budget = budgets[queue]
                limit = pool.limit if budget is None else min(pool.limit, budget)
                rows = self._sql.find_ready(
                    tx, *sources[0], tx.now, request.suspect_from, limit
                ).fetchall()
                if budget is not None:
                    budgets[queue] = budget - len(rows)
                chosen += rows
            elif sources or mine:
                cursors = [
                    self._sql.find_ready.rows(tx, *source, tx.now, request.suspect_from, pool.limit)
                    for source in sources
                ]
                chosen += _best((mine, *cursors), pool.limit, budgets)
                for cursor in cursors:  # read only as far as needed
                    cursor.close()
                if tx.dialect.concurrent:
                    # Who looked meanwhile was not shown what was locked here and is left.
                    tx.news = True
        return chosen

    def _suspect(
        self, tx: StoreTransaction, request: ClaimRequest, budgets: Mapping[str, int | None]
    ) -> list[tuple[Any, ...]]:
        """The first step, if any, that may be what killed its workers; one is taken at a time."""
        queues = rows_json([queue for queue, budget in budgets.items() if budget != 0])
        kinds = rows_json([kind for pool in request.pools for kind in pool.kinds])
        rows: list[tuple[Any, ...]] = self._sql.find_suspect(
            tx, request.suspect_from, queues, kinds, tx.now
        ).fetchall()
        return rows

    def _load_runs(
        self, tx: StoreTransaction, changes: Changes, keys: set[int], created: RunInfo | None
    ) -> tuple[dict[int, RunInfo], Collection[RunInfo], set[int]]:
        """What executions know of these runs; those of them that were not known before; and the
        keys of those that have to be begun, but are locked by others at the moment.
        """
        locked: set[int] = set()
        known = self.runs.among(keys)
        fresh: dict[int, RunInfo] = {}
        if created is not None and created.key in keys:
            self._begin(tx, changes, created)
            fresh[created.key] = created
        missing = [key for key in keys if key not in known and key not in fresh]
        if missing:
            # Most runs that were not seen before are begun by this claim.
            start = self._sql.start_runs if self._fused is None else self._fused.start_runs
            rows = start(tx, tx.now, rows_json(missing)).fetchall()
            begun = {row[0] for row in rows}
            if self._fused is not None:
                rows = [changes.told(EventType.RUN_STARTED, row) for row in rows]
            else:
                for key in sorted(begun):
                    changes.event(key, EventType.RUN_STARTED)
            others = [key for key in missing if key not in begun]
            if others:
                for status, *row in self._sql.load_runs(tx, rows_json(others)).fetchall():
                    if status == RunStatus.PENDING:
                        locked.add(row[0])
                    else:
                        rows.append(row)
            fresh.update(_infos(rows))
        return {**known, **fresh}, fresh.values(), locked

    def _begin(self, tx: StoreTransaction, changes: Changes, run: RunInfo) -> None:
        """Begin a run that nobody else has seen yet: it need not be asked what is in it."""
        key = rows_json([run.key])
        if self._fused is not None:
            # Its second event: the first says that it was created. Whoever reads these rows sends
            # a message for them alone; so they go with the commit.
            self._fused.start_runs(tx, tx.now, key)
            changes.told(EventType.RUN_STARTED, (run.key, 2))
        else:
            self._sql.start_runs(tx, tx.now, key).fetchall()
            changes.event(run.key, EventType.RUN_STARTED)

    def _parents(self, tx: StoreTransaction, keys: set[int]) -> dict[int, str]:
        if not keys:
            return {}
        return dict(self._sql.step_names(tx, rows_json(list(keys))).fetchall())


def _without(rows: Sequence[Sequence[Any]], pools: Sequence[PoolRequest]) -> Sequence[PoolRequest]:
    """What is left of the pools when these rows were taken."""
    if not rows:
        return pools
    taken = Counter(row[5] for row in rows)
    left = [(pool, pool.limit - sum(taken[kind] for kind in pool.kinds)) for pool in pools]
    return [PoolRequest(pool.kinds, limit) for pool, limit in left if limit > 0]


@decodes
def _sort(rows: list[tuple[Any, ...]]) -> None:
    rows.sort(key=itemgetter(0, 1, 2))


@decodes
def _infos(rows: Iterable[Sequence[Any]]) -> dict[int, RunInfo]:
    """What executions know of runs, by key."""
    infos = {}
    for key, run_id, package, entrypoint, name, metadata, tags, *more in rows:
        of_run = (run_id, package, entrypoint, name, decode(metadata), tuple(decode(tags)))
        infos[key] = RunInfo(key, *of_run, *more)
    return infos


@decodes
def _best(
    sources: Iterable[Iterable[tuple[Any, ...]]], limit: int, budgets: dict[str, int | None]
) -> list[tuple[Any, ...]]:
    """The best rows of several sorted sources, of each queue no more than its budget."""
    best: list[tuple[Any, ...]] = []
    for row in merge(*sources):
        budget = budgets[row[6]]
        if budget == 0:
            continue
        if budget is not None:
            budgets[row[6]] = budget - 1
        best.append(row)
        limit -= 1
        if limit == 0:
            break
    return best


@decodes
def _claimed_of(
    rows: Sequence[tuple[Any, ...]],
    runs: Mapping[int, RunInfo],
    parents: dict[int, str],
    now: int,
    expires: int,
) -> list[ClaimedStep]:
    return [_claimed(row, runs[row[3]], parents, now, expires) for row in rows]


def _claimed(
    row: Sequence[Any], run: RunInfo, parents: dict[int, str], now: int, expires: int
) -> ClaimedStep:
    """A row of `CLAIMED` as the value workers hold, as it is after the claim."""
    # fmt: off
    (priority, ready_at, key, _, step_id, kind, queue, text, attempt, failures, lost_leases,
     max_attempts, timeout, retry, metadata, dedup_key, site, parent, allow_failure, wait,
     wake_at, token, created_at) = row
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
        wake_at,
        created_at,
        ready_at,
        now,
        expires,
    )
