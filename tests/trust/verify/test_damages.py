"""Each rule of a store is broken by hand, and the check that holds it says so, alone."""

from __future__ import annotations

import pytest

from stepwell.engine.verification import CHECKS
from stepwell.stores.sql.checks.settled import REFERENCES
from tests.trust.verify.conftest import VerifyAfter
from tests.trust.verify.damages import DAMAGES
from tests.trust.verify.statements import steps_set


def test_scene_is_whole(verify_after: VerifyAfter) -> None:
    found = verify_after()

    assert [*map(str, found.violations)] == []
    assert found.checked == tuple(CHECKS)


@pytest.mark.parametrize(
    ("check", "said", "statements"),
    DAMAGES,
    ids=[f"{name}: {said[:40]}" for name, said, _ in DAMAGES],
)
def test_check_names_what_breaks_its_rule(
    check: str, said: str, statements: tuple[str, ...], verify_after: VerifyAfter
) -> None:
    found = verify_after(*statements)

    lines = [*map(str, found.violations)]
    assert {violation.check for violation in found.violations} == {check}, lines
    assert any(said in line for line in lines), lines


@pytest.mark.parametrize(
    ("table", "column", "target"), REFERENCES, ids=[f"{t}.{c}" for t, c, _ in REFERENCES]
)
def test_whatever_is_referred_to_is_missed(
    table: str, column: str, target: str, verify_after: VerifyAfter
) -> None:
    one = f"(SELECT min({column}) FROM {table})"

    found = verify_after(f"UPDATE {table} SET {column} = 4711 WHERE {column} = {one}", most=100)

    said = f"{table.strip(chr(34))}.{column} names 4711, which is not in {target}"
    assert any(said in str(violation) for violation in found.violations)


@pytest.mark.parametrize(
    ("database", "statement", "said"),
    [
        ("sqlite", steps_set("busy", "n0", "max_recoveries = -1"), "CHECK constraint failed in"),
        ("sqlite", steps_set("busy", "n0", "priority = 'high'"), "1 values of another type in"),
        ("postgres", "ALTER TABLE results DISABLE TRIGGER ALL", "triggers of results are switched"),
        (
            "postgres",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'steps_dedup'::regclass",
            "index steps_dedup is not valid",
        ),
        (
            "postgres",
            "ALTER TABLE kv ADD CONSTRAINT late CHECK (version > 0) NOT VALID",
            "constraint late of kv is not valid",
        ),
    ],
)
def test_integrity_is_what_the_database_says_of_itself(
    database: str, statement: str, said: str, verify_after: VerifyAfter
) -> None:
    guarded = ("PRAGMA ignore_check_constraints=OFF",) if database == "sqlite" else ()
    found = verify_after(statement, *guarded)

    assert {violation.check for violation in found.violations} == {"integrity"}
    assert said in str(found.violations[0])


def test_check_that_cannot_be_done_is_a_violation(verify_after: VerifyAfter) -> None:
    found = verify_after("UPDATE results SET records = '['")

    assert found.counts.keys() == {"settled", "payloads"}
    assert "settled: cannot be checked: " in str(found.violations[0])


def test_few_of_many_are_told_and_all_are_counted(verify_after: VerifyAfter) -> None:
    found = verify_after("UPDATE runs SET total_steps = 99", "DELETE FROM results", most=3)

    assert found.counts["counters"] == 16
    assert found.total == sum(found.counts.values()) > 20
    for check in ("counters", "settled"):
        assert len([v for v in found.violations if v.check == check]) == 3
    assert not found.ok


def test_every_check_is_tried() -> None:
    assert {name for name, _, _ in DAMAGES} | {"integrity"} == set(CHECKS)
