"""Stored rows as the model's values; Unreadable is raised for one that is not what it should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from stepwell.engine.clock import to_datetime
from stepwell.engine.errors import RefusedByState
from stepwell.engine.events import Event, EventType
from stepwell.engine.model import (
    ArtifactRef,
    EdgeRow,
    Failure,
    Record,
    RecordRef,
    Run,
    RunProgress,
    Step,
    StepResult,
    StepWait,
    WorkerRow,
)
from stepwell.engine.payloads.payload import decode
from stepwell.engine.states import Condition, RunStatus, StepStatus
from stepwell.stores.sql.connection.corruption import decodes, stored_status
from stepwell.stores.sql.roles.reads_sql import ARTIFACT_COLUMNS


@decodes
def run_of(row: Sequence[Any]) -> Run:
    """As `ports.Runs.run` tells it."""
    # fmt: off
    (run_id, package, entrypoint, name, status, text, metadata, tags, total, open_,
     created, started, ended, parent_run, parent_step, *options, error,
     failed_step, step_error) = row
    # fmt: on
    return Run(
        id=run_id,
        package=package,
        entrypoint=entrypoint,
        name=name,
        status=RunStatus(status),
        input=decode(text),
        metadata=decode(metadata),
        tags=tuple(decode(tags)),
        total_steps=total,
        open_steps=open_,
        created_at=to_datetime(created),
        started_at=None if started is None else to_datetime(started),
        ended_at=None if ended is None else to_datetime(ended),
        parent_run=parent_run,
        parent_step=parent_step,
        error=_run_error(error, failed_step, step_error),
        **_options_of(*options),
    )


def _run_error(error: str | None, step: str | None, step_error: str | None) -> Failure | None:
    if error is not None or step_error is None:
        return _failure(error)
    return Failure(**{**decode(step_error), "step": step})


def _options_of(*columns: Any) -> dict[str, Any]:
    """What a run was given when it was started."""
    # fmt: off
    (queue, priority, partition_key, version, summary, dedup_key, dedup_for, replaced, start_at,
     start_by, timeout, deadline) = columns
    # fmt: on
    return {
        "queue": queue,
        "priority": priority,
        "partition_key": partition_key,
        "version": version,
        "summary": summary,
        "dedup_key": dedup_key,
        "dedup_for": None if dedup_for is None else timedelta(microseconds=dedup_for),
        "replaced": replaced or 0,
        "start_at": None if start_at is None else to_datetime(start_at),
        "start_by": None if start_by is None else to_datetime(start_by),
        "timeout": None if timeout is None else timedelta(microseconds=timeout),
        "deadline": None if deadline is None else to_datetime(deadline),
    }


@decodes
def step_of(row: Sequence[Any]) -> Step:
    """As `ports.Runs.step` tells it."""
    # fmt: off
    (step_id, run_id, kind, queue, status, priority, text, metadata, attempt, failures,
     max_attempts, pending, dedup_key, site, parent, allow_failure, timeout, worker,
     error, created, ready, started, ended, wait, wake_at, wait_left, held) = row
    # fmt: on
    waiting = StepStatus(status) is StepStatus.WAITING
    not_ready = waiting or StepStatus(status) is StepStatus.PENDING
    return Step(
        id=step_id,
        run_id=run_id,
        kind=kind,
        queue=queue,
        status=StepStatus(status),
        priority=priority,
        input=decode(text),
        metadata=decode(metadata) if metadata else {},
        attempt=attempt,
        failures=failures,
        max_attempts=max_attempts,
        pending=pending,
        dedup_key=dedup_key,
        package=site,
        parent=parent,
        allow_failure=bool(allow_failure),
        timeout=None if timeout is None else timedelta(microseconds=timeout),
        worker=worker,
        error=_failure(error),
        created_at=to_datetime(created),
        ready_at=None if not_ready else to_datetime(ready),
        started_at=None if started is None else to_datetime(started),
        ended_at=None if ended is None else to_datetime(ended),
        wait=_wait(decode(wait) if wait else {}, wake_at, wait_left) if waiting else None,
        held=bool(held),
    )


def _wait(told: Mapping[str, Any], wake_at: int | None, left: int | None = None) -> StepWait:
    value = told.get("value")
    # Sleeps beside others stand still with them: moved as the whole was, or not told while held.
    moved = None if wake_at is None else wake_at - (told.get("until") or wake_at)
    return StepWait(
        kind=told.get("kind", "run"),
        operation=told.get("operation"),
        topic=told.get("topic"),
        run_id=told.get("run_id"),
        value=tuple(value) if value else None,
        until=None if wake_at is None else to_datetime(wake_at),
        # What is overdue and held back has nothing left to wait for.
        left=None if left is None else timedelta(microseconds=max(0, left)),
        waits=tuple(_beside(one, moved) for one in told.get("waits", ())),
    )


def _beside(told: Mapping[str, Any], moved: int | None) -> StepWait:
    until = told["until"]
    return _wait(told, None if until is None or moved is None else until + moved)


def _failure(text: str | None) -> Failure | None:
    return None if text is None else Failure(**decode(text))


def result_of(
    run_id: str,
    step_id: str,
    row: Sequence[Any],
    artifacts: Iterable[ArtifactRef] = (),
    emitted: Iterable[str] = (),
) -> StepResult:
    """What a step left behind. Raises RefusedByState before its end."""
    if not stored_status(row[0]).ended:
        raise RefusedByState(f"step {step_id!r} is {row[0]}; it has no result yet")
    return _ended(run_id, step_id, row, artifacts, emitted)


@decodes
def _ended(
    run_id: str,
    step_id: str,
    row: Sequence[Any],
    artifacts: Iterable[ArtifactRef],
    emitted: Iterable[str],
) -> StepResult:
    status, error, ended_at, value, refs, *_ = row
    return StepResult(
        run_id=run_id,
        step_id=step_id,
        status=StepStatus(status),
        value=None if value is None else decode(value),
        records=tuple(RecordRef(*ref) for ref in decode(refs)) if refs else (),
        artifacts=tuple(artifacts),
        emitted=tuple(emitted),
        error=_failure(error),
        completed_at=to_datetime(ended_at),
    )


@decodes
def artifact_of(row: Sequence[Any]) -> ArtifactRef:
    """Where an artifact is, and what it is."""
    values = dict(zip(ARTIFACT_COLUMNS, row, strict=True))
    return ArtifactRef(
        **{
            **values,
            "metadata": decode(values["metadata"]),
            "created_at": to_datetime(values["created_at"]),
        }
    )


@decodes
def progress_of(
    status: str,
    total: int,
    open_: int,
    unsuccessful: Mapping[str, int],
    running: tuple[str, ...],
) -> RunProgress:
    """How far a run is, from its counts."""
    ended_badly = sum(unsuccessful.values())
    return RunProgress(
        status=RunStatus(status),
        total=total,
        open=open_,
        succeeded=total - open_ - ended_badly,
        failed=unsuccessful.get("failed", 0),
        canceled=unsuccessful.get("canceled", 0),
        skipped=unsuccessful.get("skipped", 0),
        running=running,
    )


@decodes
def edges_of(rows: Iterable[Sequence[Any]]) -> list[EdgeRow]:
    """The dependencies of a run."""
    return [
        EdgeRow(step, target, Condition(condition), bool(subtree))
        for step, target, condition, subtree in rows
    ]


@decodes
def record_of(package: str, collection: str, row: Sequence[Any]) -> Record:
    """A record of a collection."""
    name, value, run_id, step_id, at = row
    return Record(package, collection, name, decode(value), run_id, step_id, to_datetime(at))


@decodes
def event_of(run_id: str, row: Sequence[Any]) -> Event:
    """An event of a run."""
    seq, type_, at, step_id, attempt, worker, data = row
    return Event(
        type=EventType(type_),
        at=to_datetime(at),
        run_id=run_id,
        step_id=step_id,
        attempt=attempt,
        worker=worker,
        seq=seq,
        data=decode(data) if data else {},
    )


@decodes
def worker_of(row: Sequence[Any]) -> WorkerRow:
    """A worker that reported."""
    id_, host, pid, version, queues, started, seen, kinds, labels = row
    return WorkerRow(
        id=id_,
        host=host,
        pid=pid,
        version=version,
        queues=tuple(decode(queues)) if queues else None,
        started_at=to_datetime(started),
        seen_at=to_datetime(seen),
        kinds=tuple(decode(kinds)),
        labels=tuple(decode(labels)),
    )


@decodes
def schema_version_of(rows: Sequence[Sequence[Any]]) -> int:
    """From all rows of `meta`."""
    pairs: list[tuple[str, int]] = [(name, value) for name, value in rows]
    values = dict(pairs)
    return values["schema_version"]
