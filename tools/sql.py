"""Print all SQL statements of the run store as they are compiled: `make sql`.

    python tools/sql.py [sqlite | postgres] [--keep]

With `--keep` the listing replaces the one in `tests/stores/kept/sql`, which a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stepwell.engine.clock import SystemClock
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.connection.statements import Each, Guarded, Statement
from stepwell.stores.sql.store import SqlRunStore

KEPT = Path(__file__).resolve().parent.parent / "tests" / "stores" / "kept" / "sql"
DATABASES = ("sqlite", "postgres")


def dialect_of(database: str) -> Dialect:
    """A dialect that only compiles; it is never connected."""
    if database == "sqlite":
        return SqliteDialect(None, clock=SystemClock())
    return PostgresDialect("postgresql://nowhere/nothing")


def statements(whole: Any) -> dict[str, Statement]:
    """All statements in an object and in what it is made of, by class and attribute."""
    found: dict[str, Statement] = {}
    seen: set[int] = set()

    def look(part: Any, name: str) -> None:
        if id(part) in seen:
            return
        seen.add(id(part))
        if isinstance(part, Statement):
            found[name] = part
        owner = name if isinstance(part, (Statement, Each, Guarded)) else type(part).__name__
        for attribute, value in attributes(part):
            if type(value).__module__.startswith("stepwell.stores"):
                look(value, f"{owner}.{attribute.lstrip('_')}")

    look(whole, "")
    return found


def attributes(part: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object, those in slots too."""
    names = dict.fromkeys(getattr(part, "__dict__", ()))
    for kind in type(part).__mro__:
        names |= dict.fromkeys(getattr(kind, "__slots__", ()))
    for name in names:
        yield name, getattr(part, name, None)


def listing(database: str) -> str:
    """The statements of a store on this database, each under its name and its parameters."""
    dialect = dialect_of(database)
    lines = []
    for name, statement in sorted(statements(SqlRunStore(dialect)).items()):
        sql = "\n".join(line.rstrip() for line in statement.compile(dialect).strip().splitlines())
        lines.append(f"-- {name}({', '.join(statement.names)})\n{sql};\n")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Print, or keep, the listings of the databases that are named, or of both."""
    for database in [name for name in arguments if name in DATABASES] or DATABASES:
        text = listing(database)
        if "--keep" in arguments:
            (KEPT / f"{database}.sql").write_text(text)
        else:
            print(f"-- === {database} ===\n\n{text}")


if __name__ == "__main__":
    main(sys.argv[1:])
