"""What a SQLite file has of the feed, and when."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.events import NOW
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import new_run, new_step
from stepwell.testing.run_store.feed import Reader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqlRunStore]:
    store: SqlRunStore = open_run_store(f"sqlite:///{path}", clock=SystemClock())
    store.define_queues([Queue(DEFAULT_QUEUE)])
    yield store
    store.close()


def execute(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        return connection.execute(sql).fetchall()


def test_store_without_a_reader_pays_nothing(path: Path, store: SqlRunStore) -> None:
    made = "SELECT name FROM sqlite_schema WHERE name LIKE 'event_feed%' ORDER BY name"
    store.create_run(new_run("a", new_step("s")))

    assert execute(path, made) == []
    store.events_since(NOW, 1)
    assert execute(path, made) == [("event_feed",), ("event_feed_begun",), ("event_feed_more",)]


def test_events_of_deleted_runs_are_gone(path: Path, store: SqlRunStore) -> None:
    reader = Reader(store, limit=1)
    for run in ("a", "b", "c"):
        store.create_run(new_run(run, new_step("s")))
    assert reader.page()[0].run_id == "a"

    execute(path, "DELETE FROM runs WHERE run_id IN ('a', 'b')")

    assert reader.told() == [("c", 1)]


def test_cursor_behind_the_last_run_is_good_after_that_was_deleted(
    path: Path, store: SqlRunStore
) -> None:
    reader = Reader(store)
    store.create_run(new_run("a", new_step("s")))
    reader.all()

    execute(path, "DELETE FROM runs")
    store.create_run(new_run("b", new_step("s")))

    assert reader.told() == [("b", 1)]


def test_page_is_read_by_the_indexes_alone(path: Path, store: SqlRunStore) -> None:
    store.events_since(NOW, 1)
    page = store._feed._entries._page  # type: ignore[attr-defined]  # its text
    with store.database.read() as tx:
        text = page.compile(tx.dialect)
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {text}", (1, 1, 1, 10)).fetchall()

    assert [row[-1].split(" USING ")[0] for row in plan if "SCAN" in row[-1]] == []
    assert [row[-1] for row in plan if "TEMP B-TREE" in row[-1]] == []
