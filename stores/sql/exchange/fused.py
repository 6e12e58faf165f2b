"""The fused plan: the rules of the stepwise one in few long statements, sent in few messages.

What has no long statement is done stepwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from pydantic_core import from_json

from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimedStep, ClaimRequest, Completed, PoolRequest
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import RunStatus, StepStatus, verdict
from stepwell.stores.sql.connection.corruption import first_number, stored_condition
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import (
    MAX_ROWS,
    MAX_ROWS_JSON,
    StoreTransaction,
    rows_json,
)
from stepwell.stores.sql.exchange.changes import Changes, CountedRun, EventRow, StoredEvent
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements
from stepwell.stores.sql.exchange.fused_settle_sql import COUNTED, HANDOFF, HELD, MADE_READY
from stepwell.stores.sql.exchange.fused_sql import BESIDE, ENDED, FusedStatements, keys_array
from stepwell.stores.sql.exchange.new_runs import ready_among
from stepwell.stores.sql.exchange.plan import Drop, EndedRuns, NewRows, Succeeded, numbered
from stepwell.stores.sql.exchange.run_ends import END_EVENTS
from stepwell.stores.sql.exchange.steps_sql import GraphStatements, SettleStatements
from stepwell.stores.sql.exchange.stepwise import Stepwise, record_refs


class Fused(Stepwise):
    """See `Plan`."""

    def __init__(
        self,
        dialect: Dialect,
        settle: SettleStatements,
        graph: GraphStatements,
        claim: ClaimStatements,
    ) -> None:
        super().__init__(dialect, settle, graph, claim)
        self._fused = FusedStatements(dialect)

    def lock_runs(
        self, tx: StoreTransaction, keys: set[int], parents: set[int] | None
    ) -> Callable[[], int]:
        if not keys or parents is None:
            return super().lock_runs(tx, keys, parents)
        locked = self._fused.lock_runs(tx, keys_array(keys | parents))
        return lambda: first_number(locked.fetchone() or self._graph.control(tx).fetchone())

    def succeed(
        self, changes: Changes, completed: Sequence[Completed], *, follow: bool
    ) -> Succeeded:
        size = sum(len(outcome.value) for outcome in completed)
        if not follow or size > MAX_ROWS_JSON // 2:
            return super().succeed(changes, completed, follow=follow)
        of_run: dict[int, list[ClaimedStep]] = {}
        for outcome in completed:
            of_run.setdefault(outcome.step.run.key, []).append(outcome.step)
        rows = _rows(completed, {key: len(steps) for key, steps in of_run.items()})
        offer, now = changes.offer, changes.tx.moment
        told = self._fused.succeed(
            changes.tx,
            *(now, rows_json(rows), len(rows), offer.worker, now + offer.lease),
            *(offer.suspect_from, offer.kinds, offer.queues, offer.room, offer.control),
        ).fetchall()
        return _took_in(changes, told, of_run)

    def count_down(
        self,
        changes: Changes,
        met: dict[int, int],
        *,
        last: bool,  # noqa: ARG002  # `succeed` hands on
    ) -> None:
        super().count_down(changes, met, last=False)

    def may_offer(
        self,
        known_at: int,  # noqa: ARG002  # the statement looks
        control: Callable[[], int],  # noqa: ARG002
    ) -> bool:
        return True

    def take(
        self,
        tx: StoreTransaction,
        request: ClaimRequest,
        pools: Sequence[PoolRequest],
        budgets: dict[str, int | None],
    ) -> list[tuple[Any, ...]]:
        wanted = [
            (queue, kind, pool.limit, number, budget)
            for number, pool in enumerate(pools)
            for kind in pool.kinds
            for queue, budget in budgets.items()
            if budget != 0
        ]
        rows: list[tuple[Any, ...]] = self._fused.claim(
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

    def start_runs(self, changes: Changes, keys: Sequence[int]) -> list[Sequence[Any]]:
        tx = changes.tx
        rows = self._fused.start_runs(tx, tx.now, rows_json(keys)).fetchall()
        return [changes.told(EventType.RUN_STARTED, row) for row in rows]

    def start_new_run(self, changes: Changes, key: int) -> None:
        # Whoever reads these rows sends a message for them alone; so they go with the commit.
        self._fused.start_runs(changes.tx, changes.tx.now, rows_json([key]))
        # Its second event: the first says that it was created.
        changes.told(EventType.RUN_STARTED, (key, 2))

    def count(
        self,
        tx: StoreTransaction,
        rows: Sequence[tuple[int, int, int, int]],
        events: Mapping[int, Sequence[EventRow]],
    ) -> tuple[list[CountedRun], list[StoredEvent]]:
        # Their numbers are only known there; each is told by how many come after it.
        given = [
            (key, len(mine) - place, *event)
            for key, mine in events.items()
            for place, event in enumerate(mine, 1)
        ]
        told = self._fused.count(tx, rows_json(rows), rows_json(given)).fetchall()
        counted = list(map(CountedRun._make, told))
        return counted, numbered(counted, events)

    def end_runs(
        self, changes: Changes, run_keys: Sequence[int], data: Mapping[str, Any] | None
    ) -> EndedRuns:
        tx = changes.tx
        tx.news = True
        text = encode(dict(data), "event") if data else None
        rows = self._fused.end_runs(tx, tx.now, text, rows_json(run_keys)).fetchall()
        arrived: dict[int, dict[str, Any]] = {}
        for what, key, run_id, status, number, run_key in sorted(rows, key=itemgetter(0, 1)):
            if what == ENDED:
                event = END_EVENTS[RunStatus(status)].value
                changes.stored.append((key, number, event, tx.now, None, None, None, text))
                changes.ended_runs.append(run_id)
            elif what == BESIDE:
                arrived[key] = {"run_id": run_id}
            else:
                changes.event(run_key, EventType.STEP_WOKEN, key, number, data={"run_id": run_id})
        return EndedRuns({}, arrived)

    def add_runs(self, changes: Changes, rows: NewRows) -> None:
        if len(rows.steps) + len(rows.edges) <= MAX_ROWS:
            texts = (rows_json(rows.steps), rows_json(rows.edges))
            if sum(map(len, texts)) <= MAX_ROWS_JSON:
                changes.tx.made_ready.update(ready_among(rows.steps))
                runs, events = rows_json(rows.runs), rows_json(rows.events)
                self._fused.add_graphs(changes.tx, runs, *texts, events)
                return
        super().add_runs(changes, rows)


def _rows(completed: Sequence[Completed], left: dict[int, int]) -> list[tuple[Any, ...]]:
    """The rows of the statement; `left` are how many each run has, and then none."""
    rows = []
    for outcome in completed:
        step = outcome.step
        after = left[step.run.key] = left[step.run.key] - 1
        rows.append((step.key, step.token, outcome.value, record_refs(outcome), after))
    return rows


def _took_in(
    changes: Changes, told: Sequence[Sequence[Any]], of_run: Mapping[int, list[ClaimedStep]]
) -> Succeeded:
    """Note what the statement tells of its success, row by row."""
    held: set[int] = set()
    drops: list[Drop] = []
    counted = False
    for what, key, text, number, *more in told:
        if what == COUNTED:
            counted = True
            last, holds, alone = more
            changes.counted(CountedRun(key, number, last, text, holds), of_run[key])
            changes.handoffs.all = bool(alone)
        elif what == HANDOFF:
            changes.handoffs.rows.append(tuple(from_json(text)))
        elif what == MADE_READY:
            changes.tx.made_ready.add(key)
            changes.readied((key,))
        elif what == HELD:
            held.add(key)
        else:
            ruling = verdict(stored_condition(text), StepStatus.SUCCEEDED)
            drops.append(Drop(ruling, key, number))
    return Succeeded(None if counted else held, counted, True, drops)
