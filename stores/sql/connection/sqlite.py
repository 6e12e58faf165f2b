"""SQLite: one file, nothing to start. Or one in memory, for tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sqlalchemy_sqlite

from stepwell.engine.clock import Clock, pause
from stepwell.engine.errors import CorruptData, StoreError, one_line
from stepwell.stores.sql.connection.statements import bind
from stepwell.stores.sql.schema import tables
from stepwell.stores.sql.schema.sqlite_shape import fingerprint_of, shape_of
from stepwell.stores.sqlite_file import SqliteFile, keep

BUSY_TIMEOUT = 10.0
# How soon a writer looks again at a lock of another process: after an eighth of the time that it
# has waited, within these bounds, in seconds. A look costs 3 µs. SQLite itself would sleep for 1 ms
# at first, longer than most transactions, and for 100 ms later on.
SOON, LATE = 0.000_1, 0.001
# The write-ahead log is folded back after this many pages, without blocking readers (PASSIVE).
CHECKPOINT_PAGES = 2_000

_ADVICE = {
    sqlite3.SQLITE_READONLY: (
        "it is read-only; check the permissions of the file, its -wal and -shm, and its folder"
    ),
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the folder exists and is writable",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database; name another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore a backup",
    sqlite3.SQLITE_FULL: "the disk is full; nothing of this was stored",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_BUSY: "another process kept it locked for too long",
    sqlite3.SQLITE_LOCKED: "it is locked",
    sqlite3.SQLITE_PERM: "access was denied",
    sqlite3.SQLITE_CONSTRAINT: (
        "what is in it does not go with a new row; look at it with: stepwell verify"
    ),
}

# SQLITE_ERROR is that of text that is neither JSON nor UTF-8, too.
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DAMAGE = {*_BROKEN, sqlite3.SQLITE_ERROR}


# How values of each type are stored.
_KINDS: Mapping[type, str] = {
    sa.BigInteger: "'integer'",
    sa.Float: "'real', 'integer'",
    sa.Text: "'text'",
    sa.LargeBinary: "'blob'",
}


class SqliteDialect:
    """A database file, or an in-memory database with `path=None`."""

    ddl: Mapping[str, str] = MappingProxyType(
        {
            "key": "INTEGER",
            "identity": "INTEGER PRIMARY KEY",
            "blob": "BLOB",
            "clustered": " WITHOUT ROWID",
            "ordered": "",
        }
    )
    functions: Mapping[str, str] = MappingProxyType({"each": "json_each", "json": ""})
    migrates_itself = True
    concurrent = False
    in_process = True
    pipelined = False
    changes_in_with = False
    driver_errors: type[Exception] = sqlite3.Error

    def __init__(self, path: Path | None, *, clock: Clock, durability: str = "full") -> None:
        self.sqlalchemy: Any = sqlalchemy_sqlite.dialect(paramstyle="qmark")
        self._path = path
        self._file = None if path is None else SqliteFile(path, f"store {self.label()}")
        self._clock = clock
        self._synchronous = "FULL" if durability == "full" else "NORMAL"
        # How many writes of this process were news to others, its own threads too.
        self.news = 0

    @property
    def shares_connection(self) -> bool:
        return self._path is None

    @property
    def closes_for_forks(self) -> bool:
        return self._path is not None

    def rows(self, parameter: str, **columns: type[sa.types.TypeEngine[Any]]) -> Any:
        source = sa.func.json_each(bind(parameter)).table_valued("value", name="given")
        return sa.select(
            *(
                source.c.value.op("->>")(sa.literal_column(str(index))).label(name)
                for index, name in enumerate(columns)
            )
        ).subquery("input")

    def scalars(self, parameter: str) -> Any:
        source = sa.func.json_each(bind(parameter)).table_valued("value")
        return sa.select(source.c.value)

    texts = scalars

    def is_one_of(self, column: sa.ColumnElement[Any], parameter: str) -> Any:
        # `IN` would fill a temporary table each time.
        end: sa.ColumnElement[str] = sa.literal_column("char(10)", sa.Text)
        listed = sa.func.instr(bind(parameter), end + column + end)
        return listed > sa.literal_column("0")

    def name_list(self, names: Sequence[str]) -> str:
        return "\n" + "\n".join(names) + "\n"

    def insert(self, table: sa.Table) -> Any:
        return sqlalchemy_sqlite.insert(table)

    def inserted(self, parameter: str, table: sa.Table, columns: Sequence[str]) -> None:
        """The driver's executemany is as fast as it gets."""

    def connect(self, *, readonly: bool) -> sqlite3.Connection:
        try:
            return self._connect(readonly)
        except sqlite3.Error as error:
            raise self.translate(error) from None
        except UnicodeDecodeError:
            # The driver cannot even say what is wrong, as SQLite quotes what it has read.
            raise CorruptData(
                f"store {self.label()}: it is damaged; restore a backup (its schema is not text)"
            ) from None

    def _connect(self, readonly: bool) -> sqlite3.Connection:
        # The file is opened through SQLite only: any other open and close of it in this process
        # would drop SQLite's locks.
        options: dict[str, Any] = {
            "timeout": BUSY_TIMEOUT,
            "isolation_level": None,
            "check_same_thread": False,
            "cached_statements": 256,
        }
        connection: sqlite3.Connection
        if self._file is None:
            connection = sqlite3.connect(":memory:", **options)
        else:
            connection = self._file.connect(self._enter_wal, **options)
        try:
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute("PRAGMA cache_size=-16000")
            if readonly and self._path is not None:
                connection.execute("PRAGMA query_only=ON")
            elif not readonly:
                connection.execute("PRAGMA busy_timeout=0")  # see `_patiently`
        except BaseException:
            connection.close()
            raise
        return connection

    def _enter_wal(self, connection: sqlite3.Connection) -> None:
        """Processes that make the file together race for this; SQLite does not wait there."""
        for last in (*[False] * 99, True):
            try:
                tables = self.tables(connection)
                if tables and "meta" not in tables:
                    return  # somebody else's database, which stays as it is: it will be refused
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            except sqlite3.OperationalError as error:
                if last or not _is_busy(error):
                    raise
                # Waits, with the busy timeout, for the one that is switching.
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
                continue
            if mode != "wal":
                raise StoreError(
                    f"store {self.label()}: its file system cannot do write-ahead logging; "
                    "put it on a local disk"
                )
            return

    def cursor(self, connection: Any) -> Any:
        return connection.cursor()

    def was_lost(self, cursor: Any) -> bool:  # noqa: ARG002  # there is nothing in between
        return False

    def begin(self, cursor: Any) -> int:
        _patiently(cursor, "BEGIN IMMEDIATE")
        # One machine, one clock: the database's is the process's.
        return self._clock.micros()

    def begin_read(self, cursor: Any) -> int:
        if self._path is not None:
            cursor.execute("BEGIN")
        return self._clock.micros()

    def commit(self, cursor: Any, *, news: int) -> None:
        cursor.execute("COMMIT")
        self.news += news

    def translate(self, error: Exception) -> Exception:
        code = getattr(error, "sqlite_errorcode", None)
        advice = _ADVICE.get(code & 0xFF) if code else None
        # Trying again does not help where the file itself is damaged.
        kind = CorruptData if code and code & 0xFF in _BROKEN else StoreError
        return kind(f"store {self.label()}: {advice or 'failed'} ({one_line(error)})")

    def is_data_error(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.IntegrityError) or self.is_unfit(error)

    def is_unfit(self, error: Exception) -> bool:
        return isinstance(error, (sqlite3.DataError, sqlite3.InterfaceError))

    def watch(self, version: Callable[[], int]) -> SqliteWatch:
        return SqliteWatch(
            version, lambda: self.news, lambda: 0 if self._file is None else self._file.times_left
        )

    def connection_version(self, connection: Any) -> int:
        return int(_patiently(connection, "PRAGMA data_version").fetchone()[0])

    def is_open(self, connection: Any) -> bool:  # noqa: ARG002  # see `check_in_place`
        return True

    def check_in_place(self) -> None:
        if self._file is not None:
            self._file.check()

    def is_in_place(self) -> bool:
        return self._file is None or self._file.is_in_place

    def close(self, connections: Sequence[Any]) -> None:
        if self._file is not None:
            self._file.close(connections)
            return
        for connection in connections:
            connection.close()

    def leave(self, connections: Sequence[Any]) -> None:
        if self._file is not None:
            self._file.leave(connections)

    def inherit(self, connections: Sequence[Any], in_use: bool) -> str | None:
        if self._file is None:
            for connection in connections:
                keep(connection)
            return "a fork has no part in its parent's memory; use a file, or connect() here"
        if not in_use and not connections:
            return None
        return self._file.leave_to_parent(connections)

    def is_passing(self, error: Exception) -> bool:  # noqa: ARG002  # one writer at a time
        return False

    def lock_migrations(self, cursor: Any) -> None:
        """BEGIN IMMEDIATE has done it."""

    def is_damage(self, error: Exception) -> bool:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return code in _DAMAGE

    def damages(self, cursor: Any, most: int) -> list[str]:
        rows = cursor.execute(f"PRAGMA integrity_check({most})").fetchall()
        # Further lines may be in one row.
        lines = [line for (text,) in rows for line in text.splitlines() if line != "ok"]
        for table in tables.METADATA.sorted_tables:
            lines += self._strangers(cursor, table)
        return lines[:most]

    def _strangers(self, cursor: Any, table: sa.Table) -> Iterator[str]:
        """Values of another type than their column's, which SQLite would store as they are."""
        sums = ", ".join(
            f"sum(typeof({column.name}) NOT IN ({_KINDS[type(column.type)]}, 'null'))"
            for column in table.columns
        )
        counts = cursor.execute(f'SELECT {sums} FROM "{table.name}"').fetchone()
        for column, count in zip(table.columns, counts, strict=True):
            if count:
                yield f"{count} values of another type in {table.name}.{column.name}"

    def stream(self, cursor: Any, sql: str) -> Iterator[Sequence[Any]]:
        with closing(cursor.connection.cursor()) as reading:
            yield from reading.execute(sql)

    def tables(self, cursor: Any) -> list[str]:
        rows = cursor.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        return [row[0] for row in rows.fetchall()]

    def shape(self, cursor: Any) -> frozenset[str]:
        return shape_of(cursor)

    def fingerprint(self, cursor: Any) -> str:
        return fingerprint_of(cursor)

    def label(self) -> str:
        return "memory://" if self._path is None else f"sqlite:///{self._path}"


