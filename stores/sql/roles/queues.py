"""Queues, workers and the overview of a store, as all processes see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from stepwell.engine.clock import to_micros
from stepwell.engine.crash_points import Write
from stepwell.engine.model import EngineStatus, Queue, QueueStatus, WorkerRow
from stepwell.engine.payloads.payload import encode
from stepwell.stores.sql.connection.corruption import reads_stored
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.statements import (
    Statement,
    Statements,
    StoreTransaction,
    bind,
    upsert_of,
)
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.roles.reads_sql import ReadStatements
from stepwell.stores.sql.roles.rows import schema_version_of, worker_of
from stepwell.stores.sql.schema import tables


class WorkerStatements(Statements):
    """Recording workers, and forgetting them."""

    def __init__(self, dialect: Any) -> None:
        super().__init__(dialect)
        workers = tables.workers
        self.put = Statement(
            upsert_of(dialect, workers, ("id",)), *(column.name for column in workers.columns)
        )
        silent = sa.select(workers.c.id).where(workers.c.seen_at < bind("before"))
        silent = silent.with_for_update(skip_locked=True)
        self.drop_silent = Statement(sa.delete(workers).where(workers.c.id.in_(silent)), "before")
        self.drop = Statement(sa.delete(workers).where(workers.c.id == bind("id")), "id")


class Queues:
    """The role `ports.Queues`."""

    def __init__(self, database: Database, sql: ReadStatements, parts: Parts) -> None:
        self._db = database
        self._sql = sql
        self._worker_sql = WorkerStatements(database.dialect)
        self._graphs = parts.graphs
        self._queues = parts.queues

    @reads_stored
    def define_queues(self, queues: Sequence[Queue]) -> None:
        def work(tx: StoreTransaction) -> None:
            if self._queues.define(tx, queues):
                self._graphs.raise_control(tx)

        self._db.write(work, Write.DEFINE_QUEUES)

    @reads_stored
    def check_queues(self, names: Sequence[str] | None) -> None:
        with self._db.read() as tx:
            self._queues.check_known(tx, names)

    @reads_stored
    def queues(self) -> list[QueueStatus]:
        with self._db.read() as tx:
            return self._queues.statuses(tx)

    def record_worker(self, worker: WorkerRow) -> None:
        queues = None if worker.queues is None else encode(list(worker.queues), "queues")
        times = (to_micros(worker.started_at), to_micros(worker.seen_at))
        lists = (encode(list(worker.kinds), "kinds"), encode(list(worker.labels), "labels"))
        self._db.write(
            lambda tx: self._worker_sql.put(
                tx, worker.id, worker.host, worker.pid, worker.version, queues, *times, *lists
            ),
            Write.RECORD_WORKER,
        )

    def forget_worker(self, worker_id: str) -> None:
        self._db.write(lambda tx: self._worker_sql.drop(tx, worker_id), Write.FORGET_WORKER)

    def forget_silent_workers(self, silent: int) -> None:
        self._db.write(
            lambda tx: self._worker_sql.drop_silent(tx, tx.now - silent),
            Write.FORGET_SILENT_WORKERS,
        )

    @reads_stored
    def workers(self) -> list[WorkerRow]:
        with self._db.read() as tx:
            rows = self._sql.workers(tx).fetchall()
        return [worker_of(row) for row in rows]

    @reads_stored
    def status(self) -> EngineStatus:
        with self._db.read() as tx:
            sql = self._sql
            return EngineStatus(
                store=self._db.dialect.label(),
                schema_version=schema_version_of(sql.meta(tx).fetchall()),
                runs=dict(sql.runs_by_status(tx).fetchall()),
                open_steps=int(sql.open_steps(tx).fetchone()[0]),
                running_steps=sql.running(tx).fetchone()[0],
                queues=self._queues.statuses(tx),
                workers=len(sql.workers(tx).fetchall()),
            )
