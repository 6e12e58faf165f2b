"""Projections on PostgreSQL: one schema for each name. Loaded on first use.

A package's SQL works here as on SQLite if it uses only what both have:

- placeholders `?`, `?2` and `:name`; values None, int, float and str. (Features of PostgreSQL alone
  work as well. Write its operators with a question mark as `??`, `??|` and `??&`.)
- columns TEXT, BIGINT and DOUBLE PRECISION. INTEGER and REAL have 4 bytes here; truth values are
  BOOLEAN here and 0 or 1 on SQLite; bytes are BYTEA here and BLOB there.
- lower-case names without quotes; CREATE TABLE IF NOT EXISTS; ON CONFLICT … DO; RETURNING;
  WITH; window functions. Not: INSERT OR …, WITHOUT ROWID, PRAGMA, total(), json_each().
- rows of numbers and text: a numeric comes back as int or float. To keep every digit, cast it to
  TEXT.

As on SQLite, a projection has one writer at a time among all processes, so that what `apply` read
is still true when it writes; readers do not wait, except while a table is being altered.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from stepwell.engine.crash_points import Write, reach
from stepwell.engine.errors import InvalidInput, StoreError
from stepwell.engine.forks import ForkAware, Lineage
from stepwell.engine.ports import Parameters, Transaction
from stepwell.stores.projections.postgres_pool import Pool, Server
from stepwell.stores.projections.postgres_sql import prepare
from stepwell.stores.projections.postgres_transaction import PostgresStatements, PostgresTransaction
from stepwell.stores.projections.rules import (
    BUSY_TIMEOUT,
    Durability,
    call,
    check_durability,
    check_key,
    check_name,
)

_SYNCHRONOUS = {"full": "on", "relaxed": "off"}
# PostgreSQL silently truncates longer names.
_LONGEST_NAME = 63

_ONCE_TABLE = """CREATE TABLE IF NOT EXISTS _stepwell_once (
    key TEXT PRIMARY KEY NOT NULL,
    applied_at BIGINT NOT NULL
)"""
_ONCE = (
    "INSERT INTO _stepwell_once (key, applied_at) "
    "VALUES (?, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) ON CONFLICT DO NOTHING"
)


class PostgresProjection(ForkAware):
    """One read model: a schema. Safe to use from many threads and processes."""

    def __init__(self, server: Server, name: str, pool: Pool) -> None:
        self.schema = schema_of(name)
        self._server = server
        self._pool = pool
        self._statements = PostgresStatements(f"projection {name!r} at {server}")
        # Held by the one writer of this process.
        self._lock = threading.Lock()
        self._writer: int | None = None
        Lineage.register(self)
        digest = hashlib.sha256(f"stepwell projection {self.schema}".encode()).digest()
        lock = int.from_bytes(digest[:8], signed=True)
        milliseconds = max(1, round(server.busy_timeout.total_seconds() * 1000))
        settings = (
            f'SET LOCAL search_path = "{self.schema}"; '
            f"SET LOCAL synchronous_commit = {server.synchronous}; "
            f"SET LOCAL lock_timeout = {milliseconds}"
        )
        # Checking for the schema costs no extra round trip, so it is done every time: an operator
        # may drop it while workers run.
        there = f"SELECT to_regclass('\"{self.schema}\"._stepwell_once') IS NOT NULL"
        self._begin_read = f"BEGIN READ ONLY; {settings}; {there}"
        self._begin_write = f"BEGIN; {settings}; SELECT pg_advisory_xact_lock({lock}); {there}"

    def __reduce__(self) -> tuple[Any, ...]:
        raise InvalidInput(
            f"{self._statements.place}: cannot go to another process; "
            "hand over the projection store, and ask it for the projection there"
        )

    def execute(self, sql: str, parameters: Parameters = ()) -> int:
        prepared = prepare(sql, parameters)
        with self._writing() as connection:
            return self._statements.execute(connection, prepared)

    def execute_many(self, sql: str, rows: Sequence[Parameters]) -> int:
        prepared = [prepare(sql, row) for row in rows]
        if not prepared:
            return 0
        with self._writing() as connection:
            return self._statements.execute_many(connection, prepared)

    def query(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        self._refuse_nesting()
        prepared = prepare(sql, parameters)
        while True:
            with self._pool.begun(self._begin_read) as (connection, there):
                if there:
                    return self._statements.query(connection, prepared)
            with self._writing():
                pass  # creates the schema

    def once(self, key: str, apply: Callable[[Transaction], object]) -> bool:
        check_key(key)
        with self._writing() as connection:
            if not self._statements.execute(connection, prepare(_ONCE, (key,))):
                return False
            transaction = PostgresTransaction(self._statements, connection)
            try:
                call(apply, transaction)
                transaction.check()
            finally:
                transaction.ended = True
        return True

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`."""
        self._lock, self._writer = threading.Lock(), None

    def _refuse_nesting(self) -> None:
        if self._writer == threading.get_ident():
            raise InvalidInput(
                f"{self._statements.place}: inside once(), use the transaction that apply is "
                "called with"
            )

    @contextmanager
    def _writing(self) -> Iterator[psycopg.Connection[Any]]:
        """The only write transaction; committed at the end, rolled back on any exception."""
        self._refuse_nesting()
        lock = self._lock
        seconds = self._server.busy_timeout.total_seconds()
        # Wait here, and not while holding a connection that readers could use.
        if not lock.acquire(timeout=seconds):
            raise StoreError(
                f"{self._statements.place}: another thread holds it for over {seconds:g} s"
            )
        self._writer = threading.get_ident()
        try:
            reach(Write.PROJECTION.before_begin)
            with self._pool.begun(self._begin_write) as (connection, there):
                if not there:
                    self._make_schema(connection)
                yield connection
                reach(Write.PROJECTION.before_commit)
                self._statements.commit(connection)
                reach(Write.PROJECTION.after_commit)
        finally:
            self._writer = None
            lock.release()
        reach(Write.PROJECTION.before_acknowledgement)

    def _make_schema(self, connection: psycopg.Connection[Any]) -> None:
        # A role that may not create schemas can use one that was created for it.
        missing = f"SELECT 1 WHERE to_regnamespace('\"{self.schema}\"') IS NULL"
        if self._statements.run(connection, missing).rowcount:
            self._statements.run(connection, f'CREATE SCHEMA "{self.schema}"')
        self._statements.run(connection, _ONCE_TABLE)


