"""Hot statements look rows up by their keys, whatever the planner believes of their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.connection.statements import Statement
from stepwell.stores.sql.exchange.fused_sql import FusedStatements

FEW_ROWS = {"meta", "queues"}
# All there ever are in it are few.
FEW_ENTRIES = {"steps_suspect"}


def statements() -> dict[str, Statement]:
    dialect = PostgresDialect("postgresql://nowhere/nothing")
    found = vars(FusedStatements(dialect))
    return {name: value for name, value in found.items() if isinstance(value, Statement)}


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a plan that read tables."""
    if "Scan" in plan["Node Type"] and ("Relation Name" in plan or "Index Name" in plan):
        yield plan
    for below in plan.get("Plans", ()):
        yield from scans(below)


@pytest.fixture(params=[0, 900, 20_000])
def connection(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """As the store's own, with tables that are small or large, and new to the planner or not."""
    connection = PostgresDialect(postgres_url).connect(readonly=False)
    # In one transaction, so that no vacuum comes in between and tells the planner what there is.
    connection.execute("BEGIN")
    connection.execute("TRUNCATE runs, steps, dependencies CASCADE")
    # What was found out about other tests' rows outlives them.
    connection.execute(
        "DELETE FROM pg_statistic WHERE starelid IN"
        " ('runs'::regclass, 'steps'::regclass, 'dependencies'::regclass)"
    )
    connection.execute(
        "INSERT INTO runs SELECT n, n, 'p', 'e', 'n', 'running', '', '', '', 0, 0, 0, NULL, NULL, 0"
        f" FROM generate_series(1, {request.param} / 40) AS n"
    )
    connection.execute(
        "INSERT INTO steps (id, run_key, step_id, kind, queue, status, priority, ready_at, pending,"
        " attempt, failures, lost_leases, max_attempts, allow_failure, input, token, created_at)"
        f" SELECT n, n % ({request.param} / 40) + 1, n, 'k', 'q', 'ready', 0, 0, 0, 0, 0, 0, 1, 0,"
        f" '', 0, 0 FROM generate_series(1, {request.param}) AS n"
    )
    connection.execute(
        "INSERT INTO dependencies SELECT n, n + 1, 'succeeded', 0"
        f" FROM generate_series(1, {request.param} - 1) AS n"
    )
    if request.param > 1_000:
        connection.execute("ANALYZE")
    yield connection
    connection.execute("ROLLBACK")
    connection.close()


@pytest.mark.parametrize("name", statements())
def test_no_scan_of_a_table(connection: Any, name: str) -> None:
    # given
    statement = statements()[name]
    sql = statement.compile(PostgresDialect("postgresql://nowhere/nothing"))
    # when: the plan for any parameters, which is the one that is used
    ((found,),) = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {sql}").fetchall()
    # then
    for scan in scans(found[0]["Plan"]):
        if scan.get("Relation Name") in FEW_ROWS or scan.get("Index Name") in FEW_ENTRIES:
            continue
        looked_up = "Index Cond" in scan or scan["Node Type"] == "Bitmap Heap Scan"
        assert looked_up, f"{name} reads all of {scan['Relation Name']}: {scan}"
