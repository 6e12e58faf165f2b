"""The database of a simulated world, in memory, and the access of each process to it.

Each process has its own store with its own caches over the same connection; like SQLite's,
transactions never overlap. When one begins or ends, other processes may run, and faults may happen:
an error before a statement, an error after the commit, a crash.
"""

from __future__ import annotations

import copy
import sqlite3
from typing import Any, Protocol

from stepwell.engine.clock import Clock, VirtualClock
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.connection.statements import Statement, Statements
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.simulator.audit import TABLE, TRIGGERS, AuditRow
from stepwell.testing.simulator.fibers import Fiber, FiberLock, Fibers


class Gate(Protocol):
    """Is called at each point of a process's access to the database; may raise."""

    def before_begin(self) -> None: ...
    def before_statement(self) -> None: ...
    def before_commit(self) -> None: ...
    def committed(self, rows: list[AuditRow]) -> None: ...
    def after_commit(self) -> None: ...
    def commits_of_others(self) -> int: ...


class FiberSignal:
    """A signal on which one fiber waits for another."""

    def __init__(self, fibers: Fibers) -> None:
        self._fibers = fibers
        self._come = False
        self._waiting: Fiber | None = None

    def get(self, block: bool, timeout: float, /) -> None:  # noqa: ARG002  # as a queue's
        """Let other fibers run until the signal comes."""
        self._waiting = self._fibers.current
        try:
            while not self._come:
                self._fibers.block()
        finally:
            self._waiting, self._come = None, False

    def put(self, item: None, /) -> None:  # noqa: ARG002
        """Wake the fiber that waits, or will wait."""
        self._come = True
        if self._waiting is not None:
            self._fibers.wake(self._waiting)


def disk_error(code: int, text: str) -> sqlite3.OperationalError:
    """An error like those of the driver."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


class Blank:
    """An empty database and an unused store; worlds are copied from them."""

    def __init__(self) -> None:
        blank = _BlankDialect(None, clock=VirtualClock())
        opened = SqlRunStore.open(blank)
        for statement in (TABLE, *TRIGGERS):
            blank.connection.execute(statement)
        self._image = blank.connection.serialize()
        opened.close()
        self._dialect = SqliteDialect(None, clock=VirtualClock())
        self._store = SqlRunStore(self._dialect)
        self._kept: dict[int, Any] = {}
        _find_statements(self._store, self._kept, set())

    def connection(self) -> sqlite3.Connection:
        """A new empty database."""
        connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.deserialize(self._image)
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def store(
        self, connection: sqlite3.Connection, clock: Clock, gate: Gate, fibers: Fibers
    ) -> SqlRunStore:
        """The store of a new process. Shares compiled statements; everything else is new."""
        dialect = _ProcessDialect(connection, clock, gate)
        database = _ProcessDatabase(dialect, fibers)
        known = {
            **self._kept,
            id(self._dialect): dialect,
            id(self._store.database): database,
        }
        store = copy.deepcopy(self._store, known)
        database.open()
        return store


def _find_statements(part: Any, found: dict[int, Any], seen: set[int]) -> None:
    """All statements of a store, which are compiled only once."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, (Statement, Statements)):
        found[id(part)] = part
        return
    for value in getattr(part, "__dict__", {}).values():
        if type(value).__module__.startswith("stepwell.stores"):
            _find_statements(value, found, seen)


class _Connection:
    """The shared connection, as seen by one process."""

    def __init__(self, connection: sqlite3.Connection, gate: Gate) -> None:
        self._connection = connection
        self._gate = gate

    def cursor(self) -> _Cursor:
        cursor = self._connection.cursor(_Cursor)
        cursor.gate = self._gate
        return cursor

    def close(self) -> None:
        """The database lives as long as its world."""


class _Cursor(sqlite3.Cursor):
    """Calls the gate before each statement."""

    gate: Gate

    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        if sql == "COMMIT":
            self._commit()
        elif sql.startswith("ROLLBACK"):
            super().execute(sql)
        else:
            if sql.startswith("BEGIN"):
                self.gate.before_begin()
            else:
                self.gate.before_statement()
            super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, rows: Any, /) -> _Cursor:
        self.gate.before_statement()
        super().executemany(sql, rows)
        return self

    def _commit(self) -> None:
        self.gate.before_commit()
        side = self.connection.cursor()
        rows = side.execute("SELECT * FROM simulator_audit ORDER BY seq").fetchall()
        if rows:
            side.execute("DELETE FROM simulator_audit")
        super().execute("COMMIT")
        self.gate.committed(rows)
        self.gate.after_commit()


class _BlankDialect(SqliteDialect):
    """Keeps its connection, so that the database behind it can be copied."""

    connection: sqlite3.Connection

    def connect(self, *, readonly: bool) -> Any:
        self.connection = super().connect(readonly=readonly)
        return self.connection


class _ProcessDatabase(Database):
    """The transactions of one process, whose threads are fibers."""

    def __init__(self, dialect: _ProcessDialect, fibers: Fibers) -> None:
        super().__init__(dialect)
        turn: Any = FiberLock(fibers)
        self._turn = turn
        self.queue.make_wakeup = lambda: FiberSignal(fibers)


class _ProcessDialect(SqliteDialect):
    """SQLite for one process of a world."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock, gate: Gate) -> None:
        super().__init__(None, clock=clock)
        self._shared = connection
        self._gate = gate

    def connect(self, *, readonly: bool) -> Any:  # noqa: ARG002  # as the base has it
        return _Connection(self._shared, self._gate)

    def begin_read(self, cursor: Any) -> int:
        self._gate.before_begin()
        return super().begin_read(cursor)

    def connection_version(self, connection: Any) -> int:  # noqa: ARG002  # one for all
        return self._gate.commits_of_others()
