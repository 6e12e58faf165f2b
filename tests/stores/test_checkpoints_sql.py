"""Checkpoints in a database: the fence of a step, damaged rows, and how one is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
import pytest

import stepwell.stores as stores
from stepwell import (
    CheckpointCorrupt,
    InvalidInput,
    LeaseLost,
    NoCheckpoint,
    RefusedByState,
    RuntimeClosed,
    StoreError,
    StoreVersionError,
    VirtualClock,
    open_checkpointer,
    pause_in_checkpoint,
)
from stepwell.engine.checkpoints.checkpoint import (
    AtomicCheckpointer,
    Checkpointer,
    JournalingCheckpointer,
)
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.engine.ports import RunStore
from stepwell.stores.checkpoints.base import OpenedCheckpointer
from stepwell.testing.builders import new_step
from stepwell.testing.checkpointers.case import ID, checkpoint, full, operation, update
from stepwell.testing.run_store.case import OPERATOR, Bench

WRITES: dict[str, Callable[[OpenedCheckpointer], object]] = {
    "save": lambda store: store.save_checkpoint(checkpoint()),
    "record": lambda store: store.record(update(operation(1))),
    "atomic": lambda store: store.atomic_update(ID, lambda found: found.variables.clear()),
    "delete": lambda store: store.delete_checkpoint(ID),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'engine.db'}"
    found = str(request.getfixturevalue("postgres_url"))
    with psycopg.connect(found) as connection:
        connection.execute("TRUNCATE checkpoints CASCADE")
    return found


@pytest.fixture
def bench(url: str) -> Any:
    clock = VirtualClock()
    with closing(stores.opening.open_run_store(url, clock=clock)) as store:
        store.define_queues([Queue(DEFAULT_QUEUE)])
        yield Bench(store, clock)


@pytest.fixture
def step(bench: Bench) -> ClaimedStep:
    """A step this worker holds."""
    bench.create(new_step("a"), new_step("b"))
    return bench.claim(1)[0]


@each_write
def test_who_holds_the_step_writes(bench: Bench, step: ClaimedStep, write: Any) -> None:
    store: Any = bench.store.checkpointer(step)
    store.save_checkpoint(full())

    write(store)

    assert isinstance(store, AtomicCheckpointer)
    assert isinstance(store, JournalingCheckpointer)


@each_write
def test_an_old_token_writes_nothing(bench: Bench, step: ClaimedStep, write: Any) -> None:
    bench.store.checkpointer(step).save_checkpoint(full())
    stale = replace(step, token=step.token - 1)

    with pytest.raises(LeaseLost, match=f"step '{step.id}'"):
        write(bench.store.checkpointer(stale))

    assert bench.store.checkpointer().load_checkpoint(ID) == full()


@each_write
def test_a_step_that_was_canceled_writes_nothing(
    bench: Bench, step: ClaimedStep, write: Any
) -> None:
    bench.store.checkpointer(step).save_checkpoint(full())
    bench.store.cancel_run("r", OPERATOR)

    with pytest.raises(LeaseLost):
        write(bench.store.checkpointer(step))

    assert bench.store.checkpointer().load_checkpoint(ID) == full()


def test_a_load_needs_no_lease(bench: Bench, step: ClaimedStep) -> None:
    bench.store.checkpointer(step).save_checkpoint(full())

    stale = bench.store.checkpointer(replace(step, token=-1))

    assert stale.load_checkpoint(ID) == full()


def test_an_operator_pauses_beside_the_worker(bench: Bench, step: ClaimedStep) -> None:
    worker: Any = bench.store.checkpointer(step)
    assert not worker.record(update(operation(1)))

    pause_in_checkpoint(bench.store.checkpointer(), ID)

    assert worker.record(update(operation(2)))


def test_another_store_and_a_checkpointer_of_its_url_share_checkpoints(
    bench: Bench, url: str
) -> None:
    if url == "memory://":
        pytest.skip("has no url that leads to it")
    bench.store.checkpointer().save_checkpoint(full())

    with open_checkpointer(url) as store:
        assert store.load_checkpoint(ID) == full()


def test_change_may_not_call_its_checkpointer(bench: Bench) -> None:
    store: Any = bench.store.checkpointer()
    store.save_checkpoint(checkpoint())

    with pytest.raises(RefusedByState, match="change called the checkpointer"):
        store.atomic_update(ID, lambda found: store.record(update(operation(1))))


def test_an_asynchronous_change_is_refused(bench: Bench) -> None:
    store: Any = bench.store.checkpointer()
    store.save_checkpoint(checkpoint())

    async def change(found: object) -> None: ...

    with pytest.raises(InvalidInput, match="plain function"):
        store.atomic_update(ID, change)


@pytest.mark.parametrize("kind", [sqlite3.OperationalError, psycopg.OperationalError])
def test_a_database_error_of_change_is_passed_on(bench: Bench, kind: Any) -> None:
    error = kind("mine")
    store: Any = bench.store.checkpointer()
    store.save_checkpoint(checkpoint())

    def change(found: object) -> None:
        raise error

    with pytest.raises(type(error), match=r"^mine$") as caught:
        store.atomic_update(ID, change)

    assert caught.value is error


DAMAGE = {
    "head": "UPDATE checkpoints SET head = 'x' || head",
    "head cut": "UPDATE checkpoints SET head = substr(head, 1, 50)",
    "head empty": "UPDATE checkpoints SET head = ''",
    "NaN": "UPDATE checkpoints SET head = replace(head, '\"abc\"', 'NaN')",
    "a key twice": 'UPDATE checkpoints SET head = replace(head, \'"id":\', \'"run_id":"x","id":\')',
    "another execution": "UPDATE checkpoints SET head = replace(head, 'run-1/deploy', 'other')",
    "operation cut": "UPDATE checkpoint_operations SET body = substr(body, 1, 9)",
    "operation empty": "UPDATE checkpoint_operations SET body = ''",
    "operations run together": "UPDATE checkpoint_operations SET body = body || ',' || body",
    "operation without a name": "UPDATE checkpoint_operations SET body = '{}'",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_rows_are_reported_and_kept(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "engine.db"
    with open_checkpointer(f"sqlite:///{path}") as store:
        store.save_checkpoint(full())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(damage)
        rows = [
            *connection.execute("SELECT * FROM checkpoints"),
            *connection.execute("SELECT * FROM checkpoint_operations"),
        ]

    with open_checkpointer(f"sqlite:///{path}") as store:
        with pytest.raises(CheckpointCorrupt, match=r"engine\.db.*left as it is"):
            store.load_checkpoint(ID)
        with pytest.raises(CheckpointCorrupt):
            pause_in_checkpoint(store, ID)

    with closing(sqlite3.connect(path)) as connection:
        assert rows == [
            *connection.execute("SELECT * FROM checkpoints"),
            *connection.execute("SELECT * FROM checkpoint_operations"),
        ]


def test_sqlite_is_made_and_brought_up_to_date_by_itself(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    with open_checkpointer(url) as store:
        store.save_checkpoint(full())

    with closing(stores.opening.open_run_store(url, clock=VirtualClock())) as runs:
        assert runs.checkpointer().load_checkpoint(ID) == full()


def test_a_server_is_never_migrated(postgres_server: str) -> None:
    with pytest.raises(StoreError, match=r"run: stepwell db upgrade|holds other tables"):
        open_checkpointer(postgres_server)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    open_checkpointer(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = 999 WHERE name = 'schema_version'")

    with pytest.raises(StoreVersionError, match="999"):
        open_checkpointer(f"sqlite:///{path}")


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (x)")

    with pytest.raises(StoreError, match="holds other tables"):
        open_checkpointer(f"sqlite:///{path}")


def test_after_close_nothing_can_be_done(tmp_path: Path) -> None:
    store = open_checkpointer(f"sqlite:///{tmp_path / 'engine.db'}")
    store.close()
    store.close()

    with pytest.raises(RuntimeClosed, match="is closed"):
        store.save_checkpoint(full())


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("engine.db", "sqlite:///engine.db"),
        ("memory://x", "nothing behind it"),
        ("file://folder", "three slashes"),
        ("file:///", "names no folder"),
        ("sqlite://engine.db", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqllite:///x", "did you mean 'sqlite'"),
        ("postgresql://me:secret@host:port/x", "cannot be read"),
        ("mysql://me:secret@host/x", "unknown kind of URL 'mysql'"),
        ("host=db password=secret", "must be a URL"),
        ("", "must be a URL"),
        (None, "got NoneType"),
        (Path("x"), "got PosixPath"),
    ],
)
def test_urls_that_cannot_be(url: Any, hint: str) -> None:
    with pytest.raises(InvalidInput, match=hint) as caught:
        open_checkpointer(url)

    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1") as caught:
        open_checkpointer("postgresql://me:secret@127.0.0.1:1/x")

    assert "secret" not in str(caught.value)


def test_records_come_near_the_limit_of_the_disk(tmp_path: Path) -> None:
    count = 300

    def plain() -> float:
        with closing(sqlite3.connect(tmp_path / "raw.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("CREATE TABLE IF NOT EXISTS it (x TEXT)")
            begun = perf_counter()
            for _ in range(count):
                connection.execute("INSERT INTO it VALUES (?)", ("x" * 200,))
            return count / (perf_counter() - begun)

    def recorded(store: OpenedCheckpointer, batch: int) -> float:
        begun = perf_counter()
        for number in range(count):
            store.record(update(operation(batch * count + number + 1)))
        return count / (perf_counter() - begun)

    with open_checkpointer(f"sqlite:///{tmp_path / 'engine.db'}") as store:
        share = max(recorded(store, batch) / plain() for batch in range(5))

    # One insert in a transaction of its own is the limit; half of it is usual.
    assert share > 0.2


def test_a_run_store_gives_checkpointers(bench: Bench) -> None:
    store: RunStore = bench.store
    checkpointer: Checkpointer = store.checkpointer()

    with pytest.raises(NoCheckpoint):
        checkpointer.load_checkpoint(ID)
