"""The fused plan: the rules of the stepwise plan in a few long statements, in few round trips.

What has no long statement is done stepwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
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
from stepwell.stores.sql.exchange.changes import Changes, CountedRun, NewEvent, StoredEvent
from stepwell.stores.sql.exchange.claim_rules import FoundRun, FoundStep, found_run, found_step
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements
from stepwell.stores.sql.exchange.fused_settle_sql import (
    COUNTED,
    HANDOFF,
    HELD,
    MADE_READY,
    success_row,
)
from stepwell.stores.sql.exchange.fused_sql import (
    BESIDE,
    ENDED,
    FusedStatements,
    end_row,
    keys_array,
)
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
        return _note(changes, told, of_run)

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
    ) -> list[FoundStep]:
        wanted = [
            (queue, kind, pool.limit, number, budget)
            for number, pool in enumerate(pools)
            for kind in pool.kinds
            for queue, budget in budgets.items()
            if budget != 0
        ]
        rows = self._fused.claim(
            tx,
            request.worker_id,
            tx.now,
            tx.now + request.lease,
            request.suspect_from,
            int(request.suspects),
            rows_json(wanted),
        ).fetchall()
        found = []
        for *row, locked in rows:
            found.append(found_step(row))
            if locked > len(rows):
                # Who looked meanwhile did not see those that were locked but not taken.
                tx.news = True
        return found

    def start_runs(self, changes: Changes, keys: Sequence[int]) -> list[FoundRun]:
        tx = changes.tx
        runs = []
        for *row, number in self._fused.start_runs(tx, tx.now, rows_json(keys)).fetchall():
            run = found_run(row)
            changes.told(EventType.RUN_STARTED, run.id, number)
            runs.append(run)
        return runs

    def start_new_run(self, changes: Changes, key: int) -> None:
        # Its rows are not read, so that it needs no message of its own before the commit.
        self._fused.start_runs(changes.tx, changes.tx.now, rows_json([key]))
        # It is the run's second event, after the one of its creation.
        changes.told(EventType.RUN_STARTED, key, 2)

    def count(
        self,
        tx: StoreTransaction,
        rows: Sequence[tuple[int, int, int, int]],
        events: Mapping[int, Sequence[NewEvent]],
    ) -> tuple[list[CountedRun], list[StoredEvent]]:
        # The database numbers them; each says how many events of its run come after it.
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
        for row in sorted(map(end_row, rows), key=attrgetter("what", "key")):
            if row.what == ENDED:
                event = END_EVENTS[RunStatus(row.status)].value
                changes.stored.append(StoredEvent(row.key, row.number, event, tx.now, data=text))
                changes.ended_runs.append(row.run_id)
            elif row.what == BESIDE:
                arrived[row.key] = {"run_id": row.run_id}
            else:
                woken, data = EventType.STEP_WOKEN, {"run_id": row.run_id}
                changes.event(row.run_key, woken, row.key, row.number, data=data)
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
    """The rows of the statement; `left` has the number of outcomes by run, and is counted down."""
    rows = []
    for outcome in completed:
        step = outcome.step
        after = left[step.run.key] = left[step.run.key] - 1
        rows.append((step.key, step.token, outcome.value, record_refs(outcome), after))
    return rows


def _note(
    changes: Changes, told: Sequence[Sequence[Any]], of_run: Mapping[int, list[ClaimedStep]]
) -> Succeeded:
    """Note in the changes what the statement returned."""
    held: set[int] = set()
    drops: list[Drop] = []
    counted = False
    for row in map(success_row, told):
        if row.what == COUNTED:
            counted = True
            run = CountedRun(row.key, row.number, row.last_event, row.text, row.holds)
            changes.counted(run, of_run[run.key])
            changes.handoffs.all = bool(row.alone)
        elif row.what == HANDOFF:
            changes.handoffs.steps.append(found_step(from_json(row.text)))
        elif row.what == MADE_READY:
            changes.tx.made_ready.add(row.key)
            changes.readied((row.key,))
        elif row.what == HELD:
            held.add(row.key)
        else:
            ruling = verdict(stored_condition(row.text), StepStatus.SUCCEEDED)
            drops.append(Drop(ruling, row.key, row.number))
    return Succeeded(None if counted else held, counted, True, drops)
