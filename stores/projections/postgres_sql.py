"""Translates the placeholders of a user's statement for PostgreSQL, and refuses some statements.

Placeholders are those of SQLite: `?`, `?2` and `:name`. Quoted text, quoted names and comments are
left alone, as are `::` and `:=`; write PostgreSQL's operators with a question mark as `??`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stepwell.engine.errors import InvalidInput
from stepwell.engine.ports import Parameters
from stepwell.stores.projections.rules import check_text, first_line

_TOKEN = re.compile(
    r"""
      (?P<skip>
          --[^\n\r]*
        | [eE]'(?:[^'\\]|\\.|'')*+'?            # before words, of which it would be one
        | '(?:[^']|'')*+'?
        | "(?:[^"]|"")*+"?
        | ::|:=|\$\d+
      )
    | (?P<comment>/\*)
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<escaped>\?\?)
    | \?(?P<number>\d*)
    | :(?P<name>[^\W\d]\w*)
    | (?P<word>[^\W\d][\w$]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")

_ALREADY = "every call is a transaction already"
_SETTINGS = "settings are not a projection's; only SET CONSTRAINTS is allowed"
_SHARED = "connections are shared, and keep nothing"
_REFUSED = {
    **dict.fromkeys(
        ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "PREPARE"),
        f"{_ALREADY}; use once() for several",
    ),
    **dict.fromkeys(("SAVEPOINT", "RELEASE"), f"{_ALREADY}; savepoints are not allowed"),
    **dict.fromkeys(("SET", "RESET", "DISCARD", "LOAD"), _SETTINGS),
    **dict.fromkeys(("LISTEN", "UNLISTEN", "DEALLOCATE"), _SHARED),
    "COPY": "COPY is not possible here; use execute_many()",
}


@dataclass(frozen=True, slots=True)
class _Statement:
    """The translated text, and the positions or names of its values, in order."""

    sql: str
    text: bytes
    numbers: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as written, its text with `$1`, `$2`, …, and the values for them."""

    sql: str
    text: bytes
    values: list[Any] | None


def prepare(sql: str, parameters: Parameters) -> Prepared:
    """Translate a statement.

    Raises InvalidInput if it is not allowed, or if its values do not fit.
    """
    check_text(sql)
    statement = _read(sql)
    if isinstance(parameters, Mapping):
        values = _by_name(statement, parameters)
    elif isinstance(parameters, Sequence):
        values = _by_position(statement, parameters)
    else:
        raise InvalidInput(
            f"parameters: must be a sequence or a mapping, got {type(parameters).__name__}"
        )
    return Prepared(sql, statement.text, values or None)


def _by_name(statement: _Statement, parameters: Mapping[str, Any]) -> list[Any]:
    if statement.numbers:
        raise InvalidInput(
            f"the statement has '?' placeholders, pass a sequence: {first_line(statement.sql)}"
        )
    try:
        return [parameters[name] for name in statement.names]
    except KeyError as error:
        raise InvalidInput(
            f"no value is given for :{error.args[0]}: {first_line(statement.sql)}"
        ) from None


def _by_position(statement: _Statement, parameters: Sequence[Any]) -> list[Any]:
    if statement.names:
        raise InvalidInput(
            f"the statement has the placeholder :{statement.names[0]}, pass a mapping: "
            f"{first_line(statement.sql)}"
        )
    wanted = max(statement.numbers, default=0)
    if wanted != len(parameters):
        raise InvalidInput(
            f"the statement takes {wanted} values, got {len(parameters)}: "
            f"{first_line(statement.sql)}"
        )
    return list(parameters)


@lru_cache(maxsize=256)
def _read(sql: str) -> _Statement:
    if "\0" in sql:
        raise InvalidInput(f"the statement contains a null character: {first_line(sql)!r}")
    parts: list[str] = []
    words: list[str] = []
    numbers: list[int] = []
    names: dict[str, int] = {}
    end = 0
    while found := _TOKEN.search(sql, end):
        start, kind = end, found.lastgroup
        end = _end(sql, found)
        if kind == "number":
            numbers.append(int(found["number"] or max(numbers, default=0) + 1))
            given = f"${numbers[-1]}"
        elif kind == "name":
            given = f"${names.setdefault(found['name'], len(names) + 1)}"
        elif kind == "escaped":
            given = "?"
        else:
            if kind == "word" and len(words) < 2:
                words.append(found["word"].upper())
            given = sql[found.start() : end]
        parts += sql[start : found.start()], given
    _refuse(sql, *words)
    try:
        text = "".join((*parts, sql[end:])).encode()
    except UnicodeError as error:
        raise InvalidInput(f"the statement cannot be encoded: {error}") from None
    return _Statement(sql, text, tuple(numbers), tuple(names))


def _end(sql: str, found: re.Match[str]) -> int:
    """Where a token ends; comments nest, and $tag$ text goes to its next $tag$."""
    if found["dollar"]:
        closing = sql.find(found["dollar"], found.end())
        return len(sql) if closing < 0 else closing + len(found["dollar"])
    if not found["comment"]:
        return found.end()
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, found.start()):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


def _refuse(sql: str, first: str = "", second: str = "") -> None:
    reason = _REFUSED.get(first)
    if first == "SET" and second == "CONSTRAINTS":
        reason = None
    if first == "CREATE" and second in ("TEMP", "TEMPORARY") and "ON COMMIT DROP" not in sql:
        reason = f"{_SHARED}; write ON COMMIT DROP"
    if reason:
        raise InvalidInput(f"{reason}: {first_line(sql)}")
