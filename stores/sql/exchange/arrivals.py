"""What has arrived for the waits of a step, as one transaction sees it. Nothing is taken here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from stepwell.engine.exchange import Arrival, Wait
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.states import RUN_ENDED, RunStatus, StepStatus
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    literal,
)
from stepwell.stores.sql.schema import tables

messages, runs, steps, values = tables.messages, tables.runs, tables.steps, tables.values

# A run that no longer exists counts as arrived, so that nobody waits for it.
_GONE = Arrival(0, "null")


class ArrivalStatements(Statements):
    """Looking for messages, values and ends of runs."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        found = sa.select(messages.c.created_at, messages.c.payload, messages.c.id)
        self.given = Statement(
            found.where(
                messages.c.receiver == bind("step"),
                messages.c.operation == bind("operation"),
                messages.c.receiver.is_not(None),
            ),
            *("step", "operation"),
        )
        self.first_message = Statement(
            found.where(
                messages.c.run_key == bind("run_key"),
                messages.c.topic == bind("topic"),
                messages.c.receiver.is_(None),
            )
            .order_by(messages.c.id)
            .limit(1),
            *("run_key", "topic"),
        )
        self.run = Statement(
            sa.select(runs.c.id, runs.c.status, runs.c.ended_at).where(
                runs.c.run_id == bind("run_id")
            ),
            "run_id",
        )
        of_key = sa.select(values.c.at, values.c.value).where(
            values.c.run_key == bind("run_key"), values.c.key == bind("key")
        )
        self.first_value = Statement(of_key.order_by(values.c.seq).limit(1), "run_key", "key")
        self.last_value = Statement(of_key.order_by(values.c.seq.desc()).limit(1), "run_key", "key")
        self._ends()

    def _ends(self) -> None:
        """What ended runs left: results of steps that no other step needs, or the first failure."""
        of_run = steps.c.run_key == bind("run_key")
        needed = sa.exists().where(tables.dependencies.c.needs == steps.c.id)
        results = tables.results
        self.last_results = Statement(
            sa.select(results.c.value)
            .select_from(steps.outerjoin(results, results.c.step == steps.c.id))
            .where(of_run, ~needed)
            .order_by(steps.c.id)
            .limit(2),
            "run_key",
        )
        self.first_failure = Statement(
            sa.select(steps.c.error)
            .where(
                of_run,
                steps.c.status == literal(StepStatus.FAILED),
                steps.c.allow_failure == 0,
            )
            .order_by(steps.c.id)
            .limit(1),
            "run_key",
        )


def look(
    tx: StoreTransaction, sql: ArrivalStatements, step: int, run_key: int, waits: Sequence[Wait]
) -> list[Arrival | None]:
    """For each wait of this step, what has arrived for it; see `ports.Messages.arrivals`."""
    return [_found(tx, sql, step, run_key, wait) for wait in waits]


def _found(
    tx: StoreTransaction, sql: ArrivalStatements, step: int, run_key: int, wait: Wait
) -> Arrival | None:
    if wait.topic is not None:
        given = sql.given(tx, step, wait.operation).fetchone()
        first = given or sql.first_message(tx, run_key, wait.topic).fetchone()
        if first is None:
            return None
        at, payload, message = first
        return Arrival(at, payload, message, given is not None)
    run_id = wait.run_id if wait.value is None else wait.value[0]
    if run_id is None:
        return None
    run = sql.run(tx, run_id).fetchone()
    if run is None:
        return _GONE
    if wait.value is not None:
        first = sql.first_value(tx, run[0], wait.value[1]).fetchone()
        last = sql.last_value(tx, run[0], wait.value[1]).fetchone()
        return None if first is None or last is None else Arrival(first[0], last[1])
    if run[1] not in RUN_ENDED:
        return None
    return Arrival(run[2], _end(tx, sql, run_id, *run[:2]))


def _end(tx: StoreTransaction, sql: ArrivalStatements, run_id: str, key: int, status: str) -> str:
    """How a run ended, as JSON text."""
    result = error = None
    if status == RunStatus.SUCCEEDED:
        rows = sql.last_results(tx, key).fetchall()
        if len(rows) == 1 and rows[0][0] is not None:
            result = decode(rows[0][0])
    else:
        failure = sql.first_failure(tx, key).fetchone()
        if failure is not None and failure[0] is not None:
            error = decode(failure[0])
    end = {"run_id": run_id, "status": str(status), "result": result, "error": error}
    return encode(end, "end", limit=1 << 40)
