"""Users' statements on PostgreSQL, alone and inside `once`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from stepwell.engine.errors import InvalidInput, StepwellError, StoreError, one_line
from stepwell.engine.ports import Parameters
from stepwell.stores.projections.postgres_pool import blame
from stepwell.stores.projections.postgres_sql import Prepared, prepare
from stepwell.stores.projections.rules import dictionaries

Connection = psycopg.Connection[Any]

# Commands that count the rows they changed.
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})

_SAVE = b"SAVEPOINT stepwell"
_KEEP = b"RELEASE SAVEPOINT stepwell"
_UNDO = b"ROLLBACK TO SAVEPOINT stepwell"
_READS = b"SET LOCAL transaction_read_only = on"


class PostgresStatements:
    """Runs users' statements on a projection, which `place` names in errors."""

    def __init__(self, place: str) -> None:
        self.place = place

    def execute(
        self,
        connection: Connection,
        prepared: Prepared,
        before: Sequence[bytes] = (),
    ) -> int:
        """Run one statement after our own `before`, in one round trip; returns rows changed."""
        with self._statement(prepared.sql):
            return _changed(_run(connection, prepared, before))

    def execute_many(self, connection: Connection, rows: Sequence[Prepared]) -> int:
        """Run one statement for every row, of which there is at least one; returns rows changed."""
        with self._statement(rows[0].sql):
            cursor = psycopg.RawCursor(connection)
            cursor.executemany(rows[0].text, [row.values or () for row in rows])
            return _changed(cursor)

    def query(
        self,
        connection: Connection,
        prepared: Prepared,
        before: Sequence[bytes] = (),
    ) -> list[dict[str, Any]]:
        """Run one statement in a read-only transaction; returns its rows."""
        with self._statement(prepared.sql, reads=True):
            cursor = _run(connection, prepared, before)
            described = cursor.description
            return dictionaries(prepared.sql, described, cursor.fetchall() if described else ())

    def run(self, connection: Connection, sql: str) -> psycopg.Cursor[Any]:
        """Run a statement of our own. Any error is a StoreError."""
        try:
            return connection.execute(sql.encode())
        except psycopg.Error as error:
            raise StoreError(f"{self.place}: {one_line(error)}") from error

    def commit(self, connection: Connection) -> None:
        """Commit. A violation of a deferred constraint is InvalidInput."""
        with self._statement("COMMIT"):
            try:
                connection.execute(b"COMMIT")
            except psycopg.Error as error:
                if error.sqlstate is None:
                    raise StoreError(
                        f"{self.place}: the connection was lost during the commit, which may have "
                        f"happened; once() can be called again: {one_line(error)}"
                    ) from error
                raise

    @contextmanager
    def _statement(self, sql: str, reads: bool = False) -> Iterator[None]:
        try:
            yield
        # The driver raises the last two for values that it cannot send.
        except (psycopg.Error, OverflowError, UnicodeError) as error:
            raise blame(error, sql, self.place, reads) from error


class PostgresTransaction:
    """The transaction that `once` passes to `apply`; valid until that returns, in its thread only.

    Each statement has a savepoint, because `apply` may go on after a statement that failed.
    """

    def __init__(self, statements: PostgresStatements, connection: Connection) -> None:
        self._statements = statements
        self._connection = connection
        self._thread = threading.get_ident()
        self._before: tuple[bytes, ...] = (_SAVE,)
        self._broken: StepwellError | None = None
        self.ended = False

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        with self._watched():
            prepared = prepare(sql, parameters)
            before, self._before = self._before, (_UNDO,)
            changed = self._statements.execute(self._connection, prepared, before)
            self._before = (_KEEP, _SAVE)
            return changed

    def query(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        with self._watched():
            prepared = prepare(sql, parameters)
            before, self._before = self._before, (_UNDO,)
            return self._statements.query(self._connection, prepared, (*before, _READS))

    def check(self) -> None:
        """Prepare the commit; raises if the connection was lost."""
        if self._broken is not None:
            raise self._broken
        if self._before == (_UNDO,):
            self._statements.run(self._connection, _UNDO.decode())

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if self.ended or threading.get_ident() != self._thread:
            raise InvalidInput("a transaction can be used only inside apply, in its own thread")
        if self._broken is not None:
            raise self._broken
        try:
            yield
        except StepwellError as error:
            if self._connection.closed:
                self._broken = error
            raise


def _run(
    connection: Connection, prepared: Prepared, before: Sequence[bytes]
) -> psycopg.RawCursor[Any]:
    cursor = psycopg.RawCursor(connection)
    # In a pipeline the server accepts only single statements and refuses "a; COMMIT; b".
    with connection.pipeline():
        for own in before:
            connection.execute(own)
        cursor.execute(prepared.text, prepared.values)
    return cursor


def _changed(cursor: psycopg.Cursor[Any]) -> int:
    command = (cursor.statusmessage or "").partition(" ")[0]
    return max(cursor.rowcount, 0) if command in _CHANGES else 0
