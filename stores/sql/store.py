"""The run store: every contract of `engine.ports.RunStore`, over one database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from stepwell.engine.clock import to_micros
from stepwell.engine.crash_points import Write
from stepwell.engine.errors import Conflict, InvalidInput, one_line
from stepwell.engine.events import EventPage, Observers
from stepwell.engine.exchange import (
    ClaimedStep,
    ClaimRequest,
    Completed,
    Exchange,
    LostLease,
    NewRun,
    Outcome,
    Refusal,
)
from stepwell.engine.model import EngineStatus, Operator, Queue, QueueStatus, Run, WorkerRow
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import Watch
from stepwell.stores.sql.connection.corruption import reads_stored
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import Statement, StoreTransaction, bind, upsert_of
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.claim import Claiming
from stepwell.stores.sql.exchange.leases import MAX_WOKEN
from stepwell.stores.sql.exchange.new_runs import created_run
from stepwell.stores.sql.exchange.pipeline import Asked, Pipeline
from stepwell.stores.sql.exchange.plan import PlanName
from stepwell.stores.sql.exchange.queue_limits import QueueLimits, QueueStatements
from stepwell.stores.sql.exchange.settle import SettleParts
from stepwell.stores.sql.migrate import migrate
from stepwell.stores.sql.roles.checkpoints import CheckpointStatements, SqlCheckpointer
from stepwell.stores.sql.roles.feed import Feed
from stepwell.stores.sql.roles.holds import Holds
from stepwell.stores.sql.roles.key_values import KeyValues
from stepwell.stores.sql.roles.messages import Mailbox
from stepwell.stores.sql.roles.operators import OperatorActs, OperatorStatements
from stepwell.stores.sql.roles.rows import schema_version_of
from stepwell.stores.sql.roles.values import SqlValues
from stepwell.stores.sql.schema import tables


def _kind(asked: Asked) -> Write:
    """What an exchange writes."""
    if asked.create is not None:
        return Write.START_RUN
    if asked.claim is None:
        return Write.SETTLE
    return Write.SETTLE_AND_CLAIM if asked.settle else Write.CLAIM


class SqlRunStore(Mailbox, SqlValues, KeyValues, Holds):
    """Runs, steps and everything about them. Safe to use from many threads."""

    def __init__(
        self, dialect: Dialect, observers: Observers | None = None, plan: PlanName | None = None
    ) -> None:
        super().__init__(dialect, observers, plan)
        self._queues = QueueLimits(QueueStatements(dialect))
        self._claims = Claiming(self._claim_sql, self._queues, self._plan)
        self.database.forget = self._claims.forget
        parts = SettleParts(
            self._settle_sql, self._plan, self._graphs, self._messages, self._waking
        )
        self._pipeline = Pipeline(parts, self._queues, self._claims, self._closing)
        self._operators = OperatorActs(OperatorStatements(dialect), self._graphs)
        self._checkpoint_sql = CheckpointStatements(dialect)
        self._feed = Feed(self.database)
        workers = tables.workers
        self._put_worker = Statement(
            upsert_of(dialect, workers, ("id",)), *(column.name for column in workers.columns)
        )
        silent = sa.select(workers.c.id).where(workers.c.seen_at < bind("before"))
        silent = silent.with_for_update(skip_locked=True)
        self._drop_silent = Statement(sa.delete(workers).where(workers.c.id.in_(silent)), "before")
        self._drop_worker = Statement(sa.delete(workers).where(workers.c.id == bind("id")), "id")

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

    # --- writes -----------------------------------------------------------------------------

    @reads_stored
    def create_run(self, run: NewRun) -> Run:
        """See `ports.Runs`."""
        created, changes = self.database.write_with_others(self._create_runs, run, Write.START_RUN)
        self._publish(changes)
        if isinstance(created, Conflict):
            raise created
        return created

    def _create_runs(
        self, tx: StoreTransaction, items: Sequence[NewRun]
    ) -> list[tuple[Run | Conflict, Changes | None]]:
        """Create what several threads ask for at the same moment; one of them tells of it."""
        changes = Changes(tx)
        added = self._graphs.add_runs(changes, items)
        self._closing.close(changes)
        created = [
            key if isinstance(key, Conflict) else created_run(run, tx.now)
            for run, key in zip(items, added, strict=True)
        ]
        return [(made, None if place else changes) for place, made in enumerate(created)]

    @reads_stored
    def create_and_claim(self, run: NewRun, claim: ClaimRequest) -> tuple[Run, Exchange]:
        """See `ports.Claims`."""
        exchanged = self._exchange(Asked(claim=claim, create=run))
        return created_run(run, exchanged.now), exchanged

    @reads_stored
    def exchange(self, settle: Sequence[Outcome], claim: ClaimRequest | None) -> Exchange:
        """See `ports.Claims`."""
        try:
            return self._exchange(Asked(settle, claim))
        except (self._dialect.driver_errors, InvalidInput):
            if not settle:
                raise
            return self._exchange_one_by_one(settle, claim)

    def _exchange(self, asked: Asked) -> Exchange:
        kind = _kind(asked)
        try:
            exchanged, changes = self._write_changes(
                lambda _, changes: self._pipeline.exchange(changes, asked), kind
            )
        except BaseException:
            self._queues.forget()
            raise
        self._claims.runs.remember(changes.new_runs)
        return exchanged

    def _exchange_one_by_one(
        self, settle: Sequence[Outcome], claim: ClaimRequest | None
    ) -> Exchange:
        """The group holds a poisoned outcome: find the guilty one, and let the others through."""
        total = Exchange()
        for outcome in settle:
            try:
                one = self._exchange(Asked((outcome,)))
            except (self._dialect.driver_errors, InvalidInput) as error:
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

    def renew(self, worker_id: str, steps: Sequence[ClaimedStep], lease: int) -> list[LostLease]:
        """See `ports.Claims`."""
        gone: list[LostLease] = []
        left: Sequence[ClaimedStep] = steps
        wait = False
        while left:
            # All that nobody else holds; then one of the others alone, and all again.
            some = left[:1] if wait else left
            renew = partial(self._leases.renew, worker_id=worker_id, lease=lease, wait=wait)
            lost, locked = self.database.write(partial(renew, steps=some), Write.RENEW)
            gone += lost
            left, wait = (left[1:], False) if wait else (locked, True)
        return gone

    def release_others(self, worker_id: str, keep: Sequence[ClaimedStep]) -> int:
        """See `ports.Claims`."""

        def release(tx: StoreTransaction, changes: Changes) -> int:
            self._graphs.lock_runs(tx, self._leases.runs_held(tx, worker_id))
            return self._leases.release_others(tx, changes, worker_id, keep)

        return self._write(release, Write.RELEASE_OTHERS)

    @reads_stored
    def reap(self, max_lost_leases: int) -> int:
        """See `ports.Claims`."""
        with self.database.read() as tx:
            if not self._leases.is_anything_due(tx):
                return 0

        def take_back(tx: StoreTransaction, changes: Changes) -> int:
            propagation = self._propagation(changes)
            runs = self._leases.lapsed_runs(tx)
            self._graphs.lock_runs(tx, runs, to_end=True)
            return self._leases.reap(tx, changes, propagation, max_lost_leases, runs)

        def wake(tx: StoreTransaction, changes: Changes) -> int:
            due = self._leases.due(tx)
            self._graphs.lock_runs(tx, {run_key for _, run_key, _ in due})
            return self._leases.wake(tx, changes, due)

        moved, woken = self._write(take_back, Write.REAP), MAX_WOKEN
        while woken == MAX_WOKEN:
            woken = self._write(wake, Write.WAKE)
            moved += woken
        return moved

    def next_due(self, after: int) -> int | None:
        """See `ports.Claims`."""
        return self.database.ask(lambda tx: self._leases.next_due(tx, after))

    @reads_stored
    def retry_step(self, run_id: str, step_id: str, by: Operator) -> int:
        """See `ports.Operators`."""

        def work(tx: StoreTransaction, changes: Changes) -> int:
            run = self._locked_run(tx, run_id, to_end=True)
            propagation = self._propagation(changes)
            key, name, status, error = self.step_row(tx, run_id, step_id)
            step = (key, name, status, error)
            return self._operators.retry_step(tx, changes, propagation, run, step, by)

        return self._act(work, Write.RETRY_STEP)

    @reads_stored
    def retry_run(self, run_id: str, by: Operator) -> int:
        """See `ports.Operators`."""

        def work(tx: StoreTransaction, changes: Changes) -> int:
            run = self._locked_run(tx, run_id, to_end=True)
            propagation = self._propagation(changes)
            return self._operators.retry_run(tx, changes, propagation, run, run_id, by)

        return self._act(work, Write.RETRY_RUN)

    @reads_stored
    def cancel_run(self, run_id: str, by: Operator) -> int:
        """See `ports.Operators`."""
        return self._act(
            lambda tx, changes: self._operators.cancel_run(
                tx, changes, self._locked_run(tx, run_id, to_end=True), run_id, by
            ),
            Write.CANCEL_RUN,
        )

    @reads_stored
    def define_queues(self, queues: Sequence[Queue]) -> None:
        """See `ports.Queues`."""

        def work(tx: StoreTransaction) -> None:
            if self._queues.define(tx, queues):
                self._graph_sql.bump_control(tx)

        self.database.write(work, Write.DEFINE_QUEUES)

    @reads_stored
    def check_queues(self, names: Sequence[str] | None) -> None:
        """Raises NotFound when a name is no queue."""
        with self.database.read() as tx:
            self._queues.check_known(tx, names)

    def record_worker(self, worker: WorkerRow) -> None:
        """See `ports.Queues`."""
        queues = None if worker.queues is None else encode(list(worker.queues), "queues")
        times = (to_micros(worker.started_at), to_micros(worker.seen_at))
        lists = (encode(list(worker.kinds), "kinds"), encode(list(worker.labels), "labels"))
        self.database.write(
            lambda tx: self._put_worker(
                tx, worker.id, worker.host, worker.pid, worker.version, queues, *times, *lists
            ),
            Write.RECORD_WORKER,
        )

    def forget_worker(self, worker_id: str) -> None:
        """See `ports.Queues`."""
        self.database.write(lambda tx: self._drop_worker(tx, worker_id), Write.FORGET_WORKER)

    def forget_silent_workers(self, silent: int) -> None:
        """See `ports.Queues`."""
        self.database.write(
            lambda tx: self._drop_silent(tx, tx.now - silent), Write.FORGET_SILENT_WORKERS
        )

    def checkpointer(self, step: ClaimedStep | None = None) -> SqlCheckpointer:
        """See `ports.RunStore`."""
        return SqlCheckpointer(self.database, step, self._checkpoint_sql)

    def has_lease(self, step: ClaimedStep) -> bool:
        """See `ports.Claims`."""
        return self.database.write(lambda tx: self._leases.is_held(tx, step), Write.CHECK_LEASE)

    # --- reads that need more than a statement ------------------------------------------------

    @reads_stored
    def queues(self) -> list[QueueStatus]:
        """See `ports.Queues`."""
        with self.database.read() as tx:
            return self._queues.statuses(tx)

    @reads_stored
    def status(self) -> EngineStatus:
        """See `ports.Queues`."""
        with self.database.read() as tx:
            sql = self._read_sql
            return EngineStatus(
                store=self._dialect.label(),
                schema_version=schema_version_of(sql.meta(tx).fetchall()),
                runs=dict(sql.runs_by_status(tx).fetchall()),
                open_steps=int(sql.open_steps(tx).fetchone()[0]),
                running_steps=sql.running(tx).fetchone()[0],
                queues=self._queues.statuses(tx),
                workers=len(sql.workers(tx).fetchall()),
            )

    @reads_stored
    def events_since(self, cursor: str, limit: int) -> EventPage:
        """See `ports.Feed`."""
        return self._feed.events_since(cursor, limit)

    def version(self) -> str:
        """See `ports.Feed`."""
        return self._feed.version()

    def now(self) -> int:
        """See `ports.RunStore`."""
        with self.database.read() as tx:
            return tx.now

    def watch(self) -> Watch:
        """See `ports.RunStore`."""
        watch: Watch = self._dialect.watch(self.database.version)
        return watch

    def close(self) -> None:
        """See `ports.RunStore`."""
        self.database.close()
