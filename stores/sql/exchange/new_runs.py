"""New runs and steps as they were just stored, without reading them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from stepwell.engine.clock import to_datetime
from stepwell.engine.exchange import NewRun, RunInfo
from stepwell.engine.model import Run
from stepwell.engine.payloads.payload import decode
from stepwell.engine.states import RunStatus, StepStatus
from stepwell.stores.sql.exchange.steps_sql import NEW_STEP_COLUMNS

# The place of a step's status in its row.
_STATUS = NEW_STEP_COLUMNS.index("status")


def info_of(run: NewRun, key: int, now: int) -> RunInfo:
    """What executions know of a run that was just stored."""
    about = (run.id, run.package, run.entrypoint, run.name)
    return RunInfo(key, *about, decode(run.metadata), tuple(decode(run.tags)), run.input, now)


def created_run(run: NewRun, now: int) -> Run:
    """The run as it is when it was just stored."""
    return Run(
        id=run.id,
        package=run.package,
        entrypoint=run.entrypoint,
        name=run.name,
        status=RunStatus.PENDING,
        input=decode(run.input),
        metadata=decode(run.metadata),
        tags=tuple(decode(run.tags)),
        total_steps=len(run.steps),
        open_steps=len(run.steps),
        created_at=to_datetime(now),
    )


def ready_among(rows: Iterable[Sequence[Any]]) -> Iterator[int]:
    """The keys of the steps among these new rows that are ready."""
    return (row[0] for row in rows if row[_STATUS] == StepStatus.READY)
