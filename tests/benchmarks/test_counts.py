"""Transactions and statements per step: they do not depend on the machine, so they are bounded.

Each figure is a slope, the difference between a larger and a smaller run over the steps between
them, so that what a worker does once does not count. Lower a bound when the engine does better.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from benchmarks.package import DIAMOND, bench
from stepwell import Runtime, Settings, connect
from tests.benchmarks.counting import Counts, listening

# No renewal comes between.
SETTINGS = Settings(lease=3_600)
CHUNK = 500
# How the steps fall into groups depends on what else the machine does; the best of so many counts.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """What each further step costs."""

    transactions: float
    statements: float
    reads: float

    def within(self, most: Rate) -> bool:
        return (
            self.transactions <= most.transactions
            and self.statements <= most.statements
            and self.reads <= most.reads
        )


def start(runtime: Runtime, shape: str, size: int) -> int:
    """Start what is measured; returns its number of steps."""
    if shape == "diamonds":
        for _ in range(size):
            runtime.start_run("bench", entrypoint="diamond")
        return size * DIAMOND
    given = {"chunks": size, "size": CHUNK} if shape == "emission" else size
    runtime.start_run("bench", given, entrypoint=shape)
    return size * (CHUNK + 1) if shape == "emission" else size


def count(url: str, home: Path, shape: str, size: int) -> tuple[int, Counts, Counts]:
    """Steps, and what starting them and working them off did to the database."""
    with listening() as heard, connect(url, home=home, packages=[bench], settings=SETTINGS) as on:
        begun = heard.counts()
        steps = start(on, shape, size)
        started = heard.counts()
        on.drain()
        return steps, started - begun, heard.counts() - started


def slope(few: tuple[int, Counts], many: tuple[int, Counts]) -> Rate:
    steps, counts = many[0] - few[0], many[1] - few[1]
    return Rate(counts.transactions / steps, counts.statements / steps, counts.reads / steps)


def rates(url: str, home: Path, shape: str, sizes: tuple[int, int]) -> tuple[Rate, Rate]:
    """What a step costs at the start of its run, and at work."""
    few, many = (count(url, home, shape, size) for size in sizes)
    return slope(few[:2], many[:2]), slope((few[0], few[2]), (many[0], many[2]))


SIZES = {
    "chain": (20, 60),
    "fan": (500, 2_500),
    "loose": (500, 2_500),
    "emission": (1, 5),
    "diamonds": (40, 140),
}
# By database and shape: the most for each step at the start of its run, and at work.
MOST = {
    ("sqlite", "chain"): (Rate(0, 2.1, 0), Rate(1, 11.5, 0.1)),
    ("sqlite", "fan"): (Rate(0, 3.1, 0), Rate(0.05, 2.5, 0.05)),
    ("sqlite", "loose"): (Rate(0, 1.1, 0), Rate(0.05, 2.5, 0.05)),
    ("sqlite", "emission"): (Rate(0, 0.01, 0), Rate(0.05, 4.5, 0.05)),
    ("sqlite", "diamonds"): (Rate(0.2, 3.3, 0), Rate(0.05, 2.8, 0.05)),
    ("postgresql", "chain"): (Rate(0, 0.01, 0), Rate(1, 5.5, 0.1)),
    ("postgresql", "fan"): (Rate(0, 0.01, 0), Rate(0.05, 0.3, 0.05)),
    ("postgresql", "loose"): (Rate(0, 0.01, 0), Rate(0.05, 0.3, 0.05)),
    ("postgresql", "emission"): (Rate(0, 0.01, 0), Rate(0.05, 0.3, 0.05)),
    ("postgresql", "diamonds"): (Rate(0.2, 1.1, 0), Rate(0.1, 0.5, 0.1)),
}


def check(url: str, home: Path, database: str, shape: str) -> None:
    at_start, at_work = MOST[database, shape]
    found: list[Rate] = []
    for _ in range(TRIES):
        started, worked = rates(url, home, shape, SIZES[shape])
        assert started.within(at_start), f"{database}, {shape}: to start a step costs {started}"
        found.append(worked)
        if worked.within(at_work):
            return
    pytest.fail(f"{database}, {shape}: a step costs {found}, must be within {at_work}")


@pytest.mark.parametrize("shape", SIZES)
def test_a_step_costs_few_statements_on_sqlite(shape: str, tmp_path: Path) -> None:
    check(f"sqlite:///{tmp_path}/engine.db", tmp_path, "sqlite", shape)


@pytest.mark.parametrize("shape", SIZES)
def test_a_step_costs_few_statements_on_postgresql(
    shape: str, postgres_url: str, tmp_path: Path
) -> None:
    check(postgres_url, tmp_path, "postgresql", shape)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_step_of_a_chain_is_one_transaction(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/engine.db"
    if database == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))

    _, worked = rates(url, tmp_path, "chain", SIZES["chain"])

    # Fewer would not be durable, step by step; more would be waste.
    assert worked.transactions == 1


def test_whatever_reaches_sqlite_is_counted(tmp_path: Path) -> None:
    with listening() as heard:
        connection = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
        connection.execute("CREATE TABLE t (x)")
        begun = heard.counts()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (3)")
        connection.execute("ROLLBACK")
        connection.execute("INSERT INTO t VALUES (4)")
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM t").fetchall()
        connection.execute("ROLLBACK")
        found = heard.counts() - begun
        connection.close()

    assert found == Counts(transactions=2, statements=3, reads=2)


def test_whatever_reaches_postgresql_is_counted(postgres_url: str) -> None:
    with listening() as heard, psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE t (x int)")
        begun = heard.counts()
        connection.execute("BEGIN; SELECT 1")
        for number in range(6):  # some of them prepared
            connection.execute("INSERT INTO t VALUES (%s)", (number,))
        connection.execute("COMMIT")
        connection.execute("INSERT INTO t VALUES (7)")
        connection.execute("SELECT * FROM t").fetchall()
        found = heard.counts() - begun

    assert found == Counts(transactions=2, statements=8, reads=1)
