"""Settling: stores outcomes and all that belongs to them, in the transaction of an exchange.

It checks the emissions, ends the executions (guarded by their tokens) and stores what they made.
After that the edges of the ended steps are followed: see `Propagation`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from stepwell.engine.events import EventType
from stepwell.engine.exchange import (
    ClaimedStep,
    Completed,
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
    Guarded,
    rows_json,
)
from stepwell.stores.sql.exchange import wait_names
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.emissions import Emission
from stepwell.stores.sql.exchange.graphs import id_is_taken
from stepwell.stores.sql.exchange.messages import Sending
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.exchange.propagation import Propagation


class Settlement:
    """One transaction's settling; made anew for each."""

    def __init__(self, parts: Parts, changes: Changes) -> None:
        self._parts = parts
        self._sql, self._plan = parts.sql, parts.plan
        self._changes = changes
        self._tx = changes.tx
        self._sending: list[Sending] = []
        self._propagation = Propagation(changes, parts.sql, parts.plan)

    def settle(self, outcomes: Sequence[Outcome]) -> Propagation:
        """Settle all; the changes get what is stale as `lost` and what is invalid as `refused`.

        The runs are locked already. Returns the consequences, which the caller carries out.
        """
        outcomes = self._without_superseded(outcomes)
        completed = [outcome for outcome in outcomes if isinstance(outcome, Completed)]
        emissions: dict[int, Emission] = {}
        emitting = [outcome for outcome in completed if outcome.emitted]
        if emitting:
            emissions, refused = self._parts.graphs.check(self._tx, emitting)
            if refused:
                guilty = [item.step for item in emitting if item.step.key in refused]
                self._refuse(guilty, refused)
                completed = [item for item in completed if item.step.key not in refused]
        self._settle_completed(completed, emissions)
        others = [outcome for outcome in outcomes if not isinstance(outcome, Completed)]
        if others:
            failed = [item for item in others if isinstance(item, Failed)]
            self._settle_failed([item for item in failed if item.retry_in is None])
            self._settle_retried([item for item in failed if item.retry_in is not None])
            self._settle_released([item for item in others if isinstance(item, Released)])
            self._settle_suspended([item for item in others if isinstance(item, Suspended)])
        if self._sending:
            self._parts.messages.deliver(self._tx, self._changes, self._sending)
        return self._propagation

    def _without_superseded(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Without outcomes of a step that also has one of a newer execution in the group."""
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
                self._lose(outcome.step, "superseded")
        return list(kept.values())

    def _refuse(self, guilty: Sequence[ClaimedStep], errors: Mapping[int, Exception]) -> None:
        """Report outcomes as refused, or as lost if the step is not held any more."""
        keys = rows_json([step.key for step in guilty])
        rows = self._sql.status_of(self._tx, keys).fetchall()
        now_in = {key: (token, status) for key, _, status, token in rows}
        for step in guilty:
            token, status = now_in.get(step.key, (None, ""))
            if (token, status) == (step.token, StepStatus.RUNNING):
                self._changes.refused.append(Refusal(step, errors[step.key]))
            else:
                self._lose(step, "canceled" if status == "canceled" else "lapsed")

    def _guarded(
        self,
        statement: Guarded,
        steps: Sequence[ClaimedStep],
        rows: Sequence[Sequence[Any]],
        *values: Any,
    ) -> set[int]:
        """End executions; returns the keys of those whose leases were still held."""
        held = statement(self._tx, rows, *values)
        self._lose_stale(steps, held)
        return held

    def _lose_stale(self, steps: Sequence[ClaimedStep], held: Container[int]) -> None:
        """Report the executions that are not held any more."""
        stale = [step for step in steps if step.key not in held]
        if stale:
            status_rows = self._sql.status_of(self._tx, rows_json([step.key for step in stale]))
            now_in = {key: status for key, _, status, _ in status_rows.fetchall()}
            for step in stale:
                canceled = now_in.get(step.key) == StepStatus.CANCELED
                self._lose(step, "canceled" if canceled else "lapsed")

    def _lose(self, step: ClaimedStep, reason: str) -> None:
        self._changes.lost.append(LostLease(step, reason))
        self._changes.event(
            step.run.key,
            EventType.STEP_REFUSED,
            step.key,
            step.attempt,
            data={"reason": reason, "token": step.token},
        )

    def _settle_completed(
        self, completed: Sequence[Completed], emissions: dict[int, Emission]
    ) -> None:
        if not completed:
            return
        done = self._plan.succeed(self._changes, completed, follow=not emissions)
        held = done.held
        if held is not None:
            self._lose_stale([outcome.step for outcome in completed], held)
            if len(held) != len(completed):
                completed = [outcome for outcome in completed if outcome.step.key in held]
        self._store_effects(completed)
        if not done.counted:
            self._changes.steps_succeeded(outcome.step for outcome in completed)
        if emissions:
            keys = frozenset(outcome.step.key for outcome in completed)
            stored = [emission for key, emission in emissions.items() if key in keys]
            self._parts.graphs.add_emissions(self._changes, stored, self._propagation, keys)
        if done.followed:
            for drop in done.drops:
                self._propagation.drop(*drop)
        else:
            self._propagation.ended(
                StepStatus.SUCCEEDED, [outcome.step.key for outcome in completed]
            )

    def _store_effects(self, completed: Sequence[Completed]) -> None:
        """Store what executions made besides their results."""
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

    def _settle_failed(self, failed: Sequence[Failed]) -> None:
        if not failed:
            return
        steps = [outcome.step for outcome in failed]
        rows = [(item.step.key, item.step.token, _error(item.failure)) for item in failed]
        held = self._guarded(self._sql.fail, steps, rows, self._tx.now)
        for outcome in failed:
            step = outcome.step
            if step.key in held:
                data = _event_data(outcome.failure)
                self._changes.step_ended(step.run.key)
                self._changes.event(
                    step.run.key, EventType.STEP_FAILED, step.key, step.attempt, data=data
                )
        self._propagation.ended(StepStatus.FAILED, held)

    def _settle_retried(self, failed: Sequence[Failed]) -> None:
        if not failed:
            return
        steps = [outcome.step for outcome in failed]
        now = self._tx.now
        rows = [
            (item.step.key, item.step.token, _error(item.failure), now + (item.retry_in or 0))
            for item in failed
        ]
        held = self._guarded(self._sql.retry, steps, rows)
        for outcome in failed:
            step = outcome.step
            if step.key in held:
                seconds = (outcome.retry_in or 0) / 1e6
                data = {**_event_data(outcome.failure), "retry_in": seconds}
                self._changes.event(
                    step.run.key, EventType.STEP_RETRYING, step.key, step.attempt, data=data
                )

    def _settle_released(self, released: Sequence[Released]) -> None:
        if not released:
            return
        steps = [outcome.step for outcome in released]
        rows = [(step.key, step.token) for step in steps]
        held = self._guarded(self._sql.release, steps, rows)
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

    def _settle_suspended(self, suspended: Sequence[Suspended]) -> None:
        suspended = self._with_free_run_ids(suspended)
        if not suspended:
            return
        steps = [outcome.step for outcome in suspended]
        rows = [
            (step.key, step.token, _wait(outcome), wait_names.registered(step, wait), wait.until)
            for step, wait, outcome in ((item.step, item.wait, item) for item in suspended)
        ]
        held = self._guarded(self._sql.suspend, steps, rows)
        suspended = [outcome for outcome in suspended if outcome.step.key in held]
        for outcome in suspended:
            step, wait = outcome.step, outcome.wait
            if outcome.messages:
                self._sending.append(outcome)
            if wait.start is not None:
                self._parts.graphs.add_run(self._changes, wait.start, step)
            data = wait_names.event_data(wait)
            self._changes.event(
                step.run.key, EventType.STEP_WAITING, step.key, step.attempt, data=data
            )
        # What they wait for may have arrived already. Nothing is missed, as its run is locked.
        if over := self._parts.messages.over(self._tx, suspended):
            self._parts.waking.steps(self._changes, {key: {} for key in over})
        if several := [item for item in suspended if item.wait.several is not None]:
            self._parts.waking.wait_side_by_side(self._changes, several)

    def _with_free_run_ids(self, suspended: Sequence[Suspended]) -> Sequence[Suspended]:
        """Without outcomes that start a run whose id is taken; those are refused."""
        starts = [outcome.wait.start for outcome in suspended]
        taken = self._parts.graphs.taken(
            self._tx, [start.id for start in starts if start is not None]
        )
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
        self._refuse(guilty, errors)
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
