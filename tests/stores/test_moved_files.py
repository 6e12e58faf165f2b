"""The files of a SQLite database are deleted or replaced under the process that has them open."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from stepwell import Package, RunStatus, Runtime, StepContext, connect, open_checkpointer
from stepwell.engine.checkpoints.checkpoint import Checkpoint
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import NoCheckpoint, StoreError, StoreGone
from stepwell.engine.model import DEFAULT_QUEUE, Queue, RunFilter
from stepwell.stores.opening import open_run_store
from stepwell.stores.projections.sqlite import SqliteProjection
from stepwell.stores.sql.store import SqlRunStore
from stepwell.stores.sqlite_file import SqliteFile
from stepwell.testing.builders import claim_request, new_run, new_step
from stepwell.testing.projections.case import TABLE, sell, total

PATIENCE = 60.0


def opened(path: Path) -> SqlRunStore:
    return open_run_store(f"sqlite:///{path}", clock=SystemClock())


def back_up(path: Path) -> Path:
    """A backup beside the folder of the database, made as SQLite makes them."""
    backup = path.parent.parent / "backup.db"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    return backup


def start(store: SqlRunStore, id: str) -> None:
    store.create_run(new_run(id, new_step("a")))


def ids(store: SqlRunStore) -> list[str]:
    return sorted(run.id for run in store.runs(RunFilter()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder / "engine.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlRunStore]:
    """A store with the run `first`, and a writer and a reader open."""
    with closing(opened(path)) as store:
        store.define_queues([Queue(DEFAULT_QUEUE)])
        start(store, "first")
        assert ids(store) == ["first"]
        yield store


ACTS: dict[str, Callable[[SqlRunStore], object]] = {
    "start": lambda store: start(store, "lost"),
    "claim": lambda store: store.exchange((), claim_request()),
    "read": lambda store: store.runs(RunFilter()),
    "ask": lambda store: store.run_status("first"),
    "watch": lambda store: store.database.version(),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
class TestEachUse:
    def test_of_a_deleted_store_is_refused_and_makes_no_other(
        self, store: SqlRunStore, path: Path, act: Callable[[SqlRunStore], object]
    ) -> None:
        shutil.rmtree(path.parent)

        for _ in range(3):
            with pytest.raises(StoreGone, match=r"its file was deleted .* put it back"):
                act(store)

        assert not path.parent.exists()

    def test_of_a_replaced_store_is_refused_once(
        self, store: SqlRunStore, path: Path, act: Callable[[SqlRunStore], object]
    ) -> None:
        backup = back_up(path)
        start(store, "second")
        os.replace(backup, path)

        with pytest.raises(StoreGone, match="its file was replaced by another one"):
            act(store)

        start(store, "third")
        assert ids(store) == ["first", "third"]


class TestWhatComesInstead:
    def test_backup_that_is_put_back_is_gone_on_with(self, store: SqlRunStore, path: Path) -> None:
        backup = back_up(path)
        shutil.rmtree(path.parent)
        with pytest.raises(StoreGone):
            start(store, "lost")

        path.parent.mkdir()
        os.replace(backup, path)

        start(store, "second")
        assert ids(store) == ["first", "second"]
        with closing(opened(path)) as other:
            assert ids(other) == ["first", "second"]

    def test_log_of_the_replaced_file_is_kept_and_not_applied(
        self, store: SqlRunStore, path: Path
    ) -> None:
        backup = back_up(path)
        for number in range(50):
            start(store, f"old-{number}")
        os.replace(backup, path)

        with pytest.raises(StoreGone):
            start(store, "lost")

        assert ids(store) == ["first"]
        assert store.verify(20).ok
        assert [file.name for file in path.parent.glob("*replaced*")]

    @pytest.mark.parametrize("suffix", ["-wal", "-shm"])
    def test_what_has_the_number_of_a_file_that_was_closed_is_not_its_leftover(
        self, store: SqlRunStore, path: Path, suffix: str
    ) -> None:
        # A file system gives the number of a file that is gone to the next one: so does a link.
        backup = back_up(path)
        beside, kept = Path(f"{path}{suffix}"), path.parent / "kept"
        os.link(beside, kept)
        Path(f"{path}-wal").unlink()
        Path(f"{path}-shm").unlink()
        with pytest.raises(StoreGone, match="-wal or -shm"):
            start(store, "lost")
        path.unlink()
        os.truncate(kept, 0)
        os.link(kept, beside)
        os.replace(backup, path)

        assert ids(store) == ["first"]

        assert beside.stat().st_ino == kept.stat().st_ino
        assert not list(path.parent.glob("*replaced*"))

    @pytest.mark.parametrize("act", ["deleted", "replaced"])
    def test_file_that_goes_while_it_is_opened_is_not_believed_in(
        self, path: Path, act: str
    ) -> None:
        with closing(opened(path)) as store:
            start(store, "first")
        backup = back_up(path)
        file = SqliteFile(path, "store")

        def prepare(connection: sqlite3.Connection) -> None:
            connection.execute("SELECT * FROM runs").fetchall()
            path.unlink()
            if act == "replaced":
                os.replace(backup, path)

        with pytest.raises(StoreError, match="replaced while it was opened"):
            file.connect(prepare)

        assert not file.was_opened

    def test_what_is_no_store_is_refused_until_one_is_there(
        self, store: SqlRunStore, path: Path
    ) -> None:
        backup = back_up(path)
        other = path.parent / "other.db"
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("CREATE TABLE theirs (id)")
        os.replace(other, path)
        with pytest.raises(StoreGone):
            start(store, "lost")

        for _ in range(2):
            with pytest.raises(StoreError, match="has no Stepwell store"):
                start(store, "lost")
        os.replace(backup, path)

        start(store, "second")
        assert ids(store) == ["first", "second"]

    def test_what_was_known_of_the_runs_is_forgotten(self, store: SqlRunStore, path: Path) -> None:
        other = path.parent.parent / "elsewhere"
        other.mkdir()
        with closing(opened(other / "engine.db")) as another:
            another.define_queues([Queue(DEFAULT_QUEUE)])
            another.create_run(new_run("other", new_step("a")))
        claimed = store.exchange((), claim_request()).claimed
        assert [step.run.id for step in claimed] == ["first"]
        os.replace(other / "engine.db", path)
        with pytest.raises(StoreGone):
            store.exchange((), claim_request())

        claimed = store.exchange((), claim_request()).claimed

        assert [step.run.id for step in claimed] == ["other"]


@pytest.mark.parametrize("gone", [["wal"], ["shm"], ["wal", "shm"]], ids="-".join)
def test_log_that_is_deleted_alone_costs_nothing(
    store: SqlRunStore, path: Path, gone: list[str]
) -> None:
    for number in range(20):
        start(store, f"r{number}")
    for name in gone:
        path.with_name(f"engine.db-{name}").unlink()

    with pytest.raises(StoreGone, match="its -wal or -shm file was deleted"):
        start(store, "lost")

    start(store, "last")
    expected = sorted(["first", "last", *(f"r{number}" for number in range(20))])
    assert ids(store) == expected
    with closing(opened(path)) as other:
        assert ids(other) == expected
        assert other.verify(20).ok


OTHER = """
import os, signal, sys
from stepwell.engine.clock import SystemClock
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import new_run, new_step
store = open_run_store("sqlite:///" + sys.argv[1], clock=SystemClock())
store.create_run(new_run("theirs", new_step("a")))
print("stored", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_closing_harms_nobody_who_has_opened_what_came_instead(
    store: SqlRunStore, path: Path
) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "stored\n"

    store.close()
    other.communicate("die\n")

    assert other.returncode == -signal.SIGKILL
    with closing(opened(path)) as again:
        assert ids(again) == ["theirs"]


def test_other_files_of_the_folder_may_come_and_go(store: SqlRunStore, path: Path) -> None:
    for number in range(20):
        (path.parent / f"other-{number}").touch()
        start(store, f"r{number}")
        (path.parent / f"other-{number}").unlink()

    assert len(ids(store)) == 21


def test_link_that_leads_elsewhere_now_is_noticed(tmp_path: Path) -> None:
    for name in ("blue", "green"):
        (tmp_path / name).mkdir()
        with closing(opened(tmp_path / name / "engine.db")) as store:
            start(store, name)
    link = tmp_path / "engine.db"
    link.symlink_to(tmp_path / "blue" / "engine.db")
    with closing(opened(link)) as store:
        assert ids(store) == ["blue"]
        link.unlink()
        link.symlink_to(tmp_path / "green" / "engine.db")

        with pytest.raises(StoreGone):
            start(store, "lost")

        assert ids(store) == ["green"]


def test_relative_path_means_the_folder_that_it_was_opened_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(opened(Path("engine.db"))) as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        start(store, "first")

        assert ids(store) == ["first"]
    assert not any((tmp_path / "elsewhere").iterdir())


# --- the others of one's own --------------------------------------------------------------------


def test_checkpoints_are_not_stored_in_a_file_that_is_gone(path: Path) -> None:
    with open_checkpointer(f"sqlite:///{path}") as checkpoints:
        checkpoints.save_checkpoint(Checkpoint(id="c1", execution_id="e1"))
        backup = back_up(path)
        checkpoints.save_checkpoint(Checkpoint(id="c2", execution_id="e2"))
        os.replace(backup, path)

        with pytest.raises(StoreGone, match="replaced"):
            checkpoints.save_checkpoint(Checkpoint(id="c3", execution_id="e3"))

        assert checkpoints.load_checkpoint("e1").id == "c1"
        with pytest.raises(NoCheckpoint):
            checkpoints.load_checkpoint("e2")


class TestProjection:
    @pytest.fixture
    def sales(self, path: Path) -> Iterator[SqliteProjection]:
        with closing(SqliteProjection(path)) as sales:
            sales.execute(TABLE)
            sales.once("first", sell)
            assert total(sales) == 300
            yield sales

    def test_that_is_deleted_is_refused_and_not_made_anew(
        self, sales: SqliteProjection, path: Path
    ) -> None:
        shutil.rmtree(path.parent)

        with pytest.raises(StoreGone, match="deleted"):
            sales.once("second", sell)
        with pytest.raises(StoreGone, match="deleted"):
            total(sales)

        assert not path.parent.exists()

    def test_that_is_replaced_is_refused_once(self, sales: SqliteProjection, path: Path) -> None:
        backup = back_up(path)
        sales.once("second", lambda tx: sell(tx, "ink"))
        os.replace(backup, path)

        with pytest.raises(StoreGone, match="replaced"):
            sales.once("third", lambda tx: sell(tx, "cap"))
        with pytest.raises(StoreGone, match="replaced"):
            total(sales)

        assert total(sales) == 300
        assert sales.once("second", lambda tx: sell(tx, "ink"))

    def test_that_is_deleted_while_it_writes_is_not_acknowledged(
        self, sales: SqliteProjection, path: Path
    ) -> None:
        def apply(transaction: object) -> None:
            shutil.rmtree(path.parent)

        with pytest.raises(StoreGone, match="deleted"):
            sales.once("second", apply)


# --- workers ------------------------------------------------------------------------------------

sample = Package("sample")


@sample.workflow
def grind(step: StepContext, number: int) -> int:
    return number + 1


@sample.workflow
def grind_by_hand(step: StepContext, number: int) -> int:
    begun, go_on = step.app
    begun.put(step.attempt)
    go_on.get(timeout=PATIENCE)
    return number + 1


def connected(path: Path, **options: Any) -> Runtime:
    settings = {"poll_interval": 0.1}
    return connect(f"sqlite:///{path}", packages=[sample], settings=settings, **options)


def end_of(runtime: Runtime, run_id: str) -> RunStatus:
    """The status of a run at its end, in a store that may not be there yet."""
    while True:
        try:
            return runtime.wait(run_id, timeout=PATIENCE).status
        except StoreGone:
            continue


class TestWorker:
    def test_that_idles_goes_on_with_the_backup_that_is_put_back(self, path: Path) -> None:
        with connected(path) as runtime:
            waiting = runtime.start_run(grind, 1)
            backup = back_up(path)
            with runtime.worker():
                assert waiting.result(timeout=PATIENCE) == 2
                shutil.rmtree(path.parent)
                with pytest.raises(StoreGone, match="deleted"):
                    runtime.start_run(grind, 2)
                path.parent.mkdir()
                os.replace(backup, path)

                # What had not ended in the backup is worked off, and so is what comes.
                assert end_of(runtime, waiting.id) is RunStatus.SUCCEEDED
                assert runtime.start_run(grind, 3).result(timeout=PATIENCE) == 4

    def test_that_idles_notices_by_itself(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        told = threading.Event()

        class Ear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if "its file was deleted" in record.getMessage():
                    told.set()

        ear = Ear()
        logging.getLogger("stepwell.worker").addHandler(ear)
        try:
            with connected(path) as runtime, runtime.worker():
                assert runtime.start_run(grind, 1).result(timeout=PATIENCE) == 2
                shutil.rmtree(path.parent)

                assert told.wait(PATIENCE)
        finally:
            logging.getLogger("stepwell.worker").removeHandler(ear)

    @pytest.mark.parametrize("teller", ["worker", "reader"])
    def test_does_not_settle_in_one_store_what_it_claimed_in_another(
        self, path: Path, teller: str
    ) -> None:
        begun: SimpleQueue[int] = SimpleQueue()
        go_on: SimpleQueue[None] = SimpleQueue()
        with connected(path, app=(begun, go_on)) as runtime:
            handle = runtime.start_run(grind_by_hand, 1)
            backup = back_up(path)  # of when nobody had claimed it
            with runtime.worker():
                assert begun.get(timeout=PATIENCE) == 1
                os.replace(backup, path)
                if teller == "reader":
                    with suppress(StoreGone):
                        runtime.runs()
                go_on.put(None)

                # It is claimed again, as the first attempt that the new store knows of.
                assert begun.get(timeout=PATIENCE) == 1
                go_on.put(None)

                assert end_of(runtime, handle.id) is RunStatus.SUCCEEDED
                assert runtime.verify().ok

    def test_with_a_run_to_drain_says_so_at_once(self, path: Path) -> None:
        begun: SimpleQueue[int] = SimpleQueue()
        go_on: SimpleQueue[None] = SimpleQueue()
        with connected(path, app=(begun, go_on)) as runtime:
            handle = runtime.start_run(grind_by_hand, 1)

            def remove() -> None:
                begun.get(timeout=PATIENCE)
                shutil.rmtree(path.parent)
                go_on.put(None)

            thread = threading.Thread(target=remove)
            thread.start()
            with pytest.raises(StoreGone, match="deleted"):
                runtime.drain(handle.id, timeout=PATIENCE)
            thread.join()

    def test_is_not_needed_to_wait_in_vain(self, path: Path) -> None:
        with connected(path) as runtime:
            handle = runtime.start_run(grind, 1)
            threading.Timer(0.05, shutil.rmtree, (path.parent,)).start()

            with pytest.raises(StoreGone, match="deleted"):
                handle.wait(timeout=PATIENCE)
