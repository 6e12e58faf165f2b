"""The success of many executions, where one statement does all that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from stepwell.engine.exchange import ClaimedStep, Completed
from stepwell.engine.payloads.payload import encode
from stepwell.engine.states import StepStatus, verdict
from stepwell.stores.sql.connection.corruption import stored_condition
from stepwell.stores.sql.connection.statements import StoreTransaction, rows_json
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.fused_settle_sql import (
    COUNTED,
    HANDOFF,
    HELD,
    MADE_READY,
)
from stepwell.stores.sql.exchange.fused_sql import FusedStatements
from stepwell.stores.sql.exchange.handoff import Handoff, Offer
from stepwell.stores.sql.exchange.propagation import Propagation


class FusedSettle:
    """Ends executions in one transaction; what was handed on is in `handoffs` afterwards."""

    def __init__(
        self, tx: StoreTransaction, changes: Changes, propagation: Propagation, handoffs: Handoff
    ) -> None:
        self._tx = tx
        self._changes = changes
        self._propagation = propagation
        self._handoffs = handoffs

    def settle(
        self, fused: FusedStatements, completed: Sequence[Completed], offer: Offer
    ) -> set[int] | None:
        """End executions, store results, count down dependents and hand on what is ready.

        Returns None if all were held, and their runs were counted; else the keys of the held.
        """
        of_run: dict[int, list[ClaimedStep]] = {}
        for outcome in completed:
            of_run.setdefault(outcome.step.run.key, []).append(outcome.step)
        rows = _rows(completed, {key: len(steps) for key, steps in of_run.items()})
        now = self._tx.moment
        told = fused.succeed(
            self._tx,
            *(now, rows_json(rows), len(rows), offer.worker, now + offer.lease),
            *(offer.suspect_from, offer.kinds, offer.queues, offer.room, offer.control),
        ).fetchall()
        held: set[int] = set()
        whole = False
        for what, key, text, number, *more in told:
            if what == COUNTED:
                whole = True
                last, holds, alone = more
                self._changes.counted((key, number, last, text, holds), of_run[key])
                self._handoffs.all = bool(alone)
            elif what == HANDOFF:
                self._handoffs.rows.append(tuple(from_json(text)))
            elif what == MADE_READY:
                self._tx.made_ready.add(key)
                self._changes.readied((key,))
            elif what == HELD:
                held.add(key)
            else:
                self._propagation.drop(
                    verdict(stored_condition(text), StepStatus.SUCCEEDED), key, number
                )
        return None if whole else held


def _rows(completed: Sequence[Completed], left: dict[int, int]) -> list[tuple[Any, ...]]:
    """The rows of the statement; `left` are how many each run has, and then none."""
    rows = []
    for outcome in completed:
        step = outcome.step
        after = left[step.run.key] = left[step.run.key] - 1
        rows.append((step.key, step.token, outcome.value, record_refs(outcome), after))
    return rows


def record_refs(outcome: Completed) -> str | None:
    """Where the outcome's records went, as it is kept with its result."""
    if not outcome.records:
        return None
    return encode([(new.collection, new.key) for new in outcome.records], "records")
