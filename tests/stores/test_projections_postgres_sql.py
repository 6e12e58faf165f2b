"""How the placeholders of a projection's statements become those of PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell.engine.errors import InvalidInput
from stepwell.stores.projections.postgres_sql import prepare


@pytest.mark.parametrize(
    ("given", "parameters", "text"),
    [
        ("SELECT ?, ?", (1, 2), "SELECT $1, $2"),
        ("SELECT ?2, ?1, ?", (1, 2, 3), "SELECT $2, $1, $3"),
        ("SELECT :a, :b, :a", {"a": 1, "b": 2}, "SELECT $1, $2, $1"),
        ("SELECT :größe", {"größe": 1}, "SELECT $1"),
        ("SELECT '?', ?", (1,), "SELECT '?', $1"),
        ("SELECT 'it''s ?', ?", (1,), "SELECT 'it''s ?', $1"),
        (r"SELECT E'it\'s ?', ?", (1,), r"SELECT E'it\'s ?', $1"),
        (r"SELECT 'C:\', ?", (1,), r"SELECT 'C:\', $1"),
        ('SELECT "a""?", ?', (1,), 'SELECT "a""?", $1'),
        ("SELECT ? -- :a ?\n, ?", (1, 2), "SELECT $1 -- :a ?\n, $2"),
        ("SELECT /* ? /* ? */ ' ? */ ?", (1,), "SELECT /* ? /* ? */ ' ? */ $1"),
        ("SELECT $$ ? ' $$, $a$ ? $$ $a$, ?", (1,), "SELECT $$ ? ' $$, $a$ ? $$ $a$, $1"),
        ("SELECT a$b$, ?, c$b$", (1,), "SELECT a$b$, $1, c$b$"),
        ("SELECT ?::text, x::int[]", (1,), "SELECT $1::text, x::int[]"),
        ("SELECT f(a := ?), y[1:2]", (1,), "SELECT f(a := $1), y[1:2]"),
        ("SELECT a ?? 'b', a ??| b", (), "SELECT a ? 'b', a ?| b"),
        ("SELECT 5 % 2, '%s'", (), "SELECT 5 % 2, '%s'"),
        ("SELECT 'open ?", (), "SELECT 'open ?"),
        ("SELECT /* open ?", (), "SELECT /* open ?"),
        ("SELECT $$ open ?", (), "SELECT $$ open ?"),
    ],
)
def test_placeholders_are_translated(given: str, parameters: Any, text: str) -> None:
    assert prepare(given, parameters).text.decode() == text


@pytest.mark.parametrize(
    ("given", "parameters", "reason"),
    [
        ("SELECT ?, ?", (1,), r"takes 2 values, got 1: SELECT \?, \?"),
        ("SELECT 1", (1,), "takes 0 values, got 1"),
        ("SELECT :a", (1,), "has the placeholder :a, pass a mapping"),
        ("SELECT ?", {"a": 1}, r"has '\?' placeholders, pass a sequence"),
        ("SELECT :a, :b", {"a": 1}, "no value is given for :b: SELECT"),
        ("SELECT ?", 1, "must be a sequence or a mapping, got int"),
    ],
)
def test_values_must_fit_the_placeholders(given: str, parameters: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        prepare(given, parameters)
