import errno
import os
import pickle
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stepwell.engine.clock import VirtualClock, to_micros
from stepwell.engine.errors import InvalidInput, InvalidSettings, StoreError
from stepwell.engine.ports import Transaction
from stepwell.stores.projections.sqlite import SqliteProjection, SqliteProjectionStore
from stepwell.testing.projections import OpenStore, ProjectionSuite, SharedProjectionSuite
from stepwell.testing.projections.case import sell, total

START = datetime(2031, 5, 1, tzinfo=UTC)
NOW = timedelta(0)


class TestFiles(SharedProjectionSuite):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return lambda: SqliteProjectionStore(tmp_path / "projections")


class TestMemory(ProjectionSuite):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        return lambda: SqliteProjectionStore(None)


@pytest.fixture(params=["file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "made" / "when needed" if request.param == "file" else None


@pytest.fixture
def store(root: Path | None) -> Iterator[SqliteProjectionStore]:
    with closing(SqliteProjectionStore(root, clock=VirtualClock(START))) as store:
        yield store


@pytest.fixture
def sales(store: SqliteProjectionStore) -> SqliteProjection:
    """A projection with the table `sale(id, cents)`, still empty."""
    sales = store.projection("sales")
    sales.execute("CREATE TABLE sale (id TEXT PRIMARY KEY, cents INTEGER NOT NULL)")
    return sales


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteProjection]:
    """A file projection with the table `sale`, that does not wait for a lock."""
    path = tmp_path / "sales.db"
    with closing(SqliteProjection(path, busy_timeout=NOW)) as projection:
        projection.execute("CREATE TABLE sale (id TEXT PRIMARY KEY, cents INTEGER NOT NULL)")
        yield projection


# --- statements -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        ("WITH few AS (SELECT 'a' AS id) DELETE FROM sale WHERE id IN few", 1),
        ("INSERT OR IGNORE INTO sale VALUES ('a', 1), ('d', 1)", 1),
    ],
)
def test_execute_says_how_many_rows_changed(
    sales: SqliteProjection, sql: str, changed: int
) -> None:
    sales.execute_many("INSERT INTO sale VALUES (?, ?)", [("a", 1), ("b", 2), ("c", 3)])

    assert sales.execute(sql) == changed


@pytest.mark.parametrize(
    ("sql", "parameters", "reason"),
    [
        ("\nINSRT INTO sale\nVALUES (1)", (), 'near "INSRT": syntax error: INSRT INTO sale$'),
        ("INSERT INTO absent VALUES (1)", (), "no such table: absent: INSERT"),
        ("INSERT INTO sale VALUES (?, NULL)", ("a",), "NOT NULL constraint failed"),
        ("INSERT INTO sale VALUES (?, ?)", ("a",), "Incorrect number of bindings"),
        ("INSERT INTO sale VALUES (:a, :b)", {"a": 1}, "did not supply a value for binding"),
        ("INSERT INTO sale VALUES (?, ?)", ("a", object()), "type 'object' is not supported"),
        ("INSERT INTO sale VALUES (?, ?)", ("a", 2**70), "too large"),
        ("INSERT INTO sale VALUES (?, 1)", ("\ud800",), "surrogates not allowed"),
        ("DELETE FROM sale; DELETE FROM sale", (), "one statement at a time"),
        ("SELECT 1 \0", (), "null character"),
        ("VACUUM", (), "cannot VACUUM from within a transaction"),
    ],
)
def test_an_error_of_the_statement_is_the_users(
    sales: SqliteProjection, sql: str, parameters: Any, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        sales.execute(sql, parameters)

    assert sell(sales) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "BEGIN IMMEDIATE",
        *("ATTACH ':memory:' AS other", "DETACH main", "VACUUM INTO '/nowhere/copy.db'"),
        *("PRAGMA query_only = 0", "PRAGMA journal_mode = DELETE", "PRAGMA synchronous = OFF"),
    ],
)
def test_statements_that_would_leave_the_transaction_are_refused(
    sales: SqliteProjection, sql: str
) -> None:
    with pytest.raises(InvalidInput):
        sales.execute(sql)
    with pytest.raises(InvalidInput):
        sales.query(sql)
    with pytest.raises(InvalidInput):
        sales.once("key", lambda transaction: (sell(transaction), transaction.execute(sql)))

    assert total(sales) == 0
    assert sell(sales) == 1


def test_a_schema_version_can_be_kept(sales: SqliteProjection) -> None:
    sales.execute("PRAGMA user_version = 7")

    assert sales.query("PRAGMA user_version") == [{"user_version": 7}]


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA user_version = 7",
    ],
)
def test_query_refuses_to_write(sales: SqliteProjection, sql: str) -> None:
    with pytest.raises(InvalidInput, match=r"query\(\) only reads; use execute\(\)"):
        sales.query(sql)
    with pytest.raises(InvalidInput, match=r"query\(\) only reads"):
        sales.once("key", lambda transaction: transaction.query(sql))

    assert total(sales) == 0
    assert sell(sales) == 1


