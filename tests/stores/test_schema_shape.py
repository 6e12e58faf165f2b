"""A store is what its version says, or it is refused before anything is done to it."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from stepwell import StoreError, connect
from stepwell.engine.clock import SystemClock
from stepwell.stores import opening
from stepwell.stores.checkpoints.opening import open_checkpointer
from stepwell.stores.sql import migrate, shape
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.schema import shape_lines, sqlite_shape
from stepwell.stores.sql.schema.migrations import LATEST, MIGRATIONS
from tests.conftest import VARIABLE, url_of

# A migration that was released is never changed: stores that it made are out there, and tell
# nobody but by their number. Write another one.
FROZEN = {
    1: "11cebe018e6b6f06d7e99b4897095d8e89b17f454c9cabf2c50cbddeb31878cc",
    2: "c588a1916c48c6a3dd212eaedd0b9ab07a34506c4557b41013bc3d0bfa37be0a",
    3: "5079943d8b5c6f6dfb0ce018d9d2c501441b77b5c78bff654e9bbf1c5a0b387f",
    4: "79d19341ae0372e13182ea706ecb5cfff8ccdd9925675184d07c5ead4f5609f4",
}

Execute = Callable[[str], object]


def test_migrations_are_frozen() -> None:
    digests = {
        number: hashlib.sha256("\n;\n".join((title, *statements)).encode()).hexdigest()
        for number, title, statements in MIGRATIONS
    }

    assert digests == FROZEN


@pytest.mark.parametrize("version", sorted(FROZEN))
def test_fingerprints_are_those_of_the_migrations(version: int) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for number, _, statements in MIGRATIONS[:version]:
            assert number <= version
            for statement in statements:
                connection.execute(statement.format(**SqliteDialect.ddl))
        of_sqlite = sqlite_shape.fingerprint_of(connection)

    assert shape.FINGERPRINTS[version] == (of_sqlite, shape_lines.digest(shape.expected(version)))


_NUMBERS = count()


class Place:
    """An empty database, and a way to change it behind Stepwell's back."""

    def __init__(self, url: str, execute: Execute, ddl: dict[str, str]) -> None:
        self.url = url
        self.execute = execute
        self.ddl = ddl

    def make(self, version: int = LATEST) -> None:
        for number, _, statements in MIGRATIONS[:version]:
            for statement in statements:
                self.execute(statement.format(**self.ddl))
            self.execute(f"UPDATE meta SET value = {number} WHERE name = 'schema_version'")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        with closing(sqlite3.connect(tmp_path / "engine.db", isolation_level=None)) as connection:
            url = f"sqlite:///{tmp_path}/engine.db"
            yield Place(url, connection.execute, dict(SqliteDialect.ddl))
        return
    server = request.getfixturevalue("postgres_server")
    # A name of its own: a server may take minutes to drop a database, which waits for all of it.
    name = f"stepwell_shape_{os.getpid()}_{next(_NUMBERS)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    with psycopg.connect(url_of(server, name), autocommit=True) as inside:
        yield Place(
            url_of(server, name),
            lambda sql: inside.execute(sql.encode()),
            dict(PostgresDialect.ddl),
        )
    if VARIABLE in os.environ:  # else the server goes with the tests
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.mark.parametrize("command", ["check", "upgrade"])
def test_store_that_is_upgraded_meanwhile_is_looked_at_again(
    place: Place, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.make(1)
    current_version = migrate.current_version
    answers: list[int] = []

    def version_and_then_an_upgrade(database: Database) -> int:
        answers.append(current_version(database))
        if len(answers) == 1:
            monkeypatch.setattr(migrate, "current_version", current_version)
            assert opening.upgrade(place.url, clock=SystemClock()) == list(range(2, LATEST + 1))
            monkeypatch.setattr(migrate, "current_version", version_and_then_an_upgrade)
        return answers[-1]

    monkeypatch.setattr(migrate, "current_version", version_and_then_an_upgrade)

    if command == "check":
        assert opening.schema(place.url, clock=SystemClock()) == (LATEST, LATEST, [])
    else:
        assert opening.upgrade(place.url, clock=SystemClock()) == []
    assert answers == [1, LATEST]


def check(url: str) -> subprocess.CompletedProcess[str]:
    """`stepwell db check`."""
    stepwell = Path(sys.executable).with_name("stepwell")
    return subprocess.run(
        [stepwell, "--store", url, "db", "check"], capture_output=True, text=True, check=False
    )


WRONG = {
    "a column is missing": (
        ["ALTER TABLE artifacts DROP COLUMN content_type"],
        "it has no column artifacts.content_type text not null",
    ),
    "a column has another name": (
        ["ALTER TABLE runs RENAME COLUMN holds TO held_back"],
        "it has no column runs.holds integer not null default 0",
    ),
    "a column of another type": (
        ["ALTER TABLE kv DROP COLUMN version", "ALTER TABLE kv ADD COLUMN version TEXT"],
        "it has no column kv.version integer not null",
    ),
    "a column that nobody fills": (
        ["DROP TABLE kv", "CREATE TABLE kv (key TEXT PRIMARY KEY, more TEXT NOT NULL)"],
        "it has no column kv.expires_at integer",
    ),
    "a table is missing": (['DROP TABLE "values"'], "it has no column values.at integer not null"),
    "an index is missing": (["DROP INDEX steps_ready"], "it has no index steps_ready steps(queue,"),
    "an index of other columns": (
        ["DROP INDEX steps_due", "CREATE INDEX steps_due ON steps (wake_at)"],
        "it has no index steps_due steps(wake_at) where",
    ),
    "an index that is not unique any more": (
        [
            "DROP INDEX steps_dedup",
            "CREATE INDEX steps_dedup ON steps (run_key, dedup_key) WHERE dedup_key IS NOT NULL",
        ],
        "it has no unique index steps_dedup",
    ),
    "an index that refuses": (
        ["CREATE UNIQUE INDEX mine ON runs (name)"],
        "it has a strange unique index mine runs(name)",
    ),
    "a check is missing": (
        [
            "DROP TABLE checkpoint_operations",
            "DROP TABLE dependencies",
            "CREATE TABLE dependencies (needs {key} NOT NULL REFERENCES steps (id) ON DELETE "
            "CASCADE, step {key} NOT NULL REFERENCES steps (id) ON DELETE CASCADE, condition TEXT "
            "NOT NULL, subtree {key} NOT NULL, PRIMARY KEY (needs, step), CHECK (needs <> step))",
        ],
        "it has no check dependencies: condition='succeeded'",
    ),
    "it says too much": (
        ["UPDATE meta SET value = 1 WHERE name = 'schema_version'"],
        "its schema is not that of version 1",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_shape_is_refused(wrong: str, place: Place) -> None:
    # given: a store whose number does not say what it is
    place.make()
    statements, says = WRONG[wrong]
    for statement in statements:
        place.execute(statement.format(**place.ddl))

    # when, then: whoever opens it is told, and what to do
    for open_it in (
        lambda: connect(place.url),
        lambda: opening.upgrade(place.url, clock=SystemClock()),
        lambda: open_checkpointer(place.url),
    ):
        with pytest.raises(StoreError, match="its schema is not that of version") as refused:
            open_it()
        assert "nothing was changed" in str(refused.value)
        assert "\n" not in str(refused.value)

    done = check(place.url)
    assert done.returncode == 8
    assert says in done.stdout + done.stderr
    assert done.stderr.startswith("error: store ")
    assert len(done.stderr.splitlines()) == 1


def test_a_store_of_an_unfinished_migration_is_refused_before_it_is_upgraded(place: Place) -> None:
    # given: version 1, as it was before it was edited
    place.make(1)
    place.execute("ALTER TABLE workers DROP COLUMN labels")

    # when, then
    with pytest.raises(StoreError, match=r"version 1, .*it has no column workers\.labels text"):
        opening.upgrade(place.url, clock=SystemClock())

    # and it is what it was: no migration was begun
    place.execute("SELECT wait_run FROM steps")
    with pytest.raises((sqlite3.Error, psycopg.Error)):
        place.execute("SELECT wait_for FROM steps")


def test_what_an_operator_adds_is_let_be(place: Place) -> None:
    place.make()
    place.execute("CREATE INDEX mine ON runs (name)")
    place.execute("ALTER TABLE runs ADD COLUMN note TEXT")
    place.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE)")

    with connect(place.url) as runtime:
        assert runtime.verify().ok
    done = check(place.url)
    assert (done.returncode, done.stderr) == (0, "")
