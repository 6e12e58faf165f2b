"""A few connections to PostgreSQL for all projections of a store, and the sorting of its errors."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from stepwell.engine.errors import InvalidInput, StepwellError, StoreError, one_line
from stepwell.engine.forks import ForkAware, Lineage
from stepwell.stores.postgres_fork import disown
from stepwell.stores.postgres_session import CLIENT_ENCODING, prepare_session
from stepwell.stores.projections.rules import first_line

# The most connections of a process; the server's limit is shared by many.
MAX_CONNECTIONS = 4

# Unless the URL says otherwise.
_CONNECTION: dict[str, Any] = {"connect_timeout": 10, "application_name": "stepwell"}
# For every connection. The server notices within a minute that a client's machine is gone, and
# releases its locks.
_SETTINGS = (
    "tcp_keepalives_idle = 30",
    "tcp_keepalives_interval = 10",
    "tcp_keepalives_count = 3",
)

# SQLSTATE classes and codes that are about the server and not the statement: connection,
# transaction rollback (deadlock, …), resources, locks, operator intervention, system, internal;
# then missing privileges and a read-only server.
_OF_THE_STORE = ("08", "40", "53", "55P03", "57", "58", "XX", "42501", "25006")
_READ_ONLY = "25006"

_PORTS = re.compile(r"[\d,]*")


class _NumberLoader(Loader):
    """Loads a numeric as SQLite does: as int or float."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        is_float = b"." in text or text[-1:].isalpha()  # NaN, Infinity
        return float(text) if is_float else int(text)


@dataclass(frozen=True, slots=True)
class Server:
    """A database, and how its transactions commit."""

    url: str
    synchronous: str
    busy_timeout: timedelta

    def __post_init__(self) -> None:
        try:
            parts = conninfo_to_dict(self.url)
        except psycopg.ProgrammingError:
            parts = None
        # A password that contains "/" or "@" ends up in these fields, and so in messages.
        if (
            parts is None
            or not _PORTS.fullmatch(str(parts.get("port") or ""))
            or any("@" in str(parts.get(part)) for part in ("host", "dbname"))
        ):
            # Without the driver's message, which may show part of the password.
            raise InvalidInput(
                "projections: the postgresql:// URL cannot be read; write "
                "postgresql://user@host:5432/database, and %-encode what is special in a password"
            )

    def __str__(self) -> str:
        """Its address, never with the password."""
        parts = conninfo_to_dict(self.url)
        user = f"{parts['user']}@" if parts.get("user") else ""
        port = f":{parts['port']}" if parts.get("port") else ""
        host, database = str(parts.get("host") or ""), parts.get("dbname") or ""
        if host.startswith("/"):
            return f"postgresql://{user}{port}/{database}?host={host}"
        return f"postgresql://{user}{host}{port}/{database}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection. Raises StoreError."""
        connection = None
        try:
            connection = psycopg.connect(
                # The same text means different tables in different schemas.
                prepare_threshold=None,
                autocommit=True,
                **{**_CONNECTION, **conninfo_to_dict(self.url), "client_encoding": CLIENT_ENCODING},
            )
            prepare_session(connection, f"projections at {self}", *_SETTINGS)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, psycopg.Error):
                raise StoreError(f"projections at {self}: {_text(error)}") from None
            raise
        connection.adapters.register_loader("numeric", _NumberLoader)
        return connection


class Pool(ForkAware):
    """The connections of one process, opened when needed. Safe to use from many threads."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._closed = False
        self._begin_anew()
        Lineage.register(self)

    def _begin_anew(self) -> None:
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._idle: list[psycopg.Connection[Any]] = []
        self._all: list[psycopg.Connection[Any]] = []

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`."""
        for connection in self._all:
            disown([connection], in_use=connection not in self._idle)
        self._begin_anew()

    @contextmanager
    def begun(self, opening: str) -> Iterator[tuple[psycopg.Connection[Any], Any]]:
        """A connection on which `opening` has begun a transaction, and the value that it selected.

        A transaction that is open at the end is rolled back. A lost connection is replaced, which
        is safe because nothing but `opening` was sent.
        """
        seconds = self._server.busy_timeout.total_seconds()
        if not self._places.acquire(timeout=seconds):
            raise StoreError(
                f"projections at {self._server}: all {MAX_CONNECTIONS} connections of this "
                f"process were in use for over {seconds:g} s"
            )
        try:
            connection, answer = self._begin(opening)
            try:
                yield connection, answer
            finally:
                self._give_back(connection)
        finally:
            self._places.release()

    def _begin(self, opening: str) -> tuple[psycopg.Connection[Any], Any]:
        while True:
            connection = self._take()
            fresh = connection is None
            if connection is None:
                connection = self._server.connect()
                self._all.append(connection)
            try:
                return connection, _last_value(connection.execute(opening.encode()))
            except psycopg.Error as error:
                if connection.closed and not fresh:
                    self._all.remove(connection)
                    connection.close()
                    continue
                self._give_back(connection)
                raise StoreError(f"projections at {self._server}: {_text(error)}") from error
            except BaseException:
                self._give_back(connection)
                raise

    def _take(self) -> psycopg.Connection[Any] | None:
        with self._lock:
            if self._closed:
                raise StoreError(f"projections at {self._server}: the store is closed")
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        if connection not in self._all:  # it belongs to the parent process
            return
        with suppress(psycopg.Error):
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.execute(b"ROLLBACK")
        idle = connection.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            if idle and not self._closed:
                self._idle.append(connection)
                return
            self._all.remove(connection)
        connection.close()

    def close(self) -> None:
        """Close the connections; one that is in use closes when its user is done."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def blame(error: Exception, sql: str, place: str, reads: bool) -> StepwellError:
    """A statement's error as InvalidInput, or as StoreError if the server is the cause."""
    code = getattr(error, "sqlstate", None)
    if reads and code == _READ_ONLY:
        return InvalidInput(f"{place}: query() only reads; use execute(): {first_line(sql)}")
    lost = code is None and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    if lost or (code or "").startswith(_OF_THE_STORE):
        return StoreError(f"{place}: {_text(error)}")
    return InvalidInput(f"{place}: {_text(error)}: {first_line(sql)}")


def _text(error: Exception) -> str:
    """The database's own message on one line."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    if said and isinstance(error, psycopg.Error) and error.diag.message_detail:
        said = f"{said} ({error.diag.message_detail})"
    return one_line(said or error)


def _last_value(cursor: psycopg.Cursor[Any]) -> Any:
    """The one value that the last of several statements selected."""
    while cursor.nextset():
        pass
    row = cursor.fetchone()
    return row and row[0]
