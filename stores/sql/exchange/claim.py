"""Claims: ready steps for a worker, within the limits of their queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter

from stepwell.engine.exchange import ClaimedStep, ClaimRequest, PoolRequest, RunInfo
from stepwell.engine.payloads.payload import decode
from stepwell.engine.states import RunStatus
from stepwell.stores.sql.connection.corruption import decodes
from stepwell.stores.sql.connection.statements import StoreTransaction, rows_json
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.claim_rules import FoundRun, FoundStep, found_run
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements
from stepwell.stores.sql.exchange.handoff import NO_OFFER, Offer
from stepwell.stores.sql.exchange.plan import Plan
from stepwell.stores.sql.exchange.queue_limits import QueueLimits
from stepwell.stores.sql.exchange.run_cache import RunCache

# Microseconds until the next look for steps whose runs were locked by others and not started.
BEGIN_AGAIN = 5_000


class Claiming:
    """Claims in a transaction given by the caller; caches what executions know of their runs."""

    def __init__(self, sql: ClaimStatements, limits: QueueLimits, plan: Plan) -> None:
        self._sql = sql
        self._plan = plan
        self._limits = limits
        self._name_list = lru_cache(maxsize=1_000)(sql.dialect.name_list)
        self.runs = RunCache()

    def forget(self) -> None:
        """Drop what is known: the next transaction may be on another database."""
        self.runs = RunCache()
        self._limits.forget()

    def offer(self, request: ClaimRequest | None, control: Callable[[], int]) -> Offer:
        """What may be handed on to the worker before it claims; `control` reads that number."""
        if request is None or not request.pools:
            return NO_OFFER
        known = self._limits.unlimited(request)
        if known is None:
            return NO_OFFER
        known_at, queues = known
        if not self._plan.may_offer(known_at, control):
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
        self, changes: Changes, request: ClaimRequest, control: int, created: RunInfo | None = None
    ) -> tuple[list[ClaimedStep], int | None]:
        """Take up to each pool's limit of steps; returns them, and when to look again.

        Steps that were handed on are included. `created` is the run that this transaction stores.
        """
        tx, handoffs = changes.tx, changes.handoffs
        budgets = self._limits.budgets(tx, request, control)
        found = handoffs.steps
        if not handoffs.all or tx.made_ready or tx.more_ready:
            pools = _without(found, request.pools)
            found = [*found, *self._plan.take(tx, request, pools, budgets)]
        _sort(found)
        claimed: list[ClaimedStep] = []
        begun = True
        if found:
            claimed, begun = self._begin(changes, request, found, created)
        wake_at = self._limits.next_token(tx)
        if not begun:
            soon = tx.now + BEGIN_AGAIN
            wake_at = soon if wake_at is None else min(soon, wake_at)
        return claimed, wake_at

    def _begin(
        self,
        changes: Changes,
        request: ClaimRequest,
        found: list[FoundStep],
        created: RunInfo | None,
    ) -> tuple[list[ClaimedStep], bool]:
        """Start the runs of these steps; returns the steps of started runs, and whether all are."""
        tx = changes.tx
        runs, locked = self._load_runs(changes, {step.run_key for step in found}, created)
        if locked:
            left = [step.id for step in found if step.run_key in locked]
            self._sql.give_back(tx, rows_json(left))
            found = [step for step in found if step.run_key not in locked]
        self._limits.spend(tx, (step.queue for step in found))
        parents = self._parents(tx, {step.parent for step in found if step.parent is not None})
        return _claimed_of(found, runs, parents, tx.now, tx.now + request.lease), not locked

    def _load_runs(
        self, changes: Changes, keys: set[int], created: RunInfo | None
    ) -> tuple[dict[int, RunInfo], set[int]]:
        """What executions know of these runs, and the keys of runs that could not be started
        because others have them locked.
        """
        tx = changes.tx
        locked: set[int] = set()
        known = self.runs.among(keys)
        fresh: dict[int, RunInfo] = {}
        if created is not None and created.key in keys:
            # No other transaction has seen it, so it need not be loaded.
            self._plan.start_new_run(changes, created.key)
            fresh[created.key] = created
        missing = [key for key in keys if key not in known and key not in fresh]
        if missing:
            # Most runs that are not in the cache are started by this claim.
            found = self._plan.start_runs(changes, missing)
            begun = {run.id for run in found}
            others = [key for key in missing if key not in begun]
            if others:
                for status, *row in self._sql.load_runs(tx, rows_json(others)).fetchall():
                    run = found_run(row)
                    if status == RunStatus.PENDING:
                        locked.add(run.id)
                    else:
                        found.append(run)
            fresh.update(_infos(found))
        changes.new_runs += fresh.values()
        return {**known, **fresh}, locked

    def _parents(self, tx: StoreTransaction, keys: set[int]) -> dict[int, str]:
        if not keys:
            return {}
        return dict(self._sql.step_names(tx, rows_json(list(keys))).fetchall())


def _without(found: Sequence[FoundStep], pools: Sequence[PoolRequest]) -> Sequence[PoolRequest]:
    """The room that is left in the pools once these steps are taken."""
    if not found:
        return pools
    taken = Counter(step.kind for step in found)
    left = [(pool, pool.limit - sum(taken[kind] for kind in pool.kinds)) for pool in pools]
    return [PoolRequest(pool.kinds, limit) for pool, limit in left if limit > 0]


@decodes
def _sort(found: list[FoundStep]) -> None:
    """By priority, ready time and creation, as is promised."""
    found.sort(key=attrgetter("priority", "ready_at", "id"))


@decodes
def _infos(found: Iterable[FoundRun]) -> dict[int, RunInfo]:
    """What executions know of runs, by key."""
    return {
        run.id: RunInfo(
            run.id,
            run.run_id,
            run.package,
            run.entrypoint,
            run.name,
            decode(run.metadata),
            tuple(decode(run.tags)),
            run.input,
            run.created_at,
            run.parent_run,
            run.queue,
            run.priority,
        )
        for run in found
    }


@decodes
def _claimed_of(
    found: Sequence[FoundStep],
    runs: Mapping[int, RunInfo],
    parents: dict[int, str],
    now: int,
    expires: int,
) -> list[ClaimedStep]:
    return [_claimed(step, runs[step.run_key], parents, now, expires) for step in found]


def _claimed(
    step: FoundStep, run: RunInfo, parents: dict[int, str], now: int, expires: int
) -> ClaimedStep:
    """The value that workers hold: the step as it is after the claim."""
    return ClaimedStep(
        step.id,
        step.token + 1,
        run,
        step.step_id,
        step.kind,
        step.queue,
        step.input,
        step.attempt + 1,
        step.failures,
        step.lost_leases,
        step.max_attempts,
        step.priority,
        step.timeout,
        step.retry,
        step.metadata,
        step.dedup_key,
        step.site or run.package,
        None if step.parent is None else parents[step.parent],
        bool(step.allow_failure),
        step.wait,
        step.wake_at,
        step.created_at,
        step.ready_at,
        now,
        expires,
    )
