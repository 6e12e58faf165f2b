"""Exchanges: the steps' way through the store."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.crash_points import Write
from stepwell.engine.errors import InvalidInput, one_line
from stepwell.engine.exchange import (
    ClaimRequest,
    Completed,
    Exchange,
    NewRun,
    Outcome,
    Refusal,
)
from stepwell.engine.model import Run
from stepwell.stores.sql.connection.corruption import reads_stored
from stepwell.stores.sql.exchange.new_runs import created_run
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.exchange.pipeline import Asked, Pipeline
from stepwell.stores.sql.roles.writer import Writer


def _kind(asked: Asked) -> Write:
    """What an exchange writes."""
    if asked.create is not None:
        return Write.START_RUN
    if asked.claim is None:
        return Write.SETTLE
    return Write.SETTLE_AND_CLAIM if asked.settle else Write.CLAIM


class Exchanges:
    """Settling and claiming, of the role `ports.Claims`."""

    def __init__(self, writer: Writer, parts: Parts) -> None:
        self._db = writer.database
        self._writer = writer
        self._parts = parts
        self._pipeline = Pipeline(parts)

    @reads_stored
    def create_and_claim(self, run: NewRun, claim: ClaimRequest) -> tuple[Run, Exchange]:
        exchanged = self._exchange(Asked(claim=claim, create=run))
        return created_run(run, exchanged.now), exchanged

    @reads_stored
    def exchange(self, settle: Sequence[Outcome], claim: ClaimRequest | None) -> Exchange:
        try:
            return self._exchange(Asked(settle, claim))
        except (self._db.dialect.driver_errors, InvalidInput):
            if not settle:
                raise
            return self._exchange_one_by_one(settle, claim)

    def _exchange(self, asked: Asked) -> Exchange:
        kind = _kind(asked)
        try:
            exchanged, changes = self._writer.write_changes(
                lambda _, changes: self._pipeline.exchange(changes, asked), kind
            )
        except BaseException:
            self._parts.queues.forget()
            raise
        self._parts.claims.runs.remember(changes.new_runs)
        return exchanged

    def _exchange_one_by_one(
        self, settle: Sequence[Outcome], claim: ClaimRequest | None
    ) -> Exchange:
        """The group holds a poisoned outcome: find the guilty one, and let the others through."""
        total = Exchange()
        for outcome in settle:
            try:
                one = self._exchange(Asked((outcome,)))
            except (self._db.dialect.driver_errors, InvalidInput) as error:
                what = "result and effects" if isinstance(outcome, Completed) else "outcome"
                reason = InvalidInput(f"the store refused the step's {what}: {one_line(error)}")
                total.refused.append(Refusal(outcome.step, reason))
                continue
            total.lost += one.lost
            total.refused += one.refused
            total.ended_runs += one.ended_runs
        claimed = self._exchange(Asked(claim=claim))
        total.claimed, total.control = claimed.claimed, claimed.control
        total.now, total.wake_at = claimed.now, claimed.wake_at
        return total
