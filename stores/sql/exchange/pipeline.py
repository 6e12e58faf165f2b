"""One exchange, top to bottom, in a transaction given by the caller::

    lock ──▶ settle ──▶ propagate ──▶ close ──▶ claim ──▶ close

Outcomes are settled, their consequences are carried out, and the next steps are claimed. Each
stage notes what it changes in `Changes`; `Closing` writes it. A `Plan` decides which statements are
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from stepwell.engine.crash_points import Point, reach
from stepwell.engine.exchange import (
    ClaimedStep,
    ClaimRequest,
    Completed,
    Exchange,
    NewRun,
    Outcome,
    RunInfo,
    Suspended,
)
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.new_runs import info_of
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.exchange.settle import Settlement


class Asked(NamedTuple):
    """What an exchange is asked for: outcomes to settle, a run to create, steps to claim."""

    settle: Sequence[Outcome] = ()
    claim: ClaimRequest | None = None
    create: NewRun | None = None


class Pipeline:
    """The stages of an exchange."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._queues = parts.queues
        self._claims = parts.claims
        self._closing = parts.closing

    def exchange(self, changes: Changes, asked: Asked) -> Exchange:
        """Do what is asked for."""
        tell_control = self._lock(changes.tx, asked)
        created = self._create(changes, asked.create)
        if asked.settle:
            self._settle(changes, asked, tell_control)
            # The end of a run may wake a step, which can be claimed at once.
            self._closing.close(changes)
        control = tell_control()
        claimed, wake_at = self._claim(changes, asked, control, created)
        self._look_for_room(changes.tx, asked, claimed)
        self._closing.close(changes)
        return Exchange(
            claimed=claimed,
            lost=changes.lost,
            refused=changes.refused,
            ended_runs=changes.ended_runs,
            now=changes.tx.now,
            control=control,
            wake_at=wake_at,
            hinted=changes.tx.is_news,
        )

    def _lock(self, tx: StoreTransaction, asked: Asked) -> Callable[[], int]:
        """Lock queues with limits, then runs that change; returns what reads the control number."""
        if asked.claim is not None:
            self._queues.lock(tx, asked.claim)
        if not tx.dialect.concurrent:  # there is one writer
            return self._parts.plan.lock_runs(tx, set(), set())
        keys = {outcome.step.run.key for outcome in asked.settle}
        # A run that ends wakes a step in the one that started it.
        parents: set[int] | None = {
            outcome.step.run.parent
            for outcome in asked.settle
            if outcome.step.run.parent is not None
        }
        if named := other_runs(asked.settle):
            found = self._parts.messages.named_runs(tx, named)
            keys.update(key for key, _ in found.values())
            parents = None
        return self._parts.plan.lock_runs(tx, keys, parents)

    def _create(self, changes: Changes, run: NewRun | None) -> RunInfo | None:
        if run is None:
            return None
        key = self._parts.graphs.add_run(changes, run)
        self._closing.close(changes)
        return info_of(run, key, changes.tx.now)

    def _settle(self, changes: Changes, asked: Asked, tell_control: Callable[[], int]) -> None:
        """Settle, and carry out the consequences."""
        changes.offer = self._claims.offer(asked.claim, tell_control)
        propagation = Settlement(self._parts, changes).settle(asked.settle)
        propagation.follow()

    def _claim(
        self, changes: Changes, asked: Asked, control: int, created: RunInfo | None
    ) -> tuple[list[ClaimedStep], int | None]:
        if asked.claim is None:
            return [], None
        if asked.settle:
            reach(Point.SETTLED)
        claimed, wake_at = self._claims.claim(changes, asked.claim, control, created)
        changes.tx.made_ready.difference_update(step.key for step in claimed)
        return claimed, wake_at

    def _look_for_room(
        self, tx: StoreTransaction, asked: Asked, claimed: Sequence[ClaimedStep]
    ) -> None:
        """Tell other workers of slots that were freed and not taken again."""
        freed = (outcome.step.queue for outcome in asked.settle)
        taken = (step.queue for step in claimed)
        tx.news = tx.news or self._queues.has_room(tx, freed, taken)


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
