"""The stepwise plan: one statement after another, each for one rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from stepwell.engine.events import EventType
from stepwell.engine.exchange import ClaimRequest, Completed, PoolRequest
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import RunStatus
from stepwell.stores.sql.connection.corruption import first_number
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import (
    Each,
    Statement,
    Statements,
    StoreTransaction,
    insert,
    rows_json,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes, CountedRun, NewEvent, StoredEvent
from stepwell.stores.sql.exchange.claim_rules import FoundRun, FoundStep, found_run, found_step
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements
from stepwell.stores.sql.exchange.plan import EndedRuns, NewRows, Succeeded, numbered
from stepwell.stores.sql.exchange.run_ends import END_EVENTS, counting, ending
from stepwell.stores.sql.exchange.steps_sql import GraphStatements, SettleStatements
from stepwell.stores.sql.exchange.stepwise_claim import Choice
from stepwell.stores.sql.schema import tables


class StepwiseStatements(Statements):
    """Counting and ending runs."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        runs = tables.runs
        self.count = Each(
            dialect,
            counting,
            id=sa.BigInteger,
            total=sa.BigInteger,
            open=sa.BigInteger,
            events=sa.BigInteger,
        )
        self.end_runs = Statement(
            ending(dialect.scalars("keys")).returning(runs.c.id, runs.c.run_id, runs.c.status),
            *("now", "keys"),
        )
        self.add_events = insert(dialect, tables.events)


class Stepwise:
    """See `Plan`."""

    def __init__(
        self,
        dialect: Dialect,
        settle: SettleStatements,
        graph: GraphStatements,
        claim: ClaimStatements,
    ) -> None:
        self._sql = StepwiseStatements(dialect)
        self._settle, self._graph, self._claim = settle, graph, claim
        self._choice = Choice(claim)

    def lock_runs(
        self, tx: StoreTransaction, keys: set[int], parents: set[int] | None
    ) -> Callable[[], int]:
        if tx.dialect.concurrent and keys:  # else there is one writer
            if parents is None:
                parents = {row[0] for row in self._graph.parents(tx, rows_json(sorted(keys)))}
            self._graph.lock_runs(tx, rows_json(sorted(keys | parents))).fetchall()
        found = self._graph.control(tx)
        if tx.dialect.pipelined:  # the answer comes with that of the next statement
            return cache(lambda: first_number(found.fetchone()))
        control = first_number(found.fetchone())
        return lambda: control

    def succeed(
        self,
        changes: Changes,
        completed: Sequence[Completed],
        *,
        follow: bool,  # noqa: ARG002  # it is for the caller to do
    ) -> Succeeded:
        tx = changes.tx
        rows = [(outcome.step.key, outcome.step.token) for outcome in completed]
        held = self._settle.succeed(tx, rows, tx.now)
        results = [
            (outcome.step.key, outcome.value, record_refs(outcome), tx.now)
            for outcome in completed
            if outcome.step.key in held
        ]
        if results:
            self._settle.add_results.many(tx, results)
        return Succeeded(held)

    def count_down(self, changes: Changes, met: dict[int, int], *, last: bool) -> None:
        if last and len(met) <= changes.offer.room:
            self._hand_on(changes, met)
        if met:
            tx = changes.tx
            tx.news = tx.more_ready = True
            changes.readied(met)
            self._settle.count_down(tx, list(met.items()), tx.now)

    def _hand_on(self, changes: Changes, met: dict[int, int]) -> None:
        """Claim those of them that become ready now and that the worker would claim next."""
        offer, now = changes.offer, changes.tx.now
        taken = self._settle.hand_on(
            changes.tx,
            list(met.items()),
            *(now, offer.worker, now + offer.lease),
            *(offer.suspect_from, offer.kinds, offer.queues),
        )
        if not taken:
            return
        steps = list(map(found_step, taken))
        changes.handoffs.all = True
        changes.handoffs.steps += steps
        for step in steps:
            del met[step.id]

    def may_offer(self, known_at: int, control: Callable[[], int]) -> bool:
        return known_at == control()

    def take(
        self,
        tx: StoreTransaction,
        request: ClaimRequest,
        pools: Sequence[PoolRequest],
        budgets: dict[str, int | None],
    ) -> list[FoundStep]:
        steps = self._choice.best(tx, request, pools, budgets)
        if steps:
            keys = rows_json([step.id for step in steps])
            self._claim.take(tx, request.worker_id, tx.now, tx.now + request.lease, keys)
        return steps

    def start_runs(self, changes: Changes, keys: Sequence[int]) -> list[FoundRun]:
        tx = changes.tx
        rows = self._claim.start_runs(tx, tx.now, rows_json(keys)).fetchall()
        runs = list(map(found_run, rows))
        for key in sorted(run.id for run in runs):
            changes.event(key, EventType.RUN_STARTED)
        return runs

    def start_new_run(self, changes: Changes, key: int) -> None:
        self.start_runs(changes, [key])

    def count(
        self,
        tx: StoreTransaction,
        rows: Sequence[tuple[int, int, int, int]],
        events: Mapping[int, Sequence[NewEvent]],
    ) -> tuple[list[CountedRun], list[StoredEvent]]:
        counted = list(map(CountedRun._make, self._sql.count(tx, rows)))
        stored = numbered(counted, events)
        if stored:
            self._sql.add_events.many(tx, stored)
        return counted, stored

    def end_runs(
        self, changes: Changes, run_keys: Sequence[int], data: Mapping[str, Any] | None
    ) -> EndedRuns:
        tx = changes.tx
        names: dict[str, dict[str, Any]] = {}
        ended = self._sql.end_runs(tx, tx.now, rows_json(run_keys)).fetchall()
        for run_key, run_id, status in sorted(ended):
            changes.event(run_key, END_EVENTS[RunStatus(status)], data=data)
            changes.ended_runs.append(run_id)
            names[wait_names.run_end(run_id)] = {"run_id": run_id}
        return EndedRuns(names, {})

    def add_runs(self, changes: Changes, rows: NewRows) -> None:
        tx = changes.tx
        tx.news = tx.more_ready = True
        self._graph.add_run.many(tx, rows.runs)
        self._settle.add_steps.many(tx, rows.steps)
        if rows.edges:
            self._settle.add_edges.many(tx, rows.edges)
        self._sql.add_events.many(tx, rows.events)


def record_refs(outcome: Completed) -> str | None:
    """Collections and keys of the outcome's records, as stored with its result."""
    if not outcome.records:
        return None
    return encode([(new.collection, new.key) for new in outcome.records], "records")
