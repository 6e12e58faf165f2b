"""Reading runs, steps and what they left behind, as the model's values."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.errors import NotFound
from stepwell.engine.events import Event, EventType
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.model import (
    ArtifactRef,
    EdgeRow,
    Record,
    Run,
    RunFilter,
    RunProgress,
    Step,
    StepFilter,
    StepResult,
)
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import DependencyValue
from stepwell.engine.states import RUN_ENDED
from stepwell.engine.verification import Verification
from stepwell.stores.sql.checks.verify import Inspection
from stepwell.stores.sql.connection.corruption import reads_stored
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.statements import StoreTransaction, rows_json
from stepwell.stores.sql.roles.lookup import Lookup
from stepwell.stores.sql.roles.reads_sql import ReadStatements
from stepwell.stores.sql.roles.rows import (
    artifact_of,
    edges_of,
    event_of,
    progress_of,
    record_of,
    result_of,
    run_of,
    step_of,
)


class Reads:
    """Reading, of the roles `ports.Runs`, `Results`, `DependencyReads` and `Verifying`."""

    def __init__(self, database: Database, sql: ReadStatements, lookup: Lookup) -> None:
        self._db = database
        self._sql = sql
        self._lookup = lookup

    @reads_stored
    def run(self, run_id: str) -> Run:
        row = self._db.ask(lambda tx: self._sql.run(tx, run_id).fetchone())
        if row is None:
            with self._db.read() as tx:
                raise self._lookup.no_run(tx, run_id)
        return run_of(row)

    @reads_stored
    def runs(self, where: RunFilter) -> list[Run]:
        with self._db.read() as tx:
            before = None
            if where.before is not None:
                before = self._lookup.run(tx, where.before).key
            return [run_of(row) for row in self._sql.list_runs(tx, where, before).fetchall()]

    @reads_stored
    def progress(self, run_id: str) -> RunProgress:
        with self._db.read() as tx:
            run = self._lookup.run(tx, run_id)
            total, open_ = self._sql.run_counts(tx, run.key).fetchone()
            unsuccessful = dict(self._sql.unsuccessful_counts(tx, run.key).fetchall())
            running = tuple(row[0] for row in self._sql.running_steps(tx, run.key).fetchall())
        return progress_of(run.status, total, open_, unsuccessful, running)

    @reads_stored
    def steps(self, run_id: str, where: StepFilter) -> list[Step]:
        with self._db.read() as tx:
            key = self._lookup.run(tx, run_id).key
            after = None
            if where.after is not None:
                after = self._lookup.step(tx, run_id, where.after).key
            return [step_of(row) for row in self._sql.list_steps(tx, key, where, after).fetchall()]

    @reads_stored
    def step(self, run_id: str, step_id: str) -> Step:
        with self._db.read() as tx:
            key = self._lookup.step(tx, run_id, step_id).key
            return step_of(self._sql.step(tx, key).fetchone())

    @reads_stored
    def edges(self, run_id: str) -> list[EdgeRow]:
        with self._db.read() as tx:
            key = self._lookup.run(tx, run_id).key
            return edges_of(self._sql.edges(tx, key).fetchall())

    @reads_stored
    def result(self, run_id: str, step_id: str) -> StepResult:
        row = self._db.ask(lambda tx: self._sql.result_and_more(tx, run_id, step_id).fetchone())
        if row is not None and not any(row[-2:]):
            return result_of(run_id, step_id, row)
        with self._db.read() as tx:
            key = self._lookup.step(tx, run_id, step_id).key
            return self._whole_result(tx, key, run_id, step_id)

    def _whole_result(
        self, tx: StoreTransaction, key: int, run_id: str, step_id: str
    ) -> StepResult:
        row = self._sql.result(tx, key).fetchone()
        left = [artifact_of(found) for found in self._sql.step_artifacts(tx, key)]
        emitted = [found[0] for found in self._sql.emitted(tx, key)]
        return result_of(run_id, step_id, row, left, emitted)

    @reads_stored
    def records(self, package: str, collection: str, key: str | None = None) -> list[Record]:
        with self._db.read() as tx:
            if key is None:
                rows = self._sql.records(tx, package, collection).fetchall()
            else:
                rows = self._sql.record(tx, package, collection, key).fetchall()
        return [record_of(package, collection, row) for row in rows]

    def collections(self, package: str) -> dict[str, int]:
        with self._db.read() as tx:
            return dict(self._sql.collections(tx, package).fetchall())

    @reads_stored
    def artifacts(self, run_id: str, step_id: str | None = None) -> list[ArtifactRef]:
        with self._db.read() as tx:
            if step_id is None:
                key = self._lookup.run(tx, run_id).key
                rows = self._sql.run_artifacts(tx, key).fetchall()
            else:
                key = self._lookup.step(tx, run_id, step_id).key
                rows = self._sql.step_artifacts(tx, key).fetchall()
        return [artifact_of(row) for row in rows]

    @reads_stored
    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        with self._db.read() as tx:
            row = self._sql.artifact(tx, artifact_id).fetchone()
        if row is None:
            raise NotFound(f"there is no artifact {artifact_id!r}")
        return artifact_of(row[:-1]), row[-1]

    @reads_stored
    def stored_artifacts(self, after: str, limit: int) -> list[ArtifactRef]:
        with self._db.read() as tx:
            rows = self._sql.stored_artifacts(tx, after, limit).fetchall()
        return [artifact_of(row) for row in rows]

    @reads_stored
    def verify(self, most: int) -> Verification:
        with self._db.read() as tx:
            return Inspection(tx, most).verify()

    @reads_stored
    def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        with self._db.read() as tx:
            key = self._lookup.run(tx, run_id).key
            most = 2**62 if limit is None else limit
            rows = self._sql.events(tx, key, after, most).fetchall()
        return [event_of(run_id, row) for row in rows]

    @reads_stored
    def last_event(self, run_id: str, type: EventType, step_id: str | None = None) -> Event | None:
        with self._db.read() as tx:
            key = self._lookup.run(tx, run_id).key
            if step_id is None:
                row = self._sql.last_event(tx, key, type.value).fetchone()
            else:
                step = self._lookup.step(tx, run_id, step_id).key
                row = self._sql.last_event_of(tx, key, type.value, step).fetchone()
        return None if row is None else event_of(run_id, row)

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
                raise self._lookup.no_step(tx, step.run.key, step.run.id, step_id)
            return self._whole_result(tx, row[0], step.run.id, step_id)

    def run_status(self, run_id: str) -> str | None:
        row = self._db.ask(lambda tx: self._sql.run_key(tx, run_id).fetchone())
        return None if row is None else str(row[1])

    def open_runs(self, run_ids: Sequence[str]) -> set[str]:
        text = encode(list(run_ids), "run_ids")
        rows = self._db.ask(lambda tx: self._sql.statuses(tx, text).fetchall())
        return {str(run_id) for run_id, status in rows if status not in RUN_ENDED}
