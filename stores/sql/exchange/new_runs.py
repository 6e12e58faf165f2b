"""New runs and steps as they were just stored, without reading them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from stepwell.engine.clock import to_datetime
from stepwell.engine.exchange import NewRun, RunInfo
from stepwell.engine.model import Run
from stepwell.engine.payloads.payload import decode
from stepwell.engine.run_options import RunOptions
from stepwell.engine.states import RunStatus, StepStatus
from stepwell.stores.sql.exchange.run_options import begins_at
from stepwell.stores.sql.exchange.steps_sql import NEW_STEP_COLUMNS

# The place of a step's status in its row.
_STATUS = NEW_STEP_COLUMNS.index("status")
_NO_OPTIONS = RunOptions()


def info_of(run: NewRun, key: int, now: int) -> RunInfo:
    """What executions know of a run that was just stored."""
    about = (run.id, run.package, run.entrypoint, run.name)
    labels = (decode(run.metadata), tuple(decode(run.tags)))
    options = run.options or _NO_OPTIONS
    defaults = (options.queue, options.priority)
    return RunInfo(key, *about, *labels, run.input, now, None, *defaults)


def created_run(run: NewRun, now: int) -> Run:
    """The run as it is when it was just stored."""
    made = Run(
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
        summary=run.summary,
    )
    return made if run.options is None else _with_options(made, run.options, now)


def _with_options(run: Run, options: RunOptions, now: int) -> Run:
    start_by = options.start_by
    if options.start_within is not None:
        start_by = now + options.start_within
    delayed = options.start_at is not None or options.delay is not None
    return replace(
        run,
        queue=options.queue,
        priority=options.priority,
        partition_key=options.partition_key,
        version=options.version,
        dedup_key=options.dedup_key,
        dedup_for=_duration(options.dedup_for),
        start_at=to_datetime(begins_at(options, now)) if delayed else None,
        start_by=None if start_by is None else to_datetime(start_by),
        timeout=_duration(options.timeout),
        deadline=None if options.deadline is None else to_datetime(options.deadline),
    )


def _duration(micros: int | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=micros)


def ready_among(rows: Iterable[Sequence[Any]]) -> Iterator[int]:
    """The keys of the steps among these new rows that are ready."""
    return (row[0] for row in rows if row[_STATUS] == StepStatus.READY)