@pytest.mark.parametrize("sql", ["DROP TABLE IF EXISTS absent"])
def test_query_refuses_what_gives_no_rows(sales: SqliteProjection, sql: str) -> None:
    with pytest.raises(InvalidInput, match="gives no rows"):
        sales.query(sql)


# --- once -------------------------------------------------------------------------------------


def test_once_records_the_key_and_when(sales: SqliteProjection) -> None:
    sales.once("order 1", sell)

    assert sales.query("SELECT * FROM _stepwell_once") == [
        {"key": "order 1", "applied_at": to_micros(START)}
    ]


def test_apply_cannot_go_on_after_its_transaction_was_rolled_back(
    sales: SqliteProjection,
) -> None:
    def apply(transaction: Transaction) -> None:
        sell(transaction)
        with pytest.raises(InvalidInput, match="UNIQUE"):
            transaction.execute("INSERT OR ROLLBACK INTO sale VALUES ('pen', 1)")
        with pytest.raises(InvalidInput, match="UNIQUE"):
            sell(transaction, "ink", 50)

    with pytest.raises(InvalidInput, match="UNIQUE"):
        sales.once("key", apply)

    assert total(sales) == 0
    assert sales.once("key", sell)


# --- many users -------------------------------------------------------------------------------


def test_a_projection_can_go_to_another_process(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    with closing(SqliteProjectionStore(tmp_path, clock=clock)) as store:
        store.projection("sales").execute("CREATE TABLE sale (id TEXT, cents INTEGER)")

        with closing(pickle.loads(pickle.dumps(store))) as copied_store:
            copied_store.projection("sales").once("key", sell)
        with closing(pickle.loads(pickle.dumps(store.projection("sales")))) as copy:
            again = copy.once("key", sell)

        assert not again
        assert total(store.projection("sales")) == 300


def test_a_projection_in_memory_cannot_go_to_another_process() -> None:
    store = SqliteProjectionStore(None)

    with pytest.raises(InvalidInput, match="use a folder"):
        pickle.dumps(store)
    with pytest.raises(InvalidInput, match="use a file"):
        pickle.dumps(store.projection("sales"))


def in_fork(work: Callable[[], object]) -> int:
    """Run `work` in a forked child; 0 when it returned 0, 1 when it raised StoreError."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = 0 if work() == 0 else 98
        except StoreError:
            code = 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_opens_its_own_connections(file: SqliteProjection) -> None:
    file.once("key", sell)

    def child() -> int:
        file.once("child", lambda transaction: sell(transaction, "ink", 200))
        return total(file) - 500

    assert in_fork(child) == 0
    assert not file.once("child", sell)
    assert total(file) == 500


def test_a_child_forked_inside_once_is_refused(file: SqliteProjection) -> None:
    def apply(transaction: Transaction) -> None:
        sell(transaction)
        # SQLite would believe there in the lock that the parent holds here.
        assert in_fork(lambda: total(file)) == 1

    assert file.once("key", apply)
    assert total(file) == 300


def test_a_forked_child_does_not_get_an_empty_projection_in_memory() -> None:
    projection = SqliteProjection(None)
    projection.execute("CREATE TABLE sale (id TEXT, cents INTEGER)")

    assert in_fork(lambda: total(projection)) == 1
    projection.close()


# --- names and places -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sales", "web-shop_2.daily", "7", "-", "a" * 100, "con.db"])
def test_names_that_can_be(store: SqliteProjectionStore, root: Path | None, name: str) -> None:
    projection = store.projection(name)

    assert projection.query("SELECT 1 AS one") == [{"one": 1}]
    assert store.projection(name) is projection
    assert root is None or (root / f"{name}.db").is_file()


def test_making_a_store_touches_nothing(tmp_path: Path) -> None:
    SqliteProjectionStore(tmp_path / "new").projection("sales")

    assert not (tmp_path / "new").exists()


def path_of(projection: SqliteProjection) -> str:
    (main,) = projection.query("PRAGMA database_list")
    return str(main["file"])


# --- the database -----------------------------------------------------------------------------


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("relaxed", 1)])
def test_durability_sets_how_a_commit_is_synced(
    tmp_path: Path, durability: Any, synchronous: int
) -> None:
    with closing(SqliteProjection(tmp_path / "a.db", durability)) as projection:
        seen: list[Any] = []
        projection.once("k", lambda tx: seen.extend(tx.query("PRAGMA synchronous")))
        projection.once("l", lambda tx: seen.extend(tx.query("PRAGMA busy_timeout")))
        projection.once("m", lambda tx: seen.extend(tx.query("PRAGMA journal_mode")))

    assert seen == [{"synchronous": synchronous}, {"timeout": 30_000}, {"journal_mode": "wal"}]


def test_an_unknown_durability_is_refused(tmp_path: Path) -> None:
    durability: Any = "fast"

    with pytest.raises(InvalidSettings, match="'full' or 'relaxed', got 'fast'"):
        SqliteProjectionStore(tmp_path, durability)


def test_a_locked_database_is_the_stores_error(file: SqliteProjection) -> None:
    path = path_of(file)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match=f"{path}: database is locked"):
            sell(file)

    assert sell(file) == 1


def test_a_file_that_is_locked_while_it_is_opened_is_the_stores_error(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(SqliteProjection(path, busy_timeout=NOW)) as projection,
    ):
        other.execute("CREATE TABLE sale (id TEXT, cents INTEGER)")
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(StoreError, match=f"{path}: database is locked"):
            total(projection)

        other.execute("ROLLBACK")
        assert total(projection) == 0


def test_a_thread_that_holds_the_writer_too_long_is_reported(file: SqliteProjection) -> None:
    refused: list[BaseException | None] = []

    def apply(transaction: Transaction) -> None:
        with ThreadPoolExecutor(1) as thread:
            refused.append(thread.submit(sell, file).exception())

    file.once("key", apply)

    assert isinstance(refused[0], StoreError)
    assert "another thread holds it" in str(refused[0])


def test_a_file_that_is_no_database_is_the_stores_error(tmp_path: Path) -> None:
    path = tmp_path / "sales.db"
    path.write_bytes(b"this is a text file, and it stays one" * 100)

    with (
        closing(SqliteProjection(path)) as projection,
        pytest.raises(StoreError, match=f"{path}: file is not a database"),
    ):
        projection.query("SELECT 1")

    assert path.read_bytes().startswith(b"this is a text file")


def test_a_damaged_database_is_the_stores_error(file: SqliteProjection) -> None:
    path = Path(path_of(file))
    file.execute_many("INSERT INTO sale VALUES (?, 1)", [("x" * 500 + str(n),) for n in range(90)])
    file.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)

    with (
        closing(SqliteProjection(path)) as damaged,
        pytest.raises(StoreError, match=f"{path}: database disk image is malformed"),
    ):
        total(damaged)


def test_a_folder_that_cannot_be_made_is_the_stores_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        closing(SqliteProjectionStore(tmp_path / "file" / "below")) as store,
        pytest.raises(StoreError, match=f"{tmp_path}.*: Not a directory"),
    ):
        store.projection("sales").query("SELECT 1")


def test_a_database_that_may_not_be_written_is_the_stores_error(file: SqliteProjection) -> None:
    path = path_of(file)
    sell(file)
    file.close()
    script = (
        "import os, sys\n"
        "from stepwell.engine.errors import StoreError\n"
        "from stepwell.stores.projections.sqlite import SqliteProjection\n"
        "if os.geteuid() == 0:\n"
        "    os.setegid(65534)\n"
        "    os.seteuid(65534)\n"
        "try:\n"
        "    SqliteProjection(sys.argv[1]).execute('DELETE FROM sale')\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    os.chmod(path, 0o444)

    process = subprocess.run(
        [sys.executable, "-c", script, path], check=True, capture_output=True, text=True
    )

    assert process.stdout.startswith(f"projection {path}: ")


def test_a_disk_that_takes_no_more_is_the_stores_error(file: SqliteProjection) -> None:
    path = path_of(file)
    sell(file)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(StoreError, match=path):
            file.execute("INSERT INTO sale VALUES ('big', zeroblob(1000000))")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert total(file) == 300
    assert sell(file, "ink", 50) == 1


FULL_DISK = """
import subprocess, sys
from stepwell.engine.errors import StoreError
from stepwell.stores.projections.sqlite import SqliteProjection

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", sys.argv[1]], check=True)
projection = SqliteProjection(sys.argv[1] + "/a.db")
projection.execute("CREATE TABLE t (a)")
try:
    projection.once("key", lambda t: t.execute("INSERT INTO t VALUES (zeroblob(1000000))"))
except StoreError as error:
    print(error)
print(projection.once("key", lambda t: t.execute("INSERT INTO t VALUES (1)")))
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    unshare = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs user namespaces to mount a file system of its own")

    process = subprocess.run(
        [*unshare, sys.executable, "-c", FULL_DISK, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )

    assert process.stdout.splitlines() == [
        f"projection {tmp_path}/a.db: database or disk is full",
        "True",
    ]


def test_a_folder_that_cannot_be_synced_is_the_stores_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with (
        closing(SqliteProjection(tmp_path / "new" / "a.db")) as projection,
        pytest.raises(StoreError, match="No space left on device"),
    ):
        projection.query("SELECT 1")


# --- the end ----------------------------------------------------------------------------------
