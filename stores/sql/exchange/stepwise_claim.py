"""Chooses the steps that a claim takes: for each pool the best ready ones of its queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import merge

from stepwell.engine.exchange import ClaimRequest, PoolRequest
from stepwell.stores.sql.connection.corruption import decodes
from stepwell.stores.sql.connection.statements import StoreTransaction, rows_json
from stepwell.stores.sql.exchange.claim_rules import FoundStep, found_step
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements


class Choice:
    """Finds them in a transaction given by the caller."""

    def __init__(self, sql: ClaimStatements) -> None:
        self._sql = sql

    def best(
        self,
        tx: StoreTransaction,
        request: ClaimRequest,
        pools: Sequence[PoolRequest],
        budgets: dict[str, int | None],
    ) -> list[FoundStep]:
        """The best steps for each pool; they are locked, but not changed."""
        ready: list[tuple[str, str]] = []
        suspects = False
        for queue, budget in budgets.items():
            if budget != 0:
                for kind, some in self._sql.ready_kinds(tx, queue).fetchall():
                    ready.append((queue, kind))
                    suspects = suspects or bool(some)
        suspect = self._suspect(tx, request, budgets) if suspects and request.suspects else []
        chosen: list[FoundStep] = []
        for pool in pools:
            sources = [source for source in ready if source[1] in pool.kinds]
            mine = [step for step in suspect if step.kind in pool.kinds]
            if len(sources) == 1 and not mine:
                queue = sources[0][0]
                budget = budgets[queue]
                limit = pool.limit if budget is None else min(pool.limit, budget)
                rows = self._sql.find_ready(
                    tx, *sources[0], tx.now, request.suspect_from, limit
                ).fetchall()
                if budget is not None:
                    budgets[queue] = budget - len(rows)
                chosen += map(found_step, rows)
            elif sources or mine:
                cursors = [
                    self._sql.find_ready.rows(tx, *source, tx.now, request.suspect_from, pool.limit)
                    for source in sources
                ]
                found = (map(found_step, cursor) for cursor in cursors)
                chosen += _best((mine, *found), pool.limit, budgets)
                for cursor in cursors:  # read only as far as needed
                    cursor.close()
                if tx.dialect.concurrent:
                    # Who looked meanwhile did not see those that were locked but not taken.
                    tx.news = True
        return chosen

    def _suspect(
        self, tx: StoreTransaction, request: ClaimRequest, budgets: Mapping[str, int | None]
    ) -> list[FoundStep]:
        """The first step, if any, that may have killed its workers; only one is taken at a time."""
        queues = rows_json([queue for queue, budget in budgets.items() if budget != 0])
        kinds = rows_json([kind for pool in request.pools for kind in pool.kinds])
        rows = self._sql.find_suspect(tx, request.suspect_from, queues, kinds, tx.now).fetchall()
        return list(map(found_step, rows))


@decodes
def _best(
    sources: Iterable[Iterable[FoundStep]], limit: int, budgets: dict[str, int | None]
) -> list[FoundStep]:
    """The best steps of several sorted sources, within the budgets of their queues."""
    best: list[FoundStep] = []
    for step in merge(*sources):
        budget = budgets[step.queue]
        if budget == 0:
            continue
        if budget is not None:
            budgets[step.queue] = budget - 1
        best.append(step)
        limit -= 1
        if limit == 0:
            break
    return best
