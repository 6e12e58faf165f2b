"""One SQLite connection of a projection, and what a user's statements may do on it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from stepwell.engine.crash_points import Write, reach
from stepwell.engine.errors import InvalidInput, StepwellError, StoreError, StoreGone, one_line
from stepwell.engine.forks import ForkAware, Inside, Lineage
from stepwell.engine.ports import Parameters
from stepwell.stores.artifacts.file import make_folder
from stepwell.stores.projections.rules import check_text, dictionaries, first_line
from stepwell.stores.sqlite_file import SqliteFile, keep

# The driver caches statements by their text, and does not authorize a cached one again: these
# marks keep a user's statement from ever having the same text.
_BEGIN = "BEGIN IMMEDIATE /* stepwell */"
_READ_ONLY = "PRAGMA query_only = 1 /* stepwell */"
_WRITABLE = "PRAGMA query_only = 0 /* stepwell */"

# Primary result codes that are about the database and not the statement.
_OF_THE_STORE = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOTADB,
    }
)
# Refused in users' statements, because they would end the transaction or leave the database.
_REFUSED = {
    sqlite3.SQLITE_TRANSACTION: "every call is a transaction already; use once() for several",
    sqlite3.SQLITE_SAVEPOINT: "every call is a transaction already; savepoints are not allowed",
    sqlite3.SQLITE_ATTACH: "a projection is one database; others cannot be attached",
    sqlite3.SQLITE_DETACH: "a projection is one database; there is nothing to detach",
}
# A pragma may be read; only these may be set.
_PRAGMAS = frozenset(
    {
        "application_id",
        "defer_foreign_keys",
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
        "user_version",
    }
)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a projection; `path` None means in the memory of this process."""

    path: Path | None
    synchronous: str
    busy_timeout: timedelta

    def __str__(self) -> str:
        return f"projection {self.path or 'in memory'}"


