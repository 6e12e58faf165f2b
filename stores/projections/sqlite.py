"""Projections: the read models of packages, one SQLite database for each name.

Every write is one BEGIN IMMEDIATE transaction, so it waits for other writers instead of failing
half-way. Reads use a separate connection and never wait for a writer. An error in a user's
statement is InvalidInput, an error of the database StoreError.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.errors import InvalidInput, StoreError
from stepwell.engine.forks import ForkAware, Lineage
from stepwell.engine.ports import Parameters, Transaction
from stepwell.stores.projections.rules import (
    BUSY_TIMEOUT,
    Durability,
    call,
    check_durability,
    check_key,
    check_name,
)
from stepwell.stores.projections.sqlite_session import Place, SqliteSession, read

_SYNCHRONOUS = {"full": "FULL", "relaxed": "NORMAL"}
_ONCE_TABLE = """CREATE TABLE IF NOT EXISTS _stepwell_once (
    key TEXT PRIMARY KEY NOT NULL,
    applied_at INTEGER NOT NULL
)"""
_ONCE = "INSERT INTO _stepwell_once (key, applied_at) VALUES (?, ?) ON CONFLICT DO NOTHING"


class SqliteProjection:
    """One read model. Safe to use from many threads and processes; one write at a time.

    Connects on first use, separately in each process. With `path` None the database lives in
    memory until `close`, and only in the process that made it. `durability` "relaxed" can lose
    the last commits if the machine loses power; "full" loses none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        durability: Durability = "full",
        clock: Clock | None = None,
        busy_timeout: timedelta = BUSY_TIMEOUT,
    ) -> None:
        where = None if path is None else Path(os.path.abspath(path))
        self._arguments = (where, check_durability(durability), clock, busy_timeout)
        self._clock = clock or SystemClock()
        self._place = Place(where, _SYNCHRONOUS[durability], busy_timeout)
        self._sessions = SqliteSession(self._place), SqliteSession(self._place)
        self._closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        if self._place.path is None:
            raise InvalidInput(f"{self._place}: cannot go to another process; use a file")
        return SqliteProjection, self._arguments

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        with self._writer().transaction() as transaction:
            return transaction.execute(sql, parameters)

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        with self._writer().transaction() as transaction:
            return sum(transaction.execute(sql, row) for row in rows)

    def query(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        self._writer().refuse_nesting()
        with self._reader().connected() as connection:
            return read(self._reader(), connection, sql, parameters)

    def once(self, key: str, apply: Callable[[Transaction], object]) -> bool:
        check_key(key)
        with self._writer().transaction() as transaction:
            transaction.execute(_ONCE_TABLE)
            if not transaction.execute(_ONCE, (key, self._clock.micros())):
                return False
            call(apply, transaction)
        return True

    def close(self) -> None:
        """Close the connections; one that is in use closes when its user is done."""
        self._closed = True
        for session in self._sessions:
            session.close()

    def _writer(self) -> SqliteSession:
        if self._closed:
            raise StoreError(f"{self._place}: is closed")
        return self._sessions[0]

    def _reader(self) -> SqliteSession:
        # In memory, the only connection holds the data.
        return self._writer() if self._place.path is None else self._sessions[1]


class SqliteProjectionStore(ForkAware):
    """Projections as `root/<name>.db`; with `root` None, in memory."""

    def __init__(
        self,
        root: str | os.PathLike[str] | None,
        durability: Durability = "full",
        clock: Clock | None = None,
        busy_timeout: timedelta = BUSY_TIMEOUT,
    ) -> None:
        self.root = None if root is None else Path(os.path.abspath(root))
        self._settings = (check_durability(durability), clock, busy_timeout)
        self._lock = threading.Lock()
        self._projections: dict[str, SqliteProjection] = {}
        self._closed = self._inherited = False
        Lineage.register(self)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.root is None:
            raise InvalidInput("projections in memory cannot go to another process; use a folder")
        return SqliteProjectionStore, (self.root, *self._settings)

    def projection(self, name: str) -> SqliteProjection:
        check_name(name)
        with self._lock:
            if self._closed:
                raise StoreError(f"projection store {self.root or 'in memory'}: is closed")
            if self._inherited and self.root is None:
                raise StoreError(
                    "projection store in memory: a fork has no part in its parent's memory; use "
                    "a folder"
                )
            known = self._projections.get(name)
            if known is None:
                path = None if self.root is None else self.root / f"{name}.db"
                known = self._projections[name] = SqliteProjection(path, *self._settings)
            return known

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`."""
        self._lock, self._inherited = threading.Lock(), True

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for projection in self._projections.values():
                projection.close()
