"""The raw limit: the row writes of a step by plain `sqlite3`, with nothing around them.

For each step: lease it, store its result, mark it done, count down one dependent, add an event.
One transaction for each batch, WAL and synchronous=FULL, as in the store.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

SCHEMA = """
CREATE TABLE steps (id INTEGER PRIMARY KEY, name TEXT, status TEXT, pending INTEGER, token INTEGER,
                    expires_at INTEGER, input TEXT, ended_at INTEGER);
CREATE INDEX ready ON steps (id) WHERE status = 'ready';
CREATE INDEX running ON steps (expires_at) WHERE status = 'running';
CREATE TABLE results (step INTEGER PRIMARY KEY, value TEXT, committed_at INTEGER);
CREATE TABLE events (run INTEGER, seq INTEGER, type TEXT, at INTEGER, step INTEGER,
                     PRIMARY KEY (run, seq)) WITHOUT ROWID;
"""


def raw_steps(place: str, steps: int, batch: int) -> dict[str, float]:
    """Seconds for so many steps with `batch` of them in each fsynced transaction."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        connection = sqlite3.connect(Path(folder, "raw.db"), isolation_level=None)
        try:
            _prepare(connection, steps)
            begun = time.perf_counter()
            for first in range(0, steps, batch):
                _write(connection, range(first, min(first + batch, steps)))
            return {"work": time.perf_counter() - begun}
        finally:
            connection.close()


def _prepare(connection: sqlite3.Connection, steps: int) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(SCHEMA)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT INTO steps VALUES (?, ?, 'ready', 1, 0, NULL, '1', NULL)",
        [(key, f"bench.noop:{key}") for key in range(steps + 1)],
    )
    connection.execute("COMMIT")


def _write(connection: sqlite3.Connection, keys: range) -> None:
    now = keys.start
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "UPDATE steps SET status = 'running', token = token + 1, expires_at = ? WHERE id = ?",
        [(now, key) for key in keys],
    )
    connection.executemany("INSERT INTO results VALUES (?, '1', ?)", [(key, now) for key in keys])
    connection.executemany(
        "UPDATE steps SET status = 'succeeded', expires_at = NULL, ended_at = ? WHERE id = ?",
        [(now, key) for key in keys],
    )
    connection.executemany(
        "UPDATE steps SET pending = pending - 1 WHERE id = ?", [(key + 1,) for key in keys]
    )
    connection.executemany(
        "INSERT INTO events VALUES (1, ?, 'step.succeeded', ?, ?)",
        [(key, now, key) for key in keys],
    )
    connection.execute("COMMIT")
