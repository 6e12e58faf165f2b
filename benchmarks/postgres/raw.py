"""The raw limit: the row writes of a step by plain psycopg, with nothing around them.

For each step: lease it, store its result, mark it done, count down one dependent, add an event.
One transaction for each batch, one statement with an array for each kind of write, all of them
sent in one round trip, synchronous_commit=on.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from benchmarks.postgres.server import database, settle_down
from benchmarks.report import Measure

SCHEMA = (
    """CREATE TABLE steps (id BIGINT PRIMARY KEY, name TEXT, status TEXT, pending BIGINT,
        token BIGINT, expires_at BIGINT, input TEXT, ended_at BIGINT)""",
    "CREATE INDEX ready ON steps (id) WHERE status = 'ready'",
    "CREATE INDEX running ON steps (expires_at) WHERE status = 'running'",
    "CREATE TABLE results (step BIGINT PRIMARY KEY, value TEXT, committed_at BIGINT)",
    """CREATE TABLE events (run BIGINT, seq BIGINT, type TEXT, at BIGINT, step BIGINT,
        PRIMARY KEY (run, seq))""",
)
FILL = "INSERT INTO steps SELECT id, 'bench.noop:' || id, 'ready', 1, 0, NULL, '1', NULL FROM "
LEASE = (
    "UPDATE steps SET status = 'running', token = token + 1, expires_at = %s WHERE id = ANY (%s)"
)
RESULT = "INSERT INTO results SELECT id, '1', %s FROM unnest(%s::bigint[]) AS id"
DONE = "UPDATE steps SET status = 'succeeded', expires_at = NULL, ended_at = %s WHERE id = ANY (%s)"
COUNT_DOWN = "UPDATE steps SET pending = pending - 1 WHERE id = ANY (%s)"
EVENT = "INSERT INTO events SELECT %s, id, 'step.succeeded', %s, id FROM unnest(%s::bigint[]) AS id"


@dataclass(frozen=True, slots=True)
class Limits:
    """What figures are held against: `alone` where each step waits for the one before it, and
    `grouped` where many can be written in one transaction.
    """

    alone: float
    grouped: float
    rows: Sequence[Measure]


def measure_limits(server: str, repeats: int, scale: float) -> Limits:
    """Groups of 1, 16 and 128 on fresh databases; 128 also by two connections at once."""
    one = _limit(server, 1, 1, int(3_000 * scale), repeats)
    few = _limit(server, 16, 1, int(20_000 * scale), repeats)
    many = _limit(server, 128, 1, int(40_000 * scale), repeats)
    twice = _limit(server, 128, 2, int(40_000 * scale), repeats)
    return Limits(one.value, max(many.value, twice.value), [one, few, many, twice])


def _limit(server: str, batch: int, writers: int, steps: int, repeats: int) -> Measure:
    rates = []
    for _ in range(repeats):
        with database(server) as url:
            settle_down(url)
            count = max(2 * batch, steps)
            rates.append(raw_steps_per_second(url, count, batch, writers))
    connections = f"{writers} connection{'s' if writers > 1 else ''}"
    name = f"raw limit: groups of {batch}, {connections}"
    return Measure(name, statistics.median(rates), "steps/s")


def raw_steps_per_second(url: str, steps: int, batch: int, writers: int = 1) -> float:
    """Steps per second with `batch` steps in each transaction, by so many connections at once."""
    with psycopg.connect(url) as connection:
        for statement in SCHEMA:
            connection.execute(statement.encode())
        # One more for each writer: the last step of each counts down the one after it.
        connection.execute(f"{FILL} generate_series(0, %s) AS id".encode(), (steps + 2 * writers,))
    share = steps // writers
    together = threading.Barrier(writers + 1)

    def write(number: int) -> None:
        first = number * (share + 1)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = on")
            together.wait()
            for start in range(first, first + share, batch):
                _write(connection, number, list(range(start, min(start + batch, first + share))))

    with ThreadPoolExecutor(writers) as pool:
        done = [pool.submit(write, number) for number in range(writers)]
        together.wait()
        begun = time.perf_counter()
        for each in done:
            each.result()
        seconds = time.perf_counter() - begun
    return share * writers / seconds


def _write(connection: psycopg.Connection[tuple[object, ...]], run: int, keys: list[int]) -> None:
    now = keys[0]
    with connection.pipeline(), connection.transaction():
        connection.execute(LEASE, (now, keys))
        connection.execute(RESULT, (now, keys))
        connection.execute(DONE, (now, keys))
        connection.execute(COUNT_DOWN, ([key + 1 for key in keys],))
        connection.execute(EVENT, (run, now, keys))
