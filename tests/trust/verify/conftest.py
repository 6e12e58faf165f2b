"""The full store on each database, and a way to damage it that leaves no trace."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.engine.verification import Verification
from stepwell.stores import opening
from stepwell.stores.sql.checks.verify import Inspection
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.connection.statements import StoreTransaction
from tests.conftest import url_of
from tests.trust.verify.full_store import build

# Verifies the store after some statements, which are then undone.
VerifyAfter = Callable[..., Verification]
# Gives a dialect that has opened nothing yet: what another one had open must stay in its place.
OpenScene = Callable[[], Dialect]

# So that a statement can do what the database would refuse.
_UNGUARDED = {
    "sqlite": ("PRAGMA foreign_keys=OFF", "PRAGMA ignore_check_constraints=ON", "BEGIN"),
    "postgres": (
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SET LOCAL session_replication_role = replica",
    ),
}


@pytest.fixture(scope="module")
def sqlite_scene(tmp_path_factory: pytest.TempPathFactory) -> OpenScene:
    path: Path = tmp_path_factory.mktemp("scene") / "engine.db"
    clock = VirtualClock()
    build(SqliteDialect(path, clock=clock), clock)
    return lambda: SqliteDialect(path, clock=clock)


@pytest.fixture(scope="module")
def postgres_scene(postgres_server: str) -> Iterator[OpenScene]:
    name = f"scene_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        url = url_of(postgres_server, name)
        clock = VirtualClock()
        opening.upgrade(url, clock=clock)
        build(PostgresDialect(url, clock=clock), clock)
        yield lambda: PostgresDialect(url, clock=clock)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def verify_after(database: str, request: pytest.FixtureRequest) -> VerifyAfter:
    scene: OpenScene = request.getfixturevalue(f"{database}_scene")

    def verify(*statements: str, most: int = 20) -> Verification:
        dialect = scene()
        connection: Any = dialect.connect(readonly=False)
        with closing(connection), closing(connection.cursor()) as cursor:
            for statement in (*_UNGUARDED[database], *statements):
                cursor.execute(statement)
            found = Inspection(StoreTransaction(cursor, dialect, 0), most).verify()
            cursor.execute("ROLLBACK")
        return found

    return verify
