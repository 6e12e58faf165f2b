"""What is SQLite's own: files, pragmas, processes, migrations, and groups of writes."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from stepwell.engine.clock import SystemClock, VirtualClock
from stepwell.engine.errors import (
    CorruptData,
    InvalidInput,
    RuntimeClosed,
    StoreError,
    StoreVersionError,
)
from stepwell.engine.events import Event, Observers
from stepwell.engine.model import Queue, RunFilter, StepFilter
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.connection import sqlite
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

NOBODY = 65534


def open_file(path: Path, **options: Any) -> SqlRunStore:
    return SqlRunStore.open(SqliteDialect(path, clock=VirtualClock(), **options))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user who is not root, as whom the test runs."""
    with tempfile.TemporaryDirectory() as name:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.chmod(name, 0o755)
            if is_root:
                os.seteuid(0)


def refused(path: Path) -> str:
    """The one line with which opening the store is refused."""
    with pytest.raises(StoreError) as caught:
        open_file(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"store sqlite:///{path}: ")
    return message.removeprefix(f"store sqlite:///{path}: ")


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


class TestRefusedFiles:
    def test_newer_store_is_refused_before_any_write(self, path: Path) -> None:
        open_file(path).close()
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("UPDATE meta SET value = 999 WHERE name = 'schema_version'")
        connection.close()
        before = hashlib.sha256(path.read_bytes()).hexdigest()

        with pytest.raises(StoreVersionError, match="has version 999, newer than this code"):
            open_file(path)

        assert hashlib.sha256(path.read_bytes()).hexdigest() == before

    def test_file_that_is_not_a_database(self, path: Path) -> None:
        path.write_text("# Shopping list\n" * 100)

        assert "it is not a SQLite database; name another file" in refused(path)
        assert path.read_text().startswith("# Shopping list")

    def test_folder(self, path: Path) -> None:
        path.mkdir()

        assert "it cannot be opened" in refused(path)

    def test_missing_folder(self, path: Path) -> None:
        assert "check that the folder exists" in refused(path / "nowhere" / "engine.db")

    def test_database_of_another_program_is_left_as_it_is(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.close()
        before = path.read_bytes()

        assert "holds other tables (recipes) and no Stepwell store" in refused(path)

        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        "table",
        [
            "CREATE TABLE meta (id INTEGER)",
            "CREATE TABLE meta (name TEXT, value INTEGER)",
            "CREATE TABLE meta AS SELECT 'schema_version' AS name, 'three' AS value",
        ],
    )
    def test_database_with_another_table_of_the_same_name(self, path: Path, table: str) -> None:
        connection = sqlite3.connect(path)
        connection.execute(table)
        connection.commit()
        connection.close()

        refused(path)

    def test_damaged_file(self, path: Path) -> None:
        store = open_file(path)
        for number in range(50):
            store.create_run(new_run(f"r{number}", new_step("a")))
        store.close()
        data = bytearray(path.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        path.write_bytes(bytes(data))

        with pytest.raises(StoreError, match="damaged; restore a backup"):
            open_file(path).runs(RunFilter())

    @pytest.mark.parametrize("bytes_", [b"\xff\n\x1b[2J\x07", b"\xff" * 100_000])
    def test_what_is_quoted_of_a_damaged_file_is_one_short_line(
        self, path: Path, bytes_: bytes
    ) -> None:
        # given a text that is no longer one, which the driver quotes when it says so
        store = open_file(path)
        store.create_run(new_run("r", new_step("a")))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE steps SET kind = CAST(? AS TEXT)", [bytes_])

        # when it is read
        with pytest.raises(StoreError, match="decode to UTF-8 column 'kind'") as raised:
            store.steps("r", StepFilter())
        store.close()

        # then nothing of it reaches the terminal as it is
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 1_000

    def test_a_number_that_was_read_and_cannot_be_asked_with(self, path: Path) -> None:
        # given what a damaged index gives for the key of a run
        store = open_file(path)

        with pytest.raises(CorruptData, match=r"out of range; look at it with: stepwell verify"):
            store.database.ask(lambda tx: tx.cursor.execute("SELECT ?", [2**70]))
        with (
            pytest.raises(CorruptData, match="out of range"),
            store.database.read() as tx,
        ):
            tx.cursor.execute("SELECT ?", [int(1e300)])
        store.close()

    def test_read_only_file(self, unprivileged: Path) -> None:
        path = unprivileged / "engine.db"
        open_file(path).close()
        path.chmod(0o444)
        store = open_file(path)

        with pytest.raises(StoreError, match="read-only; check the permissions"):
            store.create_run(new_run("r", new_step("a")))

        assert store.runs(RunFilter()) == []
        store.close()

    def test_read_only_folder(self, unprivileged: Path) -> None:
        unprivileged.chmod(0o555)

        assert "check that the folder exists and is writable" in refused(unprivileged / "engine.db")

    def test_locked_for_too_long(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.01)
        store = open_file(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="another process kept it locked for too long"):
            store.create_run(new_run("r", new_step("a")))

        other.execute("ROLLBACK")
        other.close()
        assert store.create_run(new_run("r", new_step("a"))).id == "r"
        store.close()

    def test_lock_of_another_process_is_looked_at_again_soon(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # given: another process writes; it is done when this one has looked twenty times
        store = open_file(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waits: list[float] = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 20:
                other.execute("ROLLBACK")

        monkeypatch.setattr("stepwell.stores.sql.connection.sqlite.pause", wait)

        # when
        run = store.create_run(new_run("r", new_step("a")))

        # then: at first sooner than SQLite itself would, whose shortest wait is a millisecond
        assert run.id == "r"
        assert len(waits) == 20
        assert waits[0] < 0.001
        assert max(waits) <= 0.001
        other.close()
        store.close()

    def test_interrupt_is_heard_while_another_process_writes(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = open_file(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(
            "stepwell.stores.sql.connection.sqlite.pause",
            lambda _: signal.raise_signal(signal.SIGINT),
        )

        with pytest.raises(KeyboardInterrupt):
            store.create_run(new_run("r", new_step("a")))

        other.execute("ROLLBACK")
        other.close()
        assert store.runs(RunFilter()) == []
        assert store.create_run(new_run("r", new_step("a"))).id == "r"
        store.close()

    def test_file_system_without_write_ahead_logging(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Stubborn(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                asked = sql == "PRAGMA journal_mode=WAL"
                return super().execute("PRAGMA journal_mode" if asked else sql, *parameters)

        plain = sqlite3.connect
        monkeypatch.setattr(
            sqlite3, "connect", lambda *given, **options: plain(*given, factory=Stubborn, **options)
        )

        assert "its file system cannot do write-ahead logging" in refused(path)


FULL_DISK = """
import subprocess, sys
from pathlib import Path
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StoreError
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import new_run, new_step

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", sys.argv[1]], check=True)
store = open_run_store(f"sqlite:////{sys.argv[1]}/engine.db", clock=SystemClock())
store.create_run(new_run("first", new_step("a")))
try:
    store.create_run(new_run("huge", new_step("a"), input="x" * 1_000_000))
except StoreError as error:
    print(error)
print(store.run_status("huge"), store.create_run(new_run("second", new_step("a"))).id)
store.close()
"""


def test_full_disk(tmp_path: Path) -> None:
    unshare = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs unshare to mount a small file system")

    done = subprocess.run(
        [*unshare, sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )

    message, after = done.stdout.splitlines()
    assert "the disk is full; nothing of this was stored" in message
    assert after == "None second"


class TestPragmas:
    @pytest.mark.parametrize(("durability", "level"), [("full", 2), ("relaxed", 1)])
    def test_synchronous(self, path: Path, durability: str, level: int) -> None:
        dialect = SqliteDialect(path, clock=VirtualClock(), durability=durability)

        for readonly in (False, True):
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


OPENER = """
import sys
from stepwell.engine.clock import SystemClock
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import new_run, new_step

folder, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for number in range(6):
    store = open_run_store(f"sqlite:///{folder}/{number}.db", clock=SystemClock())
    store.create_run(new_run(name, new_step("a")))
    store.close()
"""

WORKER = """
import sys
from pathlib import Path
from stepwell.engine.clock import SystemClock
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import claim_request, completed

path, name = sys.argv[1:]
store = open_run_store(f"sqlite:///{path}", clock=SystemClock())
print("ready", flush=True)
sys.stdin.readline()
outcomes, done = [], []
while True:
    exchange = store.exchange(outcomes, claim_request(3, worker=name))
    assert not exchange.lost and not exchange.refused
    if not exchange.claimed:
        break
    done += [step.id for step in exchange.claimed]
    outcomes = [completed(step, name) for step in exchange.claimed]
store.close()
print(" ".join(done))
"""


def run_at_once(script: str, *arguments: tuple[str, ...]) -> list[str]:
    """What each process printed; they go on together once all are ready."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for given in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        printed.append(out)
    return printed


class TestProcesses:
    def test_five_processes_open_a_new_file_at_the_same_moment(self, tmp_path: Path) -> None:
        names = [f"p{number}" for number in range(5)]

        run_at_once(OPENER, *((str(tmp_path), name) for name in names))

        for number in range(6):
            store = open_file(tmp_path / f"{number}.db")
            assert sorted(run.id for run in store.runs(RunFilter())) == names
            store.close()

    def test_two_processes_work_on_one_file(self, path: Path) -> None:
        store = SqlRunStore.open(SqliteDialect(path, clock=SystemClock()))
        store.define_queues([Queue("default")])
        steps = [f"s{number}" for number in range(120)]
        store.create_run(new_run("r", *(new_step(step) for step in steps)))

        printed = run_at_once(WORKER, (str(path), "w1"), (str(path), "w2"))

        done = [name for out in printed for name in out.split()]
        assert sorted(done) == sorted(steps)
        assert store.run("r").status == "succeeded"
        store.close()


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


def test_row_that_does_not_go_with_what_is_stored_is_told_in_a_line(path: Path) -> None:
    # given a store that takes no dependencies, as one whose index is damaged
    store = open_file(path)
    with closing(sqlite3.connect(path)) as damaging:
        damaging.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON dependencies "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )

    # when, then
    with pytest.raises(StoreError, match=r"look at it with: stepwell verify \(no\)"):
        store.create_run(new_run("r", new_step("a"), new_step("b", "a")))
    assert store.run_status("r") is None
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
