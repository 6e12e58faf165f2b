"""Durable operations one after another, and sleepers that fall due together."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.package import bench
from benchmarks.place import fresh_store
from stepwell import connect


def operations(place: str, count: int) -> dict[str, float]:
    """Durable operations of one step, one after another; what the step says they took."""
    with fresh_store(place) as (url, home), connect(url, home=home, packages=[bench]) as runtime:
        run = runtime.start_run("bench", count, entrypoint="operations")
        runtime.drain(run.id)
        return {"work": runtime.result(run.id, "operations").value}


def raw_operations(place: str, count: int) -> dict[str, float]:
    """Inserts by plain `sqlite3`, each in an fsynced transaction of its own."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        connection = sqlite3.connect(Path(folder, "inserts.db"), isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "CREATE TABLE operations (id INTEGER PRIMARY KEY, name TEXT, value TEXT)"
        )
        begun = time.perf_counter()
        for key in range(count):
            connection.execute("INSERT INTO operations VALUES (?, 'work', '1')", (key,))
        seconds = time.perf_counter() - begun
        connection.close()
    return {"work": seconds}


def sleepers(place: str, count: int, asleep: float) -> dict[str, float]:
    """From the moment all are due to the end of their run: woken, claimed, executed, settled.

    `asleep` is how long from now that moment is: long enough for all to sleep by then.
    """
    with fresh_store(place) as (url, home), connect(url, home=home, packages=[bench]) as runtime:
        due = datetime.now(UTC) + timedelta(seconds=asleep)
        given = {"count": count, "until": due.isoformat()}
        run = runtime.start_run("bench", given, entrypoint="sleepers")
        runtime.drain(run.id)
        ended = runtime.run(run.id).ended_at
        if ended is None or min(runtime.steps(run.id, limit=1)[0].ended_at or due, ended) < due:
            raise RuntimeError("the sleepers were not asleep in time")
    return {"work": (ended - due).total_seconds()}
