"""The shape of a SQLite schema."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from stepwell.stores.sql.schema import shape_lines as lines

_SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name"
_COLUMNS = (
    'SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk '
    "FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.pk"
)
_INDEXES = (
    'SELECT m.name, l.name, l."unique", l.origin, i.name '
    "FROM sqlite_schema m, pragma_index_list(m.name) l, pragma_index_info(l.name) i "
    "WHERE m.type = 'table' ORDER BY m.name, l.name, i.seqno"
)
_REFERENCES = (
    'SELECT m.name, f."from", f."table" || \'(\' || f."to" || \')\', f.on_delete '
    "FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'"
)
_CHECK = re.compile(r"\bCHECK\s*\(", re.IGNORECASE)
_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)


def shape_of(cursor: Any) -> frozenset[str]:
    """The lines of the whole schema."""
    return frozenset(_lines(cursor, cursor.execute(_SCHEMA).fetchall()))


def fingerprint_of(cursor: Any) -> str:
    """A digest of the schema's text, which is read much faster than the lines."""
    rows = cursor.execute(_SCHEMA).fetchall()
    return lines.digest(f"{kind} {name} {lines.condition(text or '')}" for kind, name, text in rows)


def _lines(cursor: Any, schema: list[Any]) -> Iterator[str]:
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for table, name, kind, required, default, place in cursor.execute(_COLUMNS).fetchall():
        yield lines.column_line(table, name, kind, required or place, default)
        if place:
            keys[table].append(name)
    for table, columns in keys.items():
        yield lines.key_line("primary key", table, columns)
    texts = {name: text or "" for _, name, text in schema}
    indexes: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for *about, column in cursor.execute(_INDEXES).fetchall():
        # An expression has no name.
        indexes[tuple(about)].append("?" if column is None else str(column))
    for (table, name, unique, origin), columns in indexes.items():
        if origin == "u":
            yield lines.key_line("unique", table, columns)
        elif origin == "c":
            _, *where = _WHERE.split(texts[name], maxsplit=1)
            yield lines.index_line(name, table, columns, unique, where[0] if where else None)
    for kind, table, text in schema:
        if kind == "table":
            yield from (lines.check_line(table, check) for check in _checks(text or ""))
    for reference in cursor.execute(_REFERENCES).fetchall():
        yield lines.reference_line(*map(str, reference))


def _checks(text: str) -> Iterator[str]:
    """The checks in the text of a table."""
    for found in _CHECK.finditer(text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[found.end() : end - 1]
