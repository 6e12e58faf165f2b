"""What is SQLite's own: the schema, pragmas, URLs, and groups of writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import (
    InvalidInput,
    RuntimeClosed,
    StoreError,
)
from stepwell.engine.events import Event, Observers
from stepwell.engine.model import Queue, RunFilter
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.group_commit import MAX_GROUP
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.connection.statements import Statement, StoreTransaction, bind
from stepwell.stores.sql.migrate import migrate, upgrade_sql
from stepwell.stores.sql.schema import tables
from stepwell.stores.sql.schema.migrations import LATEST, MIGRATIONS
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import completed, new_artifact, new_run, new_step
from stepwell.testing.run_store.case import Bench
from tests.stores.contended_writes import write_together
from tests.stores.sqlite_files import open_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


class TestSchema:
    def test_tables_for_statements_equal_the_migrated_database(self, path: Path) -> None:
        open_file(path).close()
        engine = sa.create_engine(f"sqlite:///{path}")
        inspector = sa.inspect(engine)

        found = {
            name: [
                (column["name"], column["type"]._type_affinity)
                for column in inspector.get_columns(name)
            ]
            for name in inspector.get_table_names()
        }
        engine.dispose()

        assert found == {
            name: [(column.name, column.type._type_affinity) for column in table.columns]
            for name, table in tables.METADATA.tables.items()
        }

    def test_script_for_people_makes_the_same_database(self, path: Path, tmp_path: Path) -> None:
        open_file(path).close()
        other = tmp_path / "by-hand.db"
        connection = sqlite3.connect(other)
        connection.executescript(upgrade_sql(dict(SqliteDialect.ddl)))
        connection.close()

        def schema_of(file: Path) -> list[Any]:
            connection = sqlite3.connect(file)
            rows = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
            found = rows.fetchall()
            connection.close()
            return found

        assert schema_of(other) == schema_of(path)
        store = open_file(other)
        assert store.status().schema_version == LATEST
        store.close()

    def test_migrations_are_numbered_from_one(self) -> None:
        assert [number for number, _, _ in MIGRATIONS] == list(range(1, LATEST + 1))

    def test_opening_again_migrates_nothing(self, path: Path) -> None:
        open_file(path).close()
        store = open_file(path)

        assert migrate(store.database, apply=True) == []
        assert store.database.transactions == 0
        store.close()

    def test_server_database_is_not_migrated_on_opening(self, path: Path) -> None:
        class ServerDialect(SqliteDialect):
            migrates_itself = False

        with pytest.raises(StoreError, match=r"version 0 .* stepwell db upgrade"):
            SqlRunStore.open(ServerDialect(path, clock=VirtualClock()))

    def test_statement_with_a_parameter_it_does_not_have(self, path: Path) -> None:
        statement = Statement(sa.select(tables.meta.c.name), "unused")

        with pytest.raises(AssertionError, match=r"no parameters \{'unused'\}"):
            statement(StoreTransaction(None, SqliteDialect(path, clock=VirtualClock()), 0))


class TestPragmas:
    @pytest.mark.parametrize(("durability", "level"), [("full", 2), ("relaxed", 1)])
    def test_synchronous(self, path: Path, durability: str, level: int) -> None:
        for readonly in (False, True):
            dialect = SqliteDialect(path, clock=VirtualClock(), durability=durability)
            connection = dialect.connect(readonly=readonly)
            assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
            connection.close()

    def test_store_that_is_open_writes_with_full_synchronization(self, path: Path) -> None:
        store = open_file(path)

        level = store.database.write(
            lambda tx: tx.cursor.execute("PRAGMA synchronous").fetchone()[0]
        )

        assert level == 2
        store.close()

    def test_a_writer_does_not_leave_its_waiting_to_sqlite(self, path: Path) -> None:
        store = open_file(path)

        timeout = store.database.write(
            lambda tx: tx.cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        )

        assert timeout == 0
        store.close()

    def test_write_ahead_log_and_foreign_keys(self, path: Path) -> None:
        connection = SqliteDialect(path, clock=VirtualClock()).connect(readonly=False)

        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        connection.close()

    def test_write_holds_the_lock_from_its_beginning(self, path: Path) -> None:
        store = open_file(path)
        other = sqlite3.connect(path, timeout=0, isolation_level=None)

        def try_to_write(tx: StoreTransaction) -> None:
            tx.cursor.execute("SELECT value FROM meta").fetchall()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")

        store.database.write(try_to_write)
        other.close()
        store.close()

    def test_reading_connection_cannot_write(self, path: Path) -> None:
        open_file(path).close()
        connection = SqliteDialect(path, clock=VirtualClock()).connect(readonly=True)

        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("UPDATE meta SET value = 0")
        connection.close()

    def test_readers_are_not_blocked_by_a_writer(self, path: Path) -> None:
        store = open_file(path)
        store.create_run(new_run("r", new_step("a")))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE runs SET status = 'paused'")

        assert store.run("r").status == "pending"
        other.execute("COMMIT")
        assert store.run("r").status == "paused"
        other.close()
        store.close()


class TestOpening:
    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("engine.db", "'engine.db' is not a URL; write sqlite:///engine.db for a file"),
            ("sqlite://engine.db", "'sqlite://engine.db' names no file"),
            ("sqlite:///", "'sqlite:///' names no file"),
            ("sqlite:///x.db?mode=ro", "takes no options, and no file with a '?' in its name"),
            ("sqlite:///x.db?mode=ro", "leave out '?mode=ro'"),
            ("sqlite:////a/x.db?vfs=/b/c&immutable=1", "leave out '?vfs=/b/c&immutable=1'"),
            ("sqlite:///x.db?", "leave out '?'"),
            ("memory://x", "memory:// takes nothing behind it, got 'memory://x'"),
            ("sqlit:///x", "unknown kind of URL 'sqlit'; did you mean 'sqlite'?"),
        ],
    )
    def test_url_that_cannot_be(self, url: str, message: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            open_run_store(url, clock=VirtualClock())

        assert message in str(caught.value)

    def test_a_folder_may_have_a_question_mark_in_its_name(self, tmp_path: Path) -> None:
        folder = tmp_path / "what?"
        folder.mkdir()

        open_run_store(f"sqlite:///{folder / 'engine.db'}", clock=VirtualClock()).close()

        assert (folder / "engine.db").exists()

    def test_absolute_and_relative_paths(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(path.parent)
        open_run_store("sqlite:///engine.db", clock=VirtualClock()).close()
        assert path.exists()

        store = open_run_store(f"sqlite:///{path}", clock=VirtualClock())
        assert store.status().store == f"sqlite:///{path}"
        store.close()

    def test_memory(self) -> None:
        store = open_run_store("memory://", clock=VirtualClock())

        assert store.status().store == "memory://"
        store.close()

    def test_reader_that_is_opened_while_the_store_closes_is_closed(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # given: a store that another thread closes while a read connects
        store = open_file(path)
        connect, opened = store.database.dialect.connect, []

        def slowly(*, readonly: bool) -> Any:
            opened.append(connect(readonly=readonly))
            store.close()
            return opened[-1]

        with suppress(StoreError), store.database.read():  # takes the reader that is there
            monkeypatch.setattr(store.database.dialect, "connect", slowly)
            # when
            with pytest.raises(RuntimeClosed), store.database.read():
                pass
        # then
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            opened[0].execute("SELECT 1")

    def test_closed_store_refuses_everything_and_closes_twice(self, path: Path) -> None:
        store = open_file(path)
        store.close()
        store.close()

        with pytest.raises(RuntimeClosed, match="is closed"):
            store.runs(RunFilter())
        with pytest.raises(RuntimeClosed, match="is closed"):
            store.create_run(new_run("r", new_step("a")))
        with pytest.raises(RuntimeClosed, match="is closed"):
            store.watch()


class TestGroupCommit:
    """Writes that wait for the writer at the same moment share a transaction."""

    def group(self, database: Database, works: list[Any]) -> list[Any]:
        """What each write gave, when all waited for the same one before them."""
        return write_together(database, [partial(database.write, work) for work in works])

    @pytest.fixture
    def store(self, path: Path) -> Iterator[SqlRunStore]:
        store = open_file(path)
        store.database.transactions = 0
        yield store
        store.close()

    def put(self, name: str) -> Any:
        def work(tx: StoreTransaction) -> str:
            tx.cursor.execute("INSERT INTO meta (name, value) VALUES (?, 1)", (name,))
            return name

        return work

    def names(self, store: SqlRunStore) -> set[str]:
        with store.database.read() as tx:
            rows = tx.cursor.execute("SELECT name FROM meta WHERE value = 1").fetchall()
        return {row[0] for row in rows if row[0].startswith("n")} - {"next_run", "next_step"}

    def test_many_writes_are_one_transaction(self, store: SqlRunStore) -> None:
        names = [f"n{number}" for number in range(40)]

        assert self.group(store.database, [self.put(name) for name in names]) == names

        assert store.database.transactions == 2  # the one that was waited for, and the group
        assert self.names(store) == set(names)

    def test_one_behind_a_whole_group_gets_its_result_too(self, store: SqlRunStore) -> None:
        names = [f"n{number}" for number in range(MAX_GROUP + 1)]

        assert self.group(store.database, [self.put(name) for name in names]) == names

        assert store.database.transactions == 3  # the one that was waited for, and two groups
        assert self.names(store) == set(names)

    def test_one_that_raises_fails_alone(self, store: SqlRunStore) -> None:
        def fails(tx: StoreTransaction) -> None:
            self.put("n-bad")(tx)
            raise InvalidInput("no")

        good, bad, twice, other = self.group(
            store.database, [self.put("n1"), fails, self.put("next_run"), self.put("n2")]
        )

        assert (good, other) == ("n1", "n2")
        assert isinstance(bad, InvalidInput)
        assert isinstance(twice, sqlite3.IntegrityError)
        assert self.names(store) == {"n1", "n2"}

    def test_one_that_breaks_the_transaction_fails_all(self, store: SqlRunStore) -> None:
        def breaks(tx: StoreTransaction) -> None:
            tx.cursor.execute("ROLLBACK")

        results = self.group(store.database, [self.put("n1"), breaks, self.put("n2")])

        assert all(isinstance(result, Exception) for result in results)
        assert self.names(store) == set()
        store.database.write(self.put("n3"))
        assert self.names(store) == {"n3"}

    def test_bad_statement_of_our_own_is_a_store_error(self, store: SqlRunStore) -> None:
        with pytest.raises(StoreError, match=r"failed .*no such table"):
            store.database.write(lambda tx: tx.cursor.execute("INSERT INTO nowhere VALUES (1)"))
        with (
            pytest.raises(StoreError, match="no such table"),
            store.database.read() as tx,
        ):
            tx.cursor.execute("SELECT * FROM nowhere")


class TestObservers:
    def test_stored_events_are_published_after_the_commit(self, path: Path) -> None:
        seen: list[Event] = []
        observers = Observers()
        observers.subscribe(seen.append)
        store = SqlRunStore.open(SqliteDialect(path, clock=VirtualClock()), observers)
        store.define_queues([Queue("default")])
        bench = Bench(store, VirtualClock())
        bench.create(new_step("a"))
        bench.work_off()

        assert seen == store.events("r")
        store.close()


def test_poisoned_outcome_of_a_group_fails_alone(path: Path) -> None:
    store = open_file(path)
    store.define_queues([Queue("default")])
    bench = Bench(store, VirtualClock())
    bench.create(*(new_step(name) for name in "abc"), new_step("d", "a", "c"))
    a, b, c = bench.claim()
    neither_inline_nor_elsewhere = new_artifact("x", b"", uri="")
    poison = completed(b, artifacts=[neither_inline_nor_elsewhere])
    object.__setattr__(neither_inline_nor_elsewhere, "body", None)
    object.__setattr__(neither_inline_nor_elsewhere, "uri", None)

    exchange = bench.exchange(completed(a), poison, completed(c))

    (refusal,) = exchange.refused
    assert refusal.step is b
    assert "refused the step's result and effects: CHECK constraint failed" in str(refusal.error)
    assert [step.id for step in exchange.claimed] == ["d"]
    store.close()


def test_run_of_a_claim_that_was_not_committed_begins_with_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file(path)
    store.define_queues([Queue("default")])
    bench = Bench(store, VirtualClock())
    store.create_run(new_run("r0", new_step("first")))
    held = bench.claim_one()
    bench.create(new_step("a"))

    # given: a claim whose commit fails, and a settle that goes well
    def full(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(store.database.dialect, "commit", full)
        with pytest.raises(StoreError):
            bench.claim()
    bench.complete(held)

    # when
    bench.claim_one()

    # then
    assert store.run("r").status == "running"
    assert bench.event_types() == ["run.created", "run.started"]
    store.close()


def test_bound_parameters_are_put_where_the_statement_wants_them(path: Path) -> None:
    store = open_file(path)
    statement = Statement(sa.select(bind("b") + bind("a") * sa.literal(10) + bind("b")), "a", "b")

    with store.database.read() as tx:
        assert statement(tx, 3, 1).fetchone()[0] == 32

    store.close()