def _patiently(writer: Any, sql: str) -> Any:
    """Execute what other processes may keep waiting, for as long as BUSY_TIMEOUT."""
    waited = 0.0
    while True:
        try:
            return writer.execute(sql)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or waited >= BUSY_TIMEOUT:
                raise
        longer = min(max(SOON, waited / 8), LATE)
        pause(longer)
        waited += longer


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY


class SqliteWatch:
    """Notices commits of other processes by the writer's data version.

    That does not change with the writer's own commits, which all of this process share: of those
    it is told by their count, like the hints of a server, with its own among them.
    """

    def __init__(
        self, version: Callable[[], int], news: Callable[[], int], times_left: Callable[[], int]
    ) -> None:
        self._version = version
        self._news = news
        self._times_left = times_left
        self._left = times_left()
        self._seen = version()
        self._known = news()

    def changed(self) -> bool:
        """Whether somebody else committed since the last call."""
        version, news = self._version(), self._news()
        changed = version != self._seen or news != self._known
        self._seen, self._known = version, news
        return changed

    def hinted(self) -> None:
        """One commit more is no news."""
        self._known += 1

    def left(self) -> bool:
        """Whether the file was left since the last call."""
        before, self._left = self._left, self._times_left()
        return before != self._left

    def close(self) -> None:
        """Nothing to give back."""
