"""The run store: every contract of `engine.ports.RunStore`, over one database."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.events import Event, EventPage, EventType, Observers
from stepwell.engine.exchange import (
    SAME,
    Arrival,
    ClaimedStep,
    ClaimRequest,
    Exchange,
    LostLease,
    NewMessage,
    NewRun,
    Outcome,
    Reopening,
    StoredRun,
    Wait,
)
from stepwell.engine.model import (
    ArtifactRef,
    EdgeRow,
    EngineStatus,
    KeyValue,
    Message,
    Operator,
    Queue,
    QueueStatus,
    Record,
    Run,
    RunFilter,
    RunProgress,
    Step,
    StepFilter,
    StepResult,
    ValueEntry,
    WorkerRow,
)
from stepwell.engine.ports import DependencyValue, Watch
from stepwell.engine.verification import Verification
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.exchange.parts import parts_of
from stepwell.stores.sql.exchange.plan import PlanName
from stepwell.stores.sql.migrate import migrate
from stepwell.stores.sql.roles.checkpoints import CheckpointStatements, SqlCheckpointer
from stepwell.stores.sql.roles.exchanges import Exchanges
from stepwell.stores.sql.roles.feed import Feed
from stepwell.stores.sql.roles.holds import Holds
from stepwell.stores.sql.roles.key_values import KeyValues
from stepwell.stores.sql.roles.leases import LeaseKeeping
from stepwell.stores.sql.roles.lookup import Lookup
from stepwell.stores.sql.roles.messages import Mailbox
from stepwell.stores.sql.roles.operators import OperatorActs
from stepwell.stores.sql.roles.queues import Queues
from stepwell.stores.sql.roles.reads import Reads
from stepwell.stores.sql.roles.reads_sql import ReadStatements
from stepwell.stores.sql.roles.starts import Starts
from stepwell.stores.sql.roles.values import Values
from stepwell.stores.sql.roles.writer import Writer


class SqlRunStore:
    """Runs, steps and everything about them. Safe to use from many threads.

    The docstrings of `ports` say what each method promises. Each is done by the part of its role,
    which also tells damaged rows and unfit values from other errors (`reads_stored`).
    """

    def __init__(
        self, dialect: Dialect, observers: Observers | None = None, plan: PlanName | None = None
    ) -> None:
        self._dialect = dialect
        self.database = database = Database(dialect)
        read_sql = ReadStatements(dialect)
        lookup = Lookup(read_sql)
        self._parts = parts = parts_of(dialect, plan)
        database.forget = parts.claims.forget
        self._writer = writer = Writer(database, observers or Observers(), lookup, parts)
        self._reads = Reads(database, read_sql, lookup)
        self._starts = Starts(writer, read_sql, parts)
        self._exchanges = Exchanges(writer, parts)
        self._leases = LeaseKeeping(writer, parts)
        self._operators = OperatorActs(writer, lookup, parts)
        self._holds = Holds(writer, lookup)
        self._mailbox = Mailbox(writer, lookup, parts)
        self._values = Values(writer, lookup, parts)
        self._key_values = KeyValues(database)
        self._queues = Queues(database, read_sql, parts)
        self._feed = Feed(database)
        self._checkpoint_sql = CheckpointStatements(dialect)

    @classmethod
    def open(
        cls, dialect: Dialect, observers: Observers | None = None, plan: PlanName | None = None
    ) -> SqlRunStore:
        """Connect, and bring the schema up to date where the database does that itself.

        Without a `plan` it follows the one with the fewest messages that the database can. Raises
        StoreError, or StoreVersionError when the store is newer than this code.
        """
        store = cls(dialect, observers, plan)
        store.database.open()
        try:
            migrate(store.database, apply=dialect.migrates_itself)
        except BaseException:
            store.close()
            raise
        return store

    # --- Runs ---------------------------------------------------------------------------------

    def create_run(self, run: NewRun) -> StoredRun:
        return self._starts.create_run(run)

    def waiting_run(self, package: str, dedup_key: str) -> str | None:
        return self._starts.waiting_run(package, dedup_key)

    def run(self, run_id: str) -> Run:
        return self._reads.run(run_id)

    def runs(self, where: RunFilter) -> list[Run]:
        return self._reads.runs(where)

    def open_runs(self, run_ids: Sequence[str]) -> set[str]:
        return self._reads.open_runs(run_ids)

    def progress(self, run_id: str) -> RunProgress:
        return self._reads.progress(run_id)

    def steps(self, run_id: str, where: StepFilter) -> list[Step]:
        return self._reads.steps(run_id, where)

    def step(self, run_id: str, step_id: str) -> Step:
        return self._reads.step(run_id, step_id)

    def edges(self, run_id: str) -> list[EdgeRow]:
        return self._reads.edges(run_id)

    # --- Results ------------------------------------------------------------------------------

    def result(self, run_id: str, step_id: str) -> StepResult:
        return self._reads.result(run_id, step_id)

    def small_dependency_values(
        self, steps: Sequence[ClaimedStep], most: int
    ) -> dict[int, list[DependencyValue]]:
        return self._reads.small_dependency_values(steps, most)

    def records(self, package: str, collection: str, key: str | None = None) -> list[Record]:
        return self._reads.records(package, collection, key)

    def collections(self, package: str) -> dict[str, int]:
        return self._reads.collections(package)

    def artifacts(self, run_id: str, step_id: str | None = None) -> list[ArtifactRef]:
        return self._reads.artifacts(run_id, step_id)

    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        return self._reads.artifact(artifact_id)

    def events(self, run_id: str, after: int = 0, limit: int | None = None) -> list[Event]:
        return self._reads.events(run_id, after, limit)

    def last_event(self, run_id: str, type: EventType, step_id: str | None = None) -> Event | None:
        return self._reads.last_event(run_id, type, step_id)

    # --- DependencyReads ----------------------------------------------------------------------

    def dependency_values(self, step: ClaimedStep) -> list[DependencyValue]:
        return self._reads.dependency_values(step)

    def dependency_result(self, step: ClaimedStep, step_id: str) -> StepResult:
        return self._reads.dependency_result(step, step_id)

    def run_status(self, run_id: str) -> str | None:
        return self._reads.run_status(run_id)

    # --- Claims -------------------------------------------------------------------------------

    def exchange(self, settle: Sequence[Outcome], claim: ClaimRequest | None) -> Exchange:
        return self._exchanges.exchange(settle, claim)

    def create_and_claim(self, run: NewRun, claim: ClaimRequest) -> tuple[Run, Exchange]:
        return self._exchanges.create_and_claim(run, claim)

    def renew(self, worker_id: str, steps: Sequence[ClaimedStep], lease: int) -> list[LostLease]:
        return self._leases.renew(worker_id, steps, lease)

    def has_lease(self, step: ClaimedStep) -> bool:
        return self._leases.has_lease(step)

    def release_others(self, worker_id: str, keep: Sequence[ClaimedStep]) -> int:
        return self._leases.release_others(worker_id, keep)

    def reap(self, max_lost_leases: int) -> int:
        return self._leases.reap(max_lost_leases)

    def next_due(self, after: int) -> int | None:
        return self._leases.next_due(after)

    # --- Operators ----------------------------------------------------------------------------

    def retry_step(self, run_id: str, step_id: str, by: Operator, anew: Reopening = SAME) -> int:
        return self._operators.retry_step(run_id, step_id, by, anew)

    def retry_run(self, run_id: str, by: Operator, anew: Reopening = SAME) -> int:
        return self._operators.retry_run(run_id, by, anew)

    def cancel_run(self, run_id: str, by: Operator) -> int:
        return self._operators.cancel_run(run_id, by)

    def pause_run(self, run_id: str, by: Operator) -> int:
        return self._holds.pause_run(run_id, by)

    def resume_run(self, run_id: str, by: Operator) -> int:
        return self._holds.resume_run(run_id, by)

    def hold_step(self, run_id: str, step_id: str, by: Operator) -> None:
        self._holds.hold_step(run_id, step_id, by)

    def release_step(self, run_id: str, step_id: str, by: Operator) -> None:
        self._holds.release_step(run_id, step_id, by)

    # --- Messages -----------------------------------------------------------------------------

    def send(self, message: NewMessage, sender: str | None = None) -> bool:
        return self._mailbox.send(message, sender)

    def receive(self, step: ClaimedStep, topic: str, operation: str) -> str | None:
        return self._mailbox.receive(step, topic, operation)

    def given(self, step: ClaimedStep, operation: str) -> int | None:
        return self._mailbox.given(step, operation)

    def refuse(self, step: ClaimedStep, operation: str, message: int) -> None:
        self._mailbox.refuse(step, operation, message)

    def arrivals(self, step: ClaimedStep, waits: Sequence[Wait]) -> list[Arrival | None]:
        return self._mailbox.arrivals(step, waits)

    def take(self, step: ClaimedStep, messages: Sequence[tuple[int, str]]) -> bool:
        return self._mailbox.take(step, messages)

    def messages(self, run_id: str, topic: str | None = None) -> list[Message]:
        return self._mailbox.messages(run_id, topic)

    def decide(self, run_id: str, step_id: str | None, approved: bool, by: Operator) -> str:
        return self._mailbox.decide(run_id, step_id, approved, by)

    # --- Values -------------------------------------------------------------------------------

    def set_value(self, step: ClaimedStep, key: str, value: str, operation: str) -> tuple[str, str]:
        return self._values.set_value(step, key, value, operation)

    def values(self, run_id: str, key: str, last: int | None = None) -> list[ValueEntry]:
        return self._values.values(run_id, key, last)

    def last_values(self, run_id: str) -> list[ValueEntry]:
        return self._values.last_values(run_id)

    # --- KeyValues ----------------------------------------------------------------------------

    def kv_get(self, key: str) -> KeyValue | None:
        return self._key_values.kv_get(key)

    def kv_set(
        self, key: str, value: str, *, expires_in: int | None = None, version: int | None = None
    ) -> int | None:
        return self._key_values.kv_set(key, value, expires_in=expires_in, version=version)

    def kv_delete(self, key: str, *, version: int | None = None) -> bool:
        return self._key_values.kv_delete(key, version=version)

    def kv_list(self, prefix: str = "", after: str = "", limit: int = 1_000) -> list[KeyValue]:
        return self._key_values.kv_list(prefix, after, limit)

    # --- Queues -------------------------------------------------------------------------------

    def define_queues(self, queues: Sequence[Queue]) -> None:
        self._queues.define_queues(queues)

    def check_queues(self, names: Sequence[str] | None) -> None:
        self._queues.check_queues(names)

    def queues(self) -> list[QueueStatus]:
        return self._queues.queues()

    def record_worker(self, worker: WorkerRow) -> None:
        self._queues.record_worker(worker)

    def forget_worker(self, worker_id: str) -> None:
        self._queues.forget_worker(worker_id)

    def forget_silent_workers(self, silent: int) -> None:
        self._queues.forget_silent_workers(silent)

    def workers(self) -> list[WorkerRow]:
        return self._queues.workers()

    def status(self) -> EngineStatus:
        return self._queues.status()

    # --- Feed ---------------------------------------------------------------------------------

    def events_since(self, cursor: str, limit: int) -> EventPage:
        return self._feed.events_since(cursor, limit)

    def version(self) -> str:
        return self._feed.version()

    # --- Verifying ----------------------------------------------------------------------------

    def verify(self, most: int) -> Verification:
        return self._reads.verify(most)

    def stored_artifacts(self, after: str, limit: int) -> list[ArtifactRef]:
        return self._reads.stored_artifacts(after, limit)

    # --- RunStore -----------------------------------------------------------------------------

    def checkpointer(self, step: ClaimedStep | None = None) -> SqlCheckpointer:
        return SqlCheckpointer(self.database, step, self._checkpoint_sql)

    def now(self) -> int:
        with self.database.read() as tx:
            return tx.now

    def watch(self) -> Watch:
        watch: Watch = self._dialect.watch(self.database.version)
        return watch

    def close(self) -> None:
        self.database.close()
