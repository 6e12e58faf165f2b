"""Files of SQLite that a store refuses, cannot write to, or finds damaged or locked."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepwell.engine.errors import (
    CorruptData,
    StoreError,
    StoreVersionError,
)
from stepwell.engine.model import RunFilter, StepFilter
from stepwell.stores.sql.connection import sqlite
from stepwell.testing.builders import new_run, new_step
from tests.stores.sqlite_files import open_file

NOBODY = 65534


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
        assert store.create_run(new_run("r", new_step("a"))).run.id == "r"
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
        run, _ = store.create_run(new_run("r", new_step("a")))

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
        assert store.create_run(new_run("r", new_step("a"))).run.id == "r"
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
print(store.run_status("huge"), store.create_run(new_run("second", new_step("a"))).run.id)
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
