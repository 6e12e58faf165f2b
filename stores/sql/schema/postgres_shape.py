"""The shape of a PostgreSQL schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stepwell.stores.sql.schema import shape_lines as lines

# What a row tells: (what, table, name, columns or type, flag, text)
_SHAPE = """
WITH own AS (
    SELECT oid, relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = to_regnamespace(quote_ident(current_schema()))
)
SELECT 'column', t.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid)
FROM own t JOIN pg_attribute a ON a.attrelid = t.oid
LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT CASE WHEN i.indisprimary THEN 'primary key' WHEN c.oid IS NULL THEN 'index'
        ELSE 'unique' END,
    t.relname, n.relname,
    (SELECT string_agg(coalesce(a.attname, '?'), ',' ORDER BY k.place)
     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
     LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number),
    i.indisunique, pg_get_expr(i.indpred, i.indrelid)
FROM own t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class n ON n.oid = i.indexrelid
LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'u'
WHERE i.indisvalid
UNION ALL
SELECT 'check', t.relname, c.conname, NULL, true, pg_get_expr(c.conbin, c.conrelid)
FROM own t JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype = 'c'
UNION ALL
SELECT 'reference', t.relname, a.attname, f.confrelid::regclass || '(' || b.attname || ')', true,
    CASE f.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' ELSE 'no action' END
FROM own t JOIN pg_constraint f ON f.conrelid = t.oid AND f.contype = 'f'
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = f.conkey[1]
JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1]
"""


def shape_of(cursor: Any) -> frozenset[str]:
    """The lines of the tables in the session's own schema."""
    return frozenset(_lines(cursor.execute(_SHAPE).fetchall()))


def fingerprint_of(cursor: Any) -> str:
    """A digest of the lines."""
    return lines.digest(shape_of(cursor))


def _lines(rows: list[Any]) -> Iterator[str]:
    for what, table, name, more, flag, text in rows:
        if what == "column":
            yield lines.column_line(table, name, more, flag, text)
        elif what == "index":
            yield lines.index_line(name, table, more.split(","), flag, text)
        elif what == "check":
            yield lines.check_line(table, text)
        elif what == "reference":
            yield lines.reference_line(table, name, more, text)
        else:
            yield lines.key_line(what, table, more.split(","))
