"""Checkpoints in the store's database: a row for the head, and one for each operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from stepwell.engine.checkpoints.text import Document, Pieces, damaged, read_json, read_object
from stepwell.engine.crash_points import Write
from stepwell.engine.errors import LeaseLost
from stepwell.engine.exchange import ClaimedStep
from stepwell.stores.checkpoints.base import (
    PRESENT,
    OpenedCheckpointer,
    Place,
    assemble,
    refuse_newer,
)
from stepwell.stores.sql.connection.corruption import refusal
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import Statement, Statements, StoreTransaction

T = TypeVar("T")


class CheckpointStatements(Statements):
    """The statements of checkpoints."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        for_share, for_update = (" FOR SHARE", " FOR UPDATE") if dialect.concurrent else ("", "")
        self.held = _text(
            "SELECT 1 FROM steps WHERE id = :id AND token = :token AND status = 'running'"
            + for_share,
            "id",
            "token",
        )
        head = (
            "SELECT head, pause_requested, pause_reason FROM checkpoints WHERE execution_id = :id"
        )
        self.head = _text(head, "id")
        self.locked_head = _text(head + for_update, "id")
        self.operations = _text(
            "SELECT body FROM checkpoint_operations WHERE execution_id = :id ORDER BY seq", "id"
        )
        self.operation_texts = _text(
            "SELECT operation_id, body FROM checkpoint_operations "
            "WHERE execution_id = :id ORDER BY seq",
            "id",
        )
        put = (
            "INSERT INTO checkpoints (execution_id, head, pause_requested, pause_reason, "
            "updated_at) VALUES (:id, :head, {paused}, {reason}, :now) "
            "ON CONFLICT (execution_id) DO UPDATE SET head = excluded.head, "
        )
        self.put_head = _text(
            put.format(paused=":paused", reason=":reason")
            + "pause_requested = excluded.pause_requested, "
            "pause_reason = excluded.pause_reason, updated_at = excluded.updated_at",
            *("id", "head", "paused", "reason", "now"),
        )
        # Nothing comes back, and nothing is done, where another version stands.
        self.renew_head = _text(
            put.format(paused="0", reason="''") + "updated_at = excluded.updated_at "
            f"WHERE substr(checkpoints.head, 1, {len(PRESENT)}) = :present "
            "RETURNING pause_requested",
            *("id", "head", "now", "present"),
        )
        self.put_operation = _text(
            "INSERT INTO checkpoint_operations (execution_id, seq, operation_id, body) "
            "SELECT :id, coalesce(max(seq), 0) + 1, :operation, :body "
            "FROM checkpoint_operations WHERE execution_id = :id "
            "ON CONFLICT (execution_id, operation_id) DO UPDATE SET body = excluded.body",
            *("id", "operation", "body"),
        )
        self.drop_operations = _text(
            "DELETE FROM checkpoint_operations WHERE execution_id = :id", "id"
        )
        self.drop = _text("DELETE FROM checkpoints WHERE execution_id = :id", "id")


def _text(sql: str, *names: str) -> Statement:
    return Statement(sa.text(sql), *names)


class SqlCheckpointer(OpenedCheckpointer):
    """The checkpoints of a database. With a `fence` it writes only while that step is held.

    It does not own the database; `OwnSqlCheckpointer` does.
    """

    def __init__(
        self,
        database: Database,
        fence: ClaimedStep | None = None,
        statements: CheckpointStatements | None = None,
    ) -> None:
        super().__init__()
        self._database = database
        self._fence = fence
        self._sql = statements or CheckpointStatements(database.dialect)

    def _write(self, execution_id: str, work: Callable[[Place], T]) -> T:
        def in_transaction(tx: StoreTransaction) -> T:
            fence = self._fence
            if fence is not None and self._sql.held(tx, fence.key, fence.token).fetchone() is None:
                raise LeaseLost(
                    f"checkpoint of {execution_id!a:.120}: another worker holds step "
                    f"{fence.id!r} now, or it was canceled; nothing was stored"
                )
            return work(_Rows(tx, self._sql, execution_id, self._where(execution_id)))

        dialect = self._database.dialect
        try:
            return self._database.write(in_transaction, Write.CHECKPOINT)
        except dialect.driver_errors as error:
            raise refusal(dialect, error) from error

    def _read(self, execution_id: str) -> Document | None:
        with self._database.read() as tx:
            head = self._sql.head(tx, execution_id).fetchone()
            bodies = self._sql.operations(tx, execution_id).fetchall() if head else []
        return _document(head, bodies, self._where(execution_id))

    def _where(self, execution_id: str) -> str:
        return f"{self._database.dialect.label()}: checkpoint of {execution_id!a:.120}"


class OwnSqlCheckpointer(SqlCheckpointer):
    """… of a database that was opened for it."""

    def close(self) -> None:
        self._database.close()


class _Rows:
    """A checkpoint's rows, in a transaction that writes them."""

    def __init__(
        self, tx: StoreTransaction, sql: CheckpointStatements, execution_id: str, where: str
    ) -> None:
        self._tx = tx
        self._sql = sql
        self._id = execution_id
        self._where = where

    def read(self) -> Document | None:
        head = self._sql.locked_head(self._tx, self._id).fetchone()
        if head is None:
            return None
        bodies = self._sql.operations(self._tx, self._id).fetchall()
        return _document(head, bodies, self._where)

    def replace(self, pieces: Pieces) -> None:
        before = self._sql.locked_head(self._tx, self._id).fetchone()
        if before is not None:
            refuse_newer(read_object(before[0], self._where), self._where)
        paused = (int(pieces.pause_requested), pieces.pause_reason)
        self._sql.put_head(self._tx, self._id, pieces.head, *paused, self._tx.now)
        old = dict(self._sql.operation_texts(self._tx, self._id).fetchall()) if before else {}
        new = pieces.operations
        if [*old] != [*new][: len(old)]:  # some are gone, or in another order
            self._sql.drop_operations(self._tx, self._id)
            old = {}
        self._put({key: body for key, body in new.items() if old.get(key) != body})

    def append(self, pieces: Pieces) -> bool | None:
        renewed = self._sql.renew_head(self._tx, self._id, pieces.head, self._tx.now, PRESENT)
        row = renewed.fetchone()
        if row is None:
            return None
        self._put(pieces.operations)
        return bool(row[0])

    def remove(self) -> None:
        self._sql.drop(self._tx, self._id)

    def _put(self, operations: dict[str, str]) -> None:
        if operations:
            rows = [(self._id, key, body) for key, body in operations.items()]
            self._sql.put_operation.many(self._tx, rows)


def _document(head: Any, bodies: list[Any], where: str) -> Document | None:
    if head is None:
        return None
    operations = read_json(f"[{','.join(body for (body,) in bodies)}]", where)
    if len(operations) != len(bodies):
        raise damaged(where, "its operations run into each other")
    return assemble(read_object(head[0], where), operations, head[1], head[2])
