"""The parts of a schema, each as a line in one form for all databases: see `shape`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_TYPES = {"bigint": "integer", "bytea": "blob", "double precision": "real"}
_CAST = re.compile(r"::(double precision|\w+)")
_ONE_OF = re.compile(r"\bin\s*\(([^()]*)\)")


def column_line(table: str, name: str, kind: str, required: object, default: str | None) -> str:
    """A column; `required` if it takes no NULL."""
    kind = _TYPES.get(kind.lower(), kind.lower())
    given = "" if default is None else f" default {condition(default)}"
    return f"column {table}.{name} {kind}{' not null' if required else ''}{given}"


def key_line(kind: str, table: str, columns: Iterable[str]) -> str:
    """A primary or other unique key: `kind` is "primary key" or "unique"."""
    return f"{kind} {table}({', '.join(columns)})"


def index_line(
    name: str, table: str, columns: Iterable[str], unique: object, where: str | None
) -> str:
    """An index that was made as one, with its condition if it is partial."""
    partial = "" if where is None else f" where {condition(where)}"
    return f"{'unique index' if unique else 'index'} {name} {table}({', '.join(columns)}){partial}"


def check_line(table: str, text: str) -> str:
    """A check of a table or of one of its columns."""
    return f"check {table}: {condition(text)}"


def reference_line(table: str, column: str, to: str, on_delete: str) -> str:
    """A foreign key; `to` is "table(column)"."""
    return f"reference {table}.{column} to {to} on delete {on_delete.lower()}"


def condition(text: str) -> str:
    """An expression as all databases would write it; only fit to be compared."""
    text = _ONE_OF.sub(r"= any (array[\1])", _CAST.sub("", text.lower()))
    return re.sub(r'[\s()"]|\'\'', "", text)


def digest(lines: Iterable[str]) -> str:
    """The same for the same lines in any order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