class PostgresProjectionStore(ForkAware):
    """Projections as schemas `stepwell_<name>` of the database at a libpq URL.

    Connects on first use, separately in each process. `durability` "relaxed" can lose the last
    commits if the server crashes; "full" loses none. Raises InvalidInput for a URL that cannot be
    parsed.
    """

    def __init__(
        self,
        url: str,
        durability: Durability = "full",
        busy_timeout: timedelta = BUSY_TIMEOUT,
    ) -> None:
        self._arguments = (url, check_durability(durability), busy_timeout)
        self._server = Server(url, _SYNCHRONOUS[durability], busy_timeout)
        self._lock = threading.Lock()
        self._projections: dict[str, PostgresProjection] = {}
        self._pool = Pool(self._server)
        self._closed = False
        Lineage.register(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return PostgresProjectionStore, self._arguments

    def __repr__(self) -> str:
        return f"PostgresProjectionStore({self._server})"

    def projection(self, name: str) -> PostgresProjection:
        check_name(name)
        with self._lock:
            if self._closed:
                raise StoreError(f"projections at {self._server}: the store is closed")
            known = self._projections.get(name)
            if known is None:
                known = PostgresProjection(self._server, name, self._pool)
                self._projections[name] = known
            return known

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`."""
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._pool.close()


def schema_of(name: str) -> str:
    """The schema of a projection; a name too long for PostgreSQL ends in `~` and a digest."""
    schema = f"stepwell_{name}"
    if len(schema) <= _LONGEST_NAME:
        return schema
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{schema[: _LONGEST_NAME - len(digest) - 1]}~{digest}"
