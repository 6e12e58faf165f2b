"""Transactions and statements per step: they do not depend on the machine, so they are bounded.

Lower a bound when the engine does better.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest

from benchmarks.counting import Counts, listening
from benchmarks.counts import SIZES, Rate, rates

# How the steps fall into groups depends on what else the machine does; the best of so many counts.
TRIES = 3
# By database and shape: the most for each step at the start of its run, and at work.
MOST = {
    ("sqlite", "chain"): (Rate(0, 2.1, 0), Rate(1, 11.5, 0.1)),
    ("sqlite", "fan"): (Rate(0, 3.1, 0), Rate(0.05, 2.5, 0.05)),
    ("sqlite", "loose"): (Rate(0, 1.1, 0), Rate(0.05, 2.5, 0.05)),
    ("sqlite", "emission"): (Rate(0, 0.01, 0), Rate(0.05, 4.5, 0.05)),
    ("sqlite", "diamonds"): (Rate(0.2, 3.3, 0), Rate(0.05, 2.8, 0.05)),
    ("postgresql", "chain"): (Rate(0, 0.01, 0), Rate(1, 3.1, 0.1)),
    ("postgresql", "fan"): (Rate(0, 0.01, 0), Rate(0.05, 0.3, 0.05)),
    ("postgresql", "loose"): (Rate(0, 0.01, 0), Rate(0.05, 0.3, 0.05)),
    ("postgresql", "emission"): (Rate(0, 0.01, 0), Rate(0.05, 0.3, 0.05)),
    ("postgresql", "diamonds"): (Rate(0.2, 1.1, 0), Rate(0.1, 0.5, 0.1)),
}


def check(url: str, home: Path, database: str, shape: str) -> None:
    at_start, at_work = MOST[database, shape]
    found: list[Rate] = []
    for _ in range(TRIES):
        started, worked = rates(url, home, shape)
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

    # A worker that is woken by the start of its run looks once more, or not.
    found = [rates(url, tmp_path, "chain")[1].transactions for _ in range(TRIES)]

    # Fewer would not be durable, step by step; more would be waste.
    assert 1 in found, found


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
