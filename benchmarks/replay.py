"""What the statements of a run cost without an engine: the floor under its rate on SQLite.

They are noted while the work is done, and then run again by the bare driver, on a copy of the store
as it was before: the same statements with the same values in the same transactions, on the same
disk. What the work itself takes beyond that is Python around them.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.package import bench
from benchmarks.workloads import LATENCY_WARM_UP, latencies, submit
from stepwell import Runtime, connect
from stepwell.engine.clock import SystemClock
from stepwell.stores.sql.connection.sqlite import SqliteDialect

# How it is executed, the statement, and its values.
Call = tuple[str, str, Any]


class _Noting:
    """A cursor that notes what it is told to execute."""

    def __init__(self, cursor: Any, calls: list[Call]) -> None:
        self._cursor = cursor
        self._calls = calls

    def execute(self, sql: str, values: Any = ()) -> Any:
        self._calls.append(("execute", sql, values))
        return self._cursor.execute(sql, values)

    def executemany(self, sql: str, rows: Iterable[Any]) -> Any:
        kept = list(rows)
        self._calls.append(("executemany", sql, kept))
        return self._cursor.executemany(sql, kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def replay(place: str, shape: str, count: int) -> dict[str, float]:
    """Seconds for the statements of working off one run, and how many there are."""

    def prepare(runtime: Runtime) -> None:
        runtime.start_run("bench", count, entrypoint=shape)

    return _replay(place, prepare, lambda runtime: runtime.drain())


def replay_diamonds(place: str, count: int, clients: int) -> dict[str, float]:
    """The same for runs of five steps, submitted one by one by threads while a worker runs."""

    def work(runtime: Runtime) -> None:
        with runtime.worker():
            submit(runtime, "diamond", count, clients)
        runtime.drain()

    return _replay(place, lambda _runtime: None, work)


def replay_singles(place: str, count: int) -> dict[str, float]:
    """The same for one-step runs, each started once the one before it has its result.

    `each` is one run's part of it, in ms.
    """

    def work(runtime: Runtime) -> None:
        with runtime.worker():
            latencies(runtime, count)

    found = _replay(place, lambda _runtime: None, work)
    return {**found, "each": found["work"] * 1e3 / (count + LATENCY_WARM_UP)}


def _replay(
    place: str, prepare: Callable[[Runtime], None], work: Callable[[Runtime], None]
) -> dict[str, float]:
    calls: list[Call] = []
    writers: list[Any] = []
    cursor = SqliteDialect.cursor

    def noting(dialect: SqliteDialect, connection: Any) -> Any:
        if not writers:  # the first one; others read beside it, in transactions of their own
            writers.append(connection)
        known = cursor(dialect, connection)
        return _Noting(known, calls) if connection is writers[0] else known

    with tempfile.TemporaryDirectory(dir=place) as folder:
        before, store = Path(folder, "before.db"), Path(folder, "engine.db")
        with connect(f"sqlite:///{before}", home=folder, packages=[bench]) as runtime:
            prepare(runtime)
        shutil.copy(before, store)
        with (
            mock.patch.object(SqliteDialect, "cursor", noting),
            connect(f"sqlite:///{store}", home=folder, packages=[bench]) as runtime,
        ):
            calls.clear()
            work(runtime)
        return {"work": _run_again(before, calls), "statements": len(calls)}


def _run_again(store: Path, calls: list[Call]) -> float:
    # As the store connects itself: its pragmas are part of what it costs.
    connection = SqliteDialect(store, clock=SystemClock()).connect(readonly=False)
    try:
        cursor: sqlite3.Cursor = connection.cursor()
        begun = time.perf_counter()
        for how, sql, values in calls:
            getattr(cursor, how)(sql, values).fetchall()
        return time.perf_counter() - begun
    finally:
        connection.close()
