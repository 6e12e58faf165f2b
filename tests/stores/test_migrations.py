"""Stores made by earlier versions of the schema go on with what is in them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from stepwell.engine.clock import SystemClock, VirtualClock
from stepwell.engine.exchange import NewMessage
from stepwell.stores import opening
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.schema.migrations import LATEST, MIGRATIONS
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import suspended
from stepwell.testing.run_store.case import OPERATOR, SECOND, Bench, check_counts
from tests.conftest import url_of

CLOCK = VirtualClock()
NOW = CLOCK.micros()
DUE = NOW + 1_000_000

Execute = Callable[[str], object]


RUN = {"package": "tests", "entrypoint": "start", "status": "running", "input": "null"}
RUN_TEXTS = {"metadata": "{}", "tags": "[]"}
STEP = {"kind": "work", "queue": "default", "input": "null"}
STEP_NUMBERS = dict.fromkeys(
    ("priority", "pending", "attempt", "failures", "lost_leases", "allow_failure"), 0
)


def row(table: str, values: dict[str, Any]) -> str:
    """An insert of one row."""
    texts = ", ".join(map(repr, values.values()))
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({texts})"


def run(key: int, id: str, steps: int) -> str:
    counts = {"total_steps": steps, "open_steps": steps, "event_seq": 0}
    own = {"id": key, "run_id": id, "name": id, "created_at": NOW, "started_at": NOW}
    return row("runs", {**RUN, **RUN_TEXTS, **counts, **own})


def step(key: int, run_key: int, id: str, status: str, **fields: Any) -> str:
    own = {"id": key, "run_key": run_key, "step_id": id, "status": status, "max_attempts": 1}
    times = {"ready_at": NOW, "created_at": NOW, "token": 1}
    return row("steps", {**STEP, **STEP_NUMBERS, **own, **times, **fields})


def fill_version_1(execute: Execute, ddl: Any) -> None:
    """A store of version 1 with steps that wait: for the end of a run, for a time, for both."""
    for statement in MIGRATIONS[0][2]:
        execute(statement.format(**ddl))
    execute("UPDATE meta SET value = 1 WHERE name = 'schema_version'")
    execute("UPDATE meta SET value = 10 WHERE name IN ('next_run', 'next_step')")
    queue = {"name": "default", "rate_period": 1, "refilled_at": NOW, "labels": "[]"}
    execute(row("queues", queue))
    execute(run(1, "r", 4))
    execute(run(2, "child", 1))
    execute(step(1, 1, "run", "waiting", wait_run="child", wait="{}"))
    execute(step(2, 1, "time", "waiting", wake_at=DUE, wait="{}"))
    execute(step(3, 1, "both", "waiting", wait_run="child", wake_at=DUE, wait="{}"))
    execute(step(4, 1, "ready", "ready"))
    execute(step(5, 2, "x", "ready", kind="child"))


@pytest.fixture
def upgraded_file(tmp_path: Path) -> SqlRunStore:
    path = tmp_path / "engine.db"
    connection = sqlite3.connect(path)
    with connection:
        fill_version_1(connection.execute, SqliteDialect.ddl)
    connection.close()
    assert opening.schema(f"sqlite:///{path}", clock=CLOCK)[:2] == (1, LATEST)
    return SqlRunStore.open(SqliteDialect(path, clock=CLOCK))


@pytest.fixture
def upgraded_server(postgres_server: str) -> Iterator[SqlRunStore]:
    name = f"stepwell_upgrade_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    url = url_of(postgres_server, name)
    with psycopg.connect(url) as connection:
        fill_version_1(lambda sql: connection.execute(sql.encode()), PostgresDialect.ddl)
    assert opening.upgrade(url, clock=SystemClock()) == list(range(2, LATEST + 1))
    store = SqlRunStore.open(PostgresDialect(url, clock=CLOCK))
    yield store
    store.close()
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture(params=["file", "server"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """At the store of version 1, brought up to date."""
    clock = VirtualClock()
    store: SqlRunStore = request.getfixturevalue(f"upgraded_{request.param}")
    store._dialect._clock = clock  # type: ignore[attr-defined]  # each test moves its own
    yield Bench(store, clock)
    store.close()


def test_steps_that_wait_for_a_run_are_woken_by_its_end(bench: Bench) -> None:
    assert bench.store.status().schema_version == LATEST

    bench.complete(bench.claim_one(kinds=["child"]))

    assert bench.statuses() == {
        "run": "ready",
        "time": "waiting",
        "both": "ready",
        "ready": "ready",
    }
    check_counts(bench)
    assert len(bench.work_off()) == 3


def test_steps_that_wait_for_a_time_are_woken_by_it(bench: Bench) -> None:
    assert bench.store.next_due(bench.clock.micros()) == DUE
    bench.clock.advance(SECOND)

    assert bench.store.reap(3) == 2

    assert bench.statuses()["run"] == "waiting"
    assert {step.id: step.wake_at for step in bench.claim()} == {
        "time": DUE,
        "both": DUE,
        "ready": None,
    }


def test_old_runs_can_do_what_is_new(bench: Bench) -> None:
    bench.settle(suspended(bench.claim_one(), topic="mail"))
    assert bench.store.pause_run("r", OPERATOR) == 0
    bench.store.send(NewMessage("r", "mail", "1"))
    assert bench.statuses()["ready"] == "held"

    assert bench.store.resume_run("r", OPERATOR) == 1

    assert bench.store.receive(bench.claim_one(), "mail", "receive") == "1"
    assert bench.store.next_due(bench.clock.micros()) is not None
