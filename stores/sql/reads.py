"""Reading runs, steps and what they left behind, as the model's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from stepwell.engine.clock import to_datetime
from stepwell.engine.errors import NotFound, RefusedByState, nearest
from stepwell.engine.events import Event, EventType
from stepwell.engine.model import (
    ArtifactRef,
    ClaimedStep,
    EdgeRow,
    Failure,
    Record,
    RecordRef,
    Run,
    RunFilter,
    RunProgress,
    Step,
    StepFilter,
    StepResult,
    StepWait,
    WorkerRow,
)
from stepwell.engine.payload import decode
from stepwell.engine.ports import DependencyValue
from stepwell.engine.states import Condition, RunStatus, StepStatus
from stepwell.engine.verification import Verification
from stepwell.stores.sql.database import Database
from stepwell.stores.sql.readable import reads_stored
from stepwell.stores.sql.reads_sql import (
    ARTIFACT_COLUMNS,
    ReadStatements,
)
from stepwell.stores.sql.statements import Transaction, rows_json
from stepwell.stores.sql.verify import Inspection


class Reads:
    """The reading half of the run store."""

    def __init__(self, database: Database, sql: ReadStatements) -> None:
        self._db = database
        self._sql = sql

    @reads_stored
    def run(self, run_id: str) -> Run:
        row = self._db.ask(lambda tx: self._sql.run(tx, run_id).fetchone())
        if row is None:
            with self._db.read() as tx:
                raise self._no_run(tx, run_id)
        return _run(row)

    @reads_stored
    def runs(self, where: RunFilter) -> list[Run]:
        with self._db.read() as tx:
            before = None
            if where.before is not None:
                before = self.run_key(tx, where.before)[0]
            return [_run(row) for row in self._sql.list_runs(tx, where, before).fetchall()]

    def run_key(self, tx: Transaction, run_id: str) -> tuple[int, str]:
        """Key and status of a run. Raises NotFound."""
        row = self._sql.run_key(tx, run_id).fetchone()
        if row is None:
            raise self._no_run(tx, run_id)
        return int(row[0]), str(row[1])

    def step_row(self, tx: Transaction, run_id: str, step_id: str) -> Sequence[Any]:
        """Key, id, status and error of a step. Raises NotFound."""
        run_key, _ = self.run_key(tx, run_id)
        row: Sequence[Any] | None = self._sql.step_key(tx, run_key, step_id).fetchone()
        if row is None:
            raise self._no_step(tx, run_key, run_id, step_id)
        return row

    @reads_stored
    def progress(self, run_id: str) -> RunProgress:
        with self._db.read() as tx:
            key, status = self.run_key(tx, run_id)
            total, open_ = self._sql.run_counts(tx, key).fetchone()
            unsuccessful = dict(self._sql.unsuccessful_counts(tx, key).fetchall())
            running = tuple(row[0] for row in self._sql.running_steps(tx, key).fetchall())
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

    @reads_stored
    def steps(self, run_id: str, where: StepFilter) -> list[Step]:
        with self._db.read() as tx:
            key, _ = self.run_key(tx, run_id)
            after = None if where.after is None else self.step_row(tx, run_id, where.after)[0]
            return [_step(row) for row in self._sql.list_steps(tx, key, where, after).fetchall()]

    @reads_stored
    def step(self, run_id: str, step_id: str) -> Step:
        with self._db.read() as tx:
            key = self.step_row(tx, run_id, step_id)[0]
            return _step(self._sql.step(tx, key).fetchone())

    @reads_stored
    def edges(self, run_id: str) -> list[EdgeRow]:
        with self._db.read() as tx:
            key, _ = self.run_key(tx, run_id)
            return [
                EdgeRow(step, target, Condition(condition), bool(subtree))
                for step, target, condition, subtree in self._sql.edges(tx, key).fetchall()
            ]

    @reads_stored
    def result(self, run_id: str, step_id: str) -> StepResult:
        row = self._db.ask(lambda tx: self._sql.result_and_more(tx, run_id, step_id).fetchone())
        if row is not None and not any(row[-2:]):
            return _result(run_id, step_id, row)
        with self._db.read() as tx:
            key = self.step_row(tx, run_id, step_id)[0]
            return self._whole_result(tx, key, run_id, step_id)

    def _whole_result(self, tx: Transaction, key: int, run_id: str, step_id: str) -> StepResult:
        row = self._sql.result(tx, key).fetchone()
        left = [_artifact(found) for found in self._sql.step_artifacts(tx, key)]
        emitted = [found[0] for found in self._sql.emitted(tx, key)]
        return _result(run_id, step_id, row, left, emitted)

    @reads_stored
    def records(self, package: str, collection: str, key: str | None = None) -> list[Record]:
        with self._db.read() as tx:
            if key is None:
                rows = self._sql.records(tx, package, collection).fetchall()
            else:
                rows = self._sql.record(tx, package, collection, key).fetchall()
        return [
            Record(package, collection, name, decode(value), run_id, step_id, to_datetime(at))
            for name, value, run_id, step_id, at in rows
        ]

    def collections(self, package: str) -> dict[str, int]:
        with self._db.read() as tx:
            return dict(self._sql.collections(tx, package).fetchall())

    @reads_stored
    def artifacts(self, run_id: str, step_id: str | None = None) -> list[ArtifactRef]:
        with self._db.read() as tx:
            if step_id is None:
                key, _ = self.run_key(tx, run_id)
                rows = self._sql.run_artifacts(tx, key).fetchall()
            else:
                key = self.step_row(tx, run_id, step_id)[0]
                rows = self._sql.step_artifacts(tx, key).fetchall()
        return [_artifact(row) for row in rows]

    @reads_stored
    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        with self._db.read() as tx:
            row = self._sql.artifact(tx, artifact_id).fetchone()
        if row is None:
            raise NotFound(f"there is no artifact {artifact_id!r}")
        return _artifact(row[:-1]), row[-1]

    @reads_stored
    def stored_artifacts(self, after: str, limit: int) -> list[ArtifactRef]:
        with self._db.read() as tx:
            rows = self._sql.stored_artifacts(tx, after, limit).fetchall()
        return [_artifact(row) for row in rows]

    @reads_stored
    def verify(self, most: int) -> Verification:
        """See `ports.Verifying`."""
        with self._db.read() as tx:
            return Inspection(tx, most).verify()

    @reads_stored
    def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        with self._db.read() as tx:
            key, _ = self.run_key(tx, run_id)
            most = 2**62 if limit is None else limit
            rows = self._sql.events(tx, key, after, most).fetchall()
        return [_event(run_id, row) for row in rows]

    @reads_stored
    def last_event(self, run_id: str, type: EventType, step_id: str | None = None) -> Event | None:
        with self._db.read() as tx:
            key, _ = self.run_key(tx, run_id)
            if step_id is None:
                row = self._sql.last_event(tx, key, type.value).fetchone()
            else:
                step = self.step_row(tx, run_id, step_id)[0]
                row = self._sql.last_event_of(tx, key, type.value, step).fetchone()
        return None if row is None else _event(run_id, row)

    def dependency_values(self, step: ClaimedStep) -> list[DependencyValue]:
        rows: list[DependencyValue] = self._db.ask(
            lambda tx: self._sql.dependency_values(tx, step.key).fetchall()
        )
        return rows

    @reads_stored
    def small_dependency_values(
        self, steps: Sequence[ClaimedStep], most: int
    ) -> dict[int, list[DependencyValue]]:
        keys = rows_json([step.key for step in steps])
        counts = self._db.ask(lambda tx: self._sql.count_dependencies(tx, keys).fetchall())
        found: dict[int, list[DependencyValue]] = {
            key: [] for key, count in counts if count <= most
        }
        small = rows_json(list(found))
        for row in self._db.ask(lambda tx: self._sql.many_values(tx, small).fetchall()):
            found[row[0]].append(row[1:])
        return found

    @reads_stored
    def dependency_result(self, step: ClaimedStep, step_id: str) -> StepResult:
        with self._db.read() as tx:
            row = self._sql.step_key(tx, step.run.key, step_id).fetchone()
            if row is None:
                raise self._no_step(tx, step.run.key, step.run.id, step_id)
            return self._whole_result(tx, row[0], step.run.id, step_id)

    def run_status(self, run_id: str) -> str | None:
        row = self._db.ask(lambda tx: self._sql.run_key(tx, run_id).fetchone())
        return None if row is None else str(row[1])

    def names(self, tx: Transaction, keys: Iterable[int], text: str) -> dict[int, str]:
        """Run ids of run keys, or step ids of step keys ("runs" or "steps")."""
        statement = self._sql.run_names if text == "runs" else self._sql.step_names
        rows = statement(tx, "[" + ",".join(map(str, keys)) + "]").fetchall()
        return dict(rows)

    @reads_stored
    def workers(self) -> list[WorkerRow]:
        with self._db.read() as tx:
            rows = self._sql.workers(tx).fetchall()
        return [
            WorkerRow(
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
            for id_, host, pid, version, queues, started, seen, kinds, labels in rows
        ]

    def _no_run(self, tx: Transaction, run_id: str) -> NotFound:
        recent = [row[0] for row in self._sql.recent_runs(tx).fetchall()]
        return NotFound(f"there is no run {run_id!r}{nearest(run_id, recent)}")

    def _no_step(self, tx: Transaction, run_key: int, run_id: str, step_id: str) -> NotFound:
        names = [row[0] for row in self._sql.some_steps(tx, run_key).fetchall()]
        return NotFound(f"run {run_id!r} has no step {step_id!r}{nearest(step_id, names)}")


def _run(row: Sequence[Any]) -> Run:
    # fmt: off
    (run_id, package, entrypoint, name, status, text, metadata, tags, total, open_,
     created, started, ended, parent_run, parent_step) = row
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
    )


def _step(row: Sequence[Any]) -> Step:
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
        site=site,
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


def _result(
    run_id: str,
    step_id: str,
    row: Sequence[Any],
    artifacts: Iterable[ArtifactRef] = (),
    emitted: Iterable[str] = (),
) -> StepResult:
    """What a step left behind. Raises RefusedByState before its end."""
    status, error, ended_at, value, refs, *_ = row
    if not StepStatus(status).ended:
        raise RefusedByState(f"step {step_id!r} is {status}; it has no result yet")
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


def _event(run_id: str, row: Sequence[Any]) -> Event:
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


def _artifact(row: Sequence[Any]) -> ArtifactRef:
    values = dict(zip(ARTIFACT_COLUMNS, row, strict=True))
    return ArtifactRef(
        **{
            **values,
            "metadata": decode(values["metadata"]),
            "created_at": to_datetime(values["created_at"]),
        }
    )
