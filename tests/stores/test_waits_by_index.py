"""Very many waiting steps cost a poll nothing: what is due, or named, is found by an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.connection.statements import Statement, StoreTransaction, rows_json
from stepwell.stores.sql.exchange.leases import LeaseStatements
from stepwell.stores.sql.exchange.messages import MessageStatements
from stepwell.stores.sql.exchange.waking import WakingStatements
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import new_run, new_step

WAITING = 100_000
NUMBERS = {
    "sqlite": f"""(WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c
        WHERE n < {WAITING}) SELECT n FROM c)""",
    "postgresql": f"(SELECT n FROM generate_series(1, {WAITING}) AS g (n)) AS numbers",
}
EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}
# A whole table, or a whole index, is read …
WHOLE = re.compile(r"(Seq Scan on|SCAN) (steps|messages|waits)\b")
# … which is fine for an index of what is running or ready.
HOT = re.compile(r"INDEX steps_(running|ready)")
# How the copies of the one step differ: each waits for a name and a time of its own.
OF_COPIES = {
    "id": "steps.id + n",
    "step_id": "'a' || n",
    "status": "'waiting'",
    "wait_for": "'topic:' || n || ':t'",
    "wake_at": "4000000000000000 + n",
}


class Planner:
    """Says how a database with very many waiting steps would run a statement."""

    def __init__(self, store: SqlRunStore, name: str) -> None:
        self.dialect = store._dialect
        self._database = store.database
        self._explain = EXPLAIN[name]
        store.define_queues([Queue(DEFAULT_QUEUE)])
        store.create_run(new_run("r", new_step("a")))
        store.database.write(lambda tx: self._fill(tx, NUMBERS[name]))

    def _fill(self, tx: StoreTransaction, numbers: str) -> None:
        tx.cursor.execute("SELECT * FROM steps")
        columns = [column[0] for column in tx.cursor.description]
        values = ", ".join(OF_COPIES.get(column, f"steps.{column}") for column in columns)
        tx.cursor.execute(
            f"INSERT INTO steps ({', '.join(columns)}) SELECT {values} FROM steps, {numbers}"
        )
        tx.cursor.execute(
            "INSERT INTO messages (run_key, topic, payload, created_at) "
            "SELECT run_key, step_id, '1', 0 FROM steps"
        )
        tx.cursor.execute("INSERT INTO waits SELECT id, 'topic:' || id || ':u' FROM steps")
        tx.cursor.execute("ANALYZE")

    def plan(self, statement: Statement, *values: Any) -> str:
        """The plan, line by line."""
        statement._sql = f"{self._explain} {statement.compile(self.dialect)}"
        with self._database.read() as tx:
            rows = statement(tx, *values).fetchall()
        return "\n".join(str(row[-1]) for row in rows)


@contextmanager
def planner_at(url: str, name: str) -> Iterator[Planner]:
    store = open_run_store(url, clock=SystemClock())
    try:
        yield Planner(store, name)
    finally:
        store.close()


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planner]:
    folder: Path = tmp_path_factory.mktemp("planner")
    with planner_at(f"sqlite:///{folder}/engine.db", "sqlite") as planner:
        yield planner


def statements(planner: Planner) -> dict[str, tuple[str, Statement, tuple[Any, ...]]]:
    """By what they find: the index, the statement and its parameters."""
    leases, changes = LeaseStatements(planner.dialect), WakingStatements(planner.dialect)
    messages = MessageStatements(planner.dialect)
    now = 3_000_000_000_000_000
    waits = rows_json([(1, 1, "t", "receive"), (2, 1, "u", "receive")])
    return {
        "due": ("steps_due", leases.find_due, (now, 100)),
        "anything due": ("steps_due", leases.anything_due, (now,)),
        "next due": ("steps_due", leases.next_due, (now,)),
        "waiting for a name": ("steps_awaiting", changes.find_one, ("topic:7:t",)),
        "waiting for a name beside others": ("waits_by_name", changes.find_one, ("topic:7:t",)),
        "waiting for names": (
            "steps_awaiting",
            changes.find_waiting,
            (rows_json(["topic:7:t", "topic:8:t"]),),
        ),
        "waiting for names beside others": (
            "waits_by_name",
            changes.find_waiting,
            (rows_json(["topic:7:t", "topic:8:t"]),),
        ),
        "arrived": ("messages_unreceived", messages.arrived, (waits,)),
        "taken before": ("messages_received", messages.arrived, (waits,)),
        "first message": ("messages_unreceived", messages.first, (1, "t")),
    }


def check(planner: Planner) -> None:
    """Each finds what it looks for by its index, and reads no whole table."""
    for what, (index, statement, values) in statements(planner).items():
        plan = planner.plan(statement, *values)
        assert index in plan, f"{what}:\n{plan}"
        whole = [line for line in plan.split("\n") if WHOLE.search(line)]
        assert all(map(HOT.search, whole)), f"{what}:\n{plan}"


def test_on_sqlite(on_sqlite: Planner) -> None:
    check(on_sqlite)


def test_on_postgresql(postgres_url: str) -> None:
    with planner_at(postgres_url, "postgresql") as planner:
        check(planner)
