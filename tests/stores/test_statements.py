"""The SQL of the store is what was reviewed: a change of it is seen in a diff of the listings."""

from __future__ import annotations

import difflib

import pytest

from tools import sql

RENEW = "if the change is meant, keep it with: make sql ARGS=--keep"


@pytest.mark.parametrize("database", sql.DATABASES)
def test_no_statement_changed_unnoticed(database: str) -> None:
    # given
    kept = (sql.KEPT / f"{database}.sql").read_text()
    # when
    compiled = sql.listing(database)
    # then
    changes = "\n".join(
        difflib.unified_diff(kept.splitlines(), compiled.splitlines(), "kept", "compiled", n=2)
    )
    assert not changes, f"the statements for {database} changed; {RENEW}\n{changes}"


@pytest.mark.parametrize("database", sql.DATABASES)
def test_statements_of_every_kind_are_listed(database: str) -> None:
    listed = sql.listing(database)

    for one in ("UPDATE steps SET status='succeeded'", "INSERT INTO events", "DELETE FROM waits"):
        assert one in listed