class SqliteSession(ForkAware):
    """A connection that one thread uses at a time, opened on first use.

    It is closed before a fork; if it is in use or in memory, the child refuses to use it.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._file = None if place.path is None else SqliteFile(place.path, str(place))
        self._refusal: str | None = None
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._users = False
        self._denied: str | None = None
        Lineage.register(self)

    def refuse_nesting(self) -> None:
        if self._owner == threading.get_ident():
            raise InvalidInput(
                f"{self._place}: inside once(), use the transaction that apply is called with"
            )

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        self.refuse_nesting()
        seconds = self._place.busy_timeout.total_seconds()
        lock = self._lock
        if not lock.acquire(timeout=seconds):
            raise StoreError(f"{self._place}: another thread holds it for over {seconds:g} s")
        self._owner = threading.get_ident()
        try:
            with Inside(self):
                if self._closed:
                    raise StoreError(f"{self._place}: is closed")
                self.check_here()
                if self._file is not None:
                    self._file.check()
                if self._connection is None:
                    self._connection = self._open()
                yield self._connection
        except StoreGone:
            self._leave()
            raise
        finally:
            self._owner = None
            lock.release()
            if self._closed:
                self.close()

    def check_here(self) -> None:
        """Raises StoreError in a forked child that may not use it."""
        if self._refusal is not None:
            raise StoreError(f"{self._place}: {self._refusal}")

    def _leave(self) -> None:
        """Give up a file that is no longer in place."""
        connection, self._connection = self._connection, None
        if self._file is not None and connection is not None:
            self._file.leave([connection])

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """One write transaction; committed at the end, rolled back on any exception."""
        with self.connected() as connection:
            reach(Write.PROJECTION.before_begin)
            with self._failing():
                connection.execute(_BEGIN)
            transaction = SqlTransaction(self, connection)
            try:
                yield transaction
                transaction.check()
                reach(Write.PROJECTION.before_commit)
                if self._file is not None:
                    self._file.check()
                with self.statement(connection, "COMMIT", ours=True):
                    connection.commit()
                reach(Write.PROJECTION.after_commit)
            except BaseException:
                self._roll_back(connection)
                raise
            finally:
                transaction.ended = True
        reach(Write.PROJECTION.before_acknowledgement)

    @contextmanager
    def statement(
        self, connection: sqlite3.Connection, sql: str, *, reads: bool = False, ours: bool = False
    ) -> Iterator[None]:
        """A context for a user's statement: restricts what it may do, and sorts its errors."""
        check_text(sql)
        self._denied = None
        if reads:
            connection.execute(_READ_ONLY)
        self._users = not ours
        try:
            yield
        # The driver raises the last two for numbers and text that SQLite cannot store.
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
            raise self._blame(error, sql, reads) from error
        finally:
            self._users = False
            if reads:
                connection.execute(_WRITABLE)

    def close(self) -> None:
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                self._shut()
            finally:
                self._lock.release()

    def _shut(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None and self._file is not None:
            self._file.close([connection])
        elif connection is not None:
            connection.close()

    def before_fork(self, in_use: bool) -> None:
        """See `forks.ForkAware`."""
        if self._file is not None and not in_use:
            self._shut()

    def after_fork(self, in_use: bool) -> None:
        """See `forks.ForkAware`."""
        connection, self._connection = self._connection, None
        left = [] if connection is None else [connection]
        if self._file is None:
            for each in left:
                keep(each)
            self._refusal = "a fork has no part in its parent's memory; use a file"
        elif left or in_use:
            self._refusal = self._file.leave_to_parent(left)
        self._lock, self._owner = threading.Lock(), None

    def _open(self) -> sqlite3.Connection:
        options: dict[str, Any] = {
            "timeout": self._place.busy_timeout.total_seconds(),
            "isolation_level": None,
            "check_same_thread": False,
        }
        file = self._file
        with self._failing():
            connection: sqlite3.Connection
            if file is None:
                connection = sqlite3.connect(":memory:", **options)
            else:
                if not file.was_opened:
                    make_folder(file.path.parent)
                connection = file.connect(self._enter_wal, **options)
            try:
                connection.execute(f"PRAGMA synchronous = {self._place.synchronous}")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.set_authorizer(self._authorize)
            except BaseException:
                connection.close()
                raise
        return connection

    def _enter_wal(self, connection: sqlite3.Connection) -> None:
        """Switch to WAL; processes that create the file together race, and SQLite does not wait."""
        for last in (*[False] * 99, True):
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if last or _primary(error) != sqlite3.SQLITE_BUSY:
                    raise
                # Waits, within the busy timeout, for the process that is switching.
                connection.execute(_BEGIN)
                connection.rollback()
                continue
            if mode != "wal":
                raise StoreError(f"{self._place}: this file system cannot do write-ahead logging")
            return

    def _authorize(self, action: int, first: str | None, value: str | None, *_: object) -> int:
        if not self._users:
            return sqlite3.SQLITE_OK
        self._denied = _REFUSED.get(action)
        if action == sqlite3.SQLITE_PRAGMA and value is not None and first not in _PRAGMAS:
            self._denied = f"PRAGMA {first} cannot be set here"
        return sqlite3.SQLITE_DENY if self._denied else sqlite3.SQLITE_OK

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        if self._refusal is not None:
            return
        try:
            connection.rollback()
        except sqlite3.Error:
            # Without its connection the transaction cannot be committed; the next call reopens.
            self._shut()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """A context for our own statements: any error is a StoreError."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._place}: {one_line(error)}") from error
        except OSError as error:
            raise StoreError(f"{self._place}: {error.strerror}") from error

    def _blame(self, error: Exception, sql: str, reads: bool) -> StepwellError:
        line = first_line(sql)
        if self._denied:
            return InvalidInput(f"{self._place}: {self._denied}: {line}")
        code = getattr(error, "sqlite_errorcode", None)
        if reads and code == sqlite3.SQLITE_READONLY:
            return InvalidInput(f"{self._place}: query() only reads; use execute(): {line}")
        if _primary(error) in _OF_THE_STORE:
            return StoreError(f"{self._place}: {one_line(error)}")
        return InvalidInput(f"{self._place}: {one_line(error)}: {line}")


class SqlTransaction:
    """The transaction that `once` passes to `apply`; valid until that returns, in its thread."""

    def __init__(self, session: SqliteSession, connection: sqlite3.Connection) -> None:
        self._session = session
        self._connection = connection
        self._thread = threading.get_ident()
        self._broken: StepwellError | None = None
        self.ended = False

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        with self._watched():
            before = self._connection.total_changes
            with self._session.statement(self._connection, sql):
                cursor = self._connection.execute(sql, parameters)
                cursor.fetchall()
            if self._connection.total_changes == before:
                return 0
            if cursor.rowcount >= 0:
                return cursor.rowcount
            # The driver does not count rows of a statement that begins with WITH or a comment.
            changed: int = self._connection.execute("SELECT changes()").fetchone()[0]
            return changed

    def query(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        with self._watched():
            return read(self._session, self._connection, sql, parameters)

    def check(self) -> None:
        """Raises if a statement has rolled everything back (INSERT OR ROLLBACK, …)."""
        self._session.check_here()
        if self._broken is not None:
            raise self._broken

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if self.ended or threading.get_ident() != self._thread:
            raise InvalidInput("a transaction can be used only inside apply, in its own thread")
        self.check()
        try:
            yield
        except StepwellError as error:
            if not self._connection.in_transaction:
                self._broken = error
            raise


def read(
    session: SqliteSession, connection: sqlite3.Connection, sql: str, parameters: Parameters
) -> list[dict[str, Any]]:
    """Run a user's read-only statement; returns its rows, whose columns need distinct names."""
    with session.statement(connection, sql, reads=True):
        cursor = connection.execute(sql, parameters)
        rows = cursor.fetchall()
    return dictionaries(sql, cursor.description, rows)


def _primary(error: Exception) -> int:
    """SQLite's primary result code, or 0 for an error of the driver."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
