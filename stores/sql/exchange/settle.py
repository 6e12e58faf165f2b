"""Settling: outcomes and all they made, in the transaction of an exchange.

In this order: check the emissions, end the executions (guarded by their tokens), store what they
made, then follow the edges of the steps that ended. `Changes.write` closes the books.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from stepwell.engine.events import EventType
from stepwell.engine.exchange import (
    ClaimedStep,
    Completed,
    Exchange,
    Failed,
    LostLease,
    Outcome,
    Refusal,
    Released,
    Suspended,
)
from stepwell.engine.model import Failure
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import StepStatus
from stepwell.engine.wait_rules import told_of
from stepwell.stores.sql.connection.statements import (
    MAX_ROWS_JSON,
    Guarded,
    StoreTransaction,
    rows_json,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.emissions import Emission
from stepwell.stores.sql.exchange.fused_settle import FusedSettle, record_refs
from stepwell.stores.sql.exchange.fused_sql import FusedStatements
from stepwell.stores.sql.exchange.graphs import Graphs, id_is_taken
from stepwell.stores.sql.exchange.handoff import NO_OFFER, Handoff, Offer
from stepwell.stores.sql.exchange.messages import Delivery, Sending
from stepwell.stores.sql.exchange.propagation import Propagation
from stepwell.stores.sql.exchange.steps_sql import GraphStatements, SettleStatements


class Settlement:
    """One transaction's settling; made anew for each."""

    def __init__(
        self,
        tx: StoreTransaction,
        sql: tuple[SettleStatements, GraphStatements, FusedStatements | None],
        graphs: Graphs,
        messages: Delivery,
        changes: Changes,
        offer: Offer = NO_OFFER,
    ) -> None:
        self.handoffs = Handoff()
        self._offer = offer
        self._tx = tx
        self._sql, self._graph_sql, self._fused = sql
        self._graphs = graphs
        self._messages = messages
        self._sending: list[Sending] = []
        self._changes = changes
        # Where statements are fused, one of them hands on, and this is for all that it is not for.
        handing = NO_OFFER if self._fused else offer
        self._propagation = Propagation(tx, self._sql, changes, handing, self.handoffs)

    def settle(self, outcomes: Sequence[Outcome], result: Exchange) -> None:
        """Settle all; what is stale or cannot be goes to `result.lost` and `result.refused`.

        The runs are locked already.
        """
        outcomes = self._without_superseded(outcomes, result)
        completed = [outcome for outcome in outcomes if isinstance(outcome, Completed)]
        emissions: dict[int, Emission] = {}
        emitting = [outcome for outcome in completed if outcome.emitted]
        if emitting:
            emissions, refused = self._graphs.check(self._tx, emitting)
            if refused:
                guilty = [item.step for item in emitting if item.step.key in refused]
                self._refuse(guilty, refused, result)
                completed = [item for item in completed if item.step.key not in refused]
        self._settle_completed(completed, emissions, result)
        others = [outcome for outcome in outcomes if not isinstance(outcome, Completed)]
        if others:
            failed = [item for item in others if isinstance(item, Failed)]
            self._settle_failed([item for item in failed if item.retry_in is None], result)
            self._settle_retried([item for item in failed if item.retry_in is not None], result)
            self._settle_released([i for i in others if isinstance(i, Released)], result)
            self._settle_suspended([i for i in others if isinstance(i, Suspended)], result)
        if self._sending:
            self._messages.deliver(self._tx, self._changes, self._sending)
        self._propagation.follow()

    def _without_superseded(
        self, outcomes: Sequence[Outcome], result: Exchange
    ) -> Sequence[Outcome]:
        """Without outcomes of a step of which the group holds a newer execution's, too."""
        newest = {outcome.step.key: 0 for outcome in outcomes}
        if len(newest) == len(outcomes):
            return outcomes
        for outcome in outcomes:
            key = outcome.step.key
            newest[key] = max(newest[key], outcome.step.token)
        kept: dict[int, Outcome] = {}
        for outcome in outcomes:
            key = outcome.step.key
            if outcome.step.token == newest[key] and key not in kept:
                kept[key] = outcome
            else:
                self._lose(outcome.step, "superseded", result)
        return list(kept.values())

    def _refuse(
        self, guilty: Sequence[ClaimedStep], errors: Mapping[int, Exception], result: Exchange
    ) -> None:
        """Report what cannot be settled; of a step that is not held any more, that it is lost."""
        keys = rows_json([step.key for step in guilty])
        rows = self._sql.status_of(self._tx, keys).fetchall()
        now_in = {key: (token, status) for key, _, status, token in rows}
        for step in guilty:
            token, status = now_in.get(step.key, (None, ""))
            if (token, status) == (step.token, StepStatus.RUNNING):
                result.refused.append(Refusal(step, errors[step.key]))
            else:
                self._lose(step, "canceled" if status == "canceled" else "lapsed", result)

    def _guarded(
        self,
        statement: Guarded,
        steps: Sequence[ClaimedStep],
        rows: Sequence[Sequence[Any]],
        result: Exchange,
        *values: Any,
    ) -> set[int]:
        """End executions; returns the keys of those whose leases were still held."""
        held = statement(self._tx, rows, *values)
        self._lose_stale(steps, held, result)
        return held

    def _lose_stale(
        self, steps: Sequence[ClaimedStep], held: Container[int], result: Exchange
    ) -> None:
        """Report the executions that are not held any more."""
        stale = [step for step in steps if step.key not in held]
        if stale:
            status_rows = self._sql.status_of(self._tx, rows_json([step.key for step in stale]))
            now_in = {key: status for key, _, status, _ in status_rows.fetchall()}
            for step in stale:
                canceled = now_in.get(step.key) == StepStatus.CANCELED
                self._lose(step, "canceled" if canceled else "lapsed", result)

    def _lose(self, step: ClaimedStep, reason: str, result: Exchange) -> None:
        result.lost.append(LostLease(step, reason))
        self._changes.event(
            step.run.key,
            EventType.STEP_REFUSED,
            step.key,
            step.attempt,
            data={"reason": reason, "token": step.token},
        )

    def _settle_completed(
        self, completed: Sequence[Completed], emissions: dict[int, Emission], result: Exchange
    ) -> None:
        if not completed:
            return
        fused = None if emissions else self._fused
        if fused is not None and sum(len(item.value) for item in completed) > MAX_ROWS_JSON // 2:
            fused = None
        held = (
            self._succeed(completed, result)
            if fused is None
            else self._succeed_together(fused, completed, result)
        )
        if held is None:  # they all were, and are counted
            self._store_effects(completed)
            return
        if len(held) != len(completed):
            completed = [outcome for outcome in completed if outcome.step.key in held]
        self._store_effects(completed)
        self._changes.steps_succeeded(outcome.step for outcome in completed)
        if emissions:
            stored = [emission for key, emission in emissions.items() if key in held]
            self._graphs.add_emissions(
                self._tx, self._changes, stored, self._propagation, frozenset(held)
            )
        if fused is None:
            self._propagation.ended(StepStatus.SUCCEEDED, held)

    def _store_effects(self, completed: Sequence[Completed]) -> None:
        """What executions made besides their results."""
        tx, now = self._tx, self._tx.now
        records: dict[tuple[str, str, str], tuple[Any, ...]] = {}  # the last one of a key wins
        artifacts = []
        for outcome in completed:
            if not (outcome.records or outcome.artifacts or outcome.messages):
                continue
            step = outcome.step
            for record in outcome.records:
                key = (step.run.package, record.collection, record.key)
                records[key] = (*key, record.value, step.key, now)
            for new in outcome.artifacts:
                about = (new.id, step.run.key, step.key, new.name, new.kind, new.content_type)
                content = (new.metadata, new.size, new.sha256, new.uri, new.body, now)
                artifacts.append((*about, *content))
            if outcome.messages:
                self._sending.append(outcome)
        if records:
            self._sql.put_records.many(tx, [records[key] for key in sorted(records)])
        if artifacts:
            self._sql.add_artifacts.many(tx, artifacts)

    def _succeed(self, completed: Sequence[Completed], result: Exchange) -> set[int]:
        """End executions and store their results; returns the keys of those that were held."""
        steps = [outcome.step for outcome in completed]
        rows = [(step.key, step.token) for step in steps]
        held = self._guarded(self._sql.succeed, steps, rows, result, self._tx.now)
        results = [
            (outcome.step.key, outcome.value, record_refs(outcome), self._tx.now)
            for outcome in completed
            if outcome.step.key in held
        ]
        if results:
            self._sql.add_results.many(self._tx, results)
        return held

    def _succeed_together(
        self, fused: FusedStatements, completed: Sequence[Completed], result: Exchange
    ) -> set[int] | None:
        """The same with all that follows from it, in one statement; None if all were held."""
        fused_settle = FusedSettle(self._tx, self._changes, self._propagation, self.handoffs)
        held = fused_settle.settle(fused, completed, self._offer)
        if held is not None:
            self._lose_stale([outcome.step for outcome in completed], held, result)
        return held

    def _settle_failed(self, failed: Sequence[Failed], result: Exchange) -> None:
        if not failed:
            return
        steps = [outcome.step for outcome in failed]
        rows = [(item.step.key, item.step.token, _error(item.failure)) for item in failed]
        held = self._guarded(self._sql.fail, steps, rows, result, self._tx.now)
        for outcome in failed:
            step = outcome.step
            if step.key in held:
                data = _event_data(outcome.failure)
                self._changes.step_ended(step.run.key)
                self._changes.event(
                    step.run.key, EventType.STEP_FAILED, step.key, step.attempt, data=data
                )
        self._propagation.ended(StepStatus.FAILED, held)

    def _settle_retried(self, failed: Sequence[Failed], result: Exchange) -> None:
        if not failed:
            return
        steps = [outcome.step for outcome in failed]
        now = self._tx.now
        rows = [
            (item.step.key, item.step.token, _error(item.failure), now + (item.retry_in or 0))
            for item in failed
        ]
        held = self._guarded(self._sql.retry, steps, rows, result)
        for outcome in failed:
            step = outcome.step
            if step.key in held:
                seconds = (outcome.retry_in or 0) / 1e6
                data = {**_event_data(outcome.failure), "retry_in": seconds}
                self._changes.event(
                    step.run.key, EventType.STEP_RETRYING, step.key, step.attempt, data=data
                )

    def _settle_released(self, released: Sequence[Released], result: Exchange) -> None:
        if not released:
            return
        steps = [outcome.step for outcome in released]
        rows = [(step.key, step.token) for step in steps]
        held = self._guarded(self._sql.release, steps, rows, result)
        for outcome in released:
            step = outcome.step
            if step.key in held:
                self._changes.event(
                    step.run.key,
                    EventType.STEP_RELEASED,
                    step.key,
                    step.attempt,
                    data={"reason": outcome.reason},
                )

    def _settle_suspended(self, suspended: Sequence[Suspended], result: Exchange) -> None:
        suspended = self._with_free_run_ids(suspended, result)
        if not suspended:
            return
        steps = [outcome.step for outcome in suspended]
        rows = [
            (step.key, step.token, _wait(outcome), wait_names.registered(step, wait), wait.until)
            for step, wait, outcome in ((item.step, item.wait, item) for item in suspended)
        ]
        held = self._guarded(self._sql.suspend, steps, rows, result)
        suspended = [outcome for outcome in suspended if outcome.step.key in held]
        for outcome in suspended:
            step, wait = outcome.step, outcome.wait
            if outcome.messages:
                self._sending.append(outcome)
            if wait.start is not None:
                self._graphs.add_run(self._tx, self._changes, wait.start, step)
            data = wait_names.event_data(wait)
            self._changes.event(
                step.run.key, EventType.STEP_WAITING, step.key, step.attempt, data=data
            )
        # What they wait for may have come already. Nothing comes unseen: its run is locked.
        if over := self._messages.over(self._tx, suspended):
            self._changes.wake_steps({key: {} for key in over})
        if several := [item for item in suspended if item.wait.several is not None]:
            self._changes.wait_side_by_side(several)

    def _with_free_run_ids(
        self, suspended: Sequence[Suspended], result: Exchange
    ) -> Sequence[Suspended]:
        """Without those that start a run whose id is taken, which are refused."""
        starts = [outcome.wait.start for outcome in suspended]
        taken = self._graphs.taken(self._tx, [start.id for start in starts if start is not None])
        errors: dict[int, Exception] = {}
        for outcome in suspended:
            start = outcome.wait.start
            if start is None:
                continue
            if start.id in taken:
                errors[outcome.step.key] = id_is_taken(start.id)
            taken.add(start.id)
        if not errors:
            return suspended
        guilty = [outcome.step for outcome in suspended if outcome.step.key in errors]
        self._refuse(guilty, errors, result)
        return [outcome for outcome in suspended if outcome.step.key not in errors]


def _error(failure: Failure) -> str:
    return encode(
        {
            "code": failure.code,
            "message": failure.message,
            "retryable": failure.retryable,
            "details": dict(failure.details),
            "cause": failure.cause,
            "step": failure.step,
        },
        "error",
        limit=2**31,
    )


def _event_data(failure: Failure) -> dict[str, Any]:
    return {"code": failure.code, "message": failure.message}


def _wait(outcome: Suspended) -> str:
    return encode({**told_of(outcome.wait), "sent": outcome.sent}, "wait")


def other_runs(outcomes: Sequence[Outcome]) -> set[str]:
    """Runs that the outcomes send messages to, or wait for."""
    names: set[str] = set()
    for outcome in outcomes:
        if isinstance(outcome, Completed):
            if outcome.messages:
                names.update(message.run_id for message in outcome.messages)
        elif isinstance(outcome, Suspended):
            names.update(message.run_id for message in outcome.messages)
            several = outcome.wait.several
            for wait in (outcome.wait, *(() if several is None else several.waits)):
                if wait.value is not None:
                    names.add(wait.value[0])
                if wait.run_id is not None and wait.start is None:
                    names.add(wait.run_id)
    return names
