"""The shape of a schema: whether a store is what its version number says.

A number is easily believed: a store may have been made by a migration that was still being written,
or been changed by hand. So a process that opens a store compares tables, columns, types, keys,
indexes and checks with what the migrations make. Databases write these differently; here each is a
line in one form for all of them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache

from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.schema.migrations import MIGRATIONS
from stepwell.stores.sql.schema.sqlite_shape import shape_of

# How many differences a refusal tells.
MOST_TOLD = 3

# Of each version what `Dialect.fingerprint` gives, so that the rest need not be done for a schema
# that is right. Some other release of a database may write it in another way, which costs
# milliseconds and nothing else.
FINGERPRINTS: Mapping[int, tuple[str, str]] = {
    1: (
        "7487b02b3f16320d46129cb654d09c18f771fd53f2860997bb5b8330782e5fba",
        "2f59636a8c2bd8ffe0a581a2e1f6b782e50520d1178b6a28428a6202fdfedbed",
    ),
    2: (
        "b06c0f591498f98ccf63f1ba8160c973105b9f69002bceb75c6724af64b65bbf",
        "8ea9379145eabdbd61439e8107692e03b7b72f979fea60f6a070db40fea1bc49",
    ),
    3: (
        "da4910b3fe8ce4f5c9de43eebe8da6bdde86aa88232c86d3a0560b0f6a9e37d5",
        "cba47e4ee5dc0edd9f6a37569f00306c508f76efb12af46a89426e9c14e8f843",
    ),
    4: (
        "fc8e090cae1f39eee22fbb5908514efd05898afa6e3507ab673f6611c5fb1235",
        "7494906e9996b7c8e5473493c5d17e1f4321ceef86415af0deb05e00a7b9bf06",
    ),
}


@cache
def expected(version: int) -> frozenset[str]:
    """What the migrations up to `version` make."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for number, _, statements in MIGRATIONS:
            if number <= version:
                for statement in statements:
                    connection.execute(statement.format(**SqliteDialect.ddl))
        return shape_of(connection)


def differences(database: Database, version: int) -> list[str]:
    """In what the schema is not that of `version`, in words; other tables and indexes may be."""
    with database.read() as tx:
        if tx.dialect.fingerprint(tx.cursor) in FINGERPRINTS[version]:
            return []
        found = tx.dialect.shape(tx.cursor)
    wanted = expected(version)
    tables = {line.split()[1].partition(".")[0] for line in wanted if line.startswith("column")}
    lines = [f"it has no {line}" for line in sorted(wanted - found)]
    return lines + [
        f"it has a strange {line}" for line in sorted(found - wanted) if _matters(line, tables)
    ]


def _matters(line: str, tables: set[str]) -> bool:
    """Whether what a schema has besides may keep rows from being stored."""
    kind, _, rest = line.partition(" ")
    if kind in ("primary", "unique", "index"):
        rest = rest.removeprefix("key ").removeprefix("index ")
        table = rest.partition("(")[0].split(" ")[-1]
    else:
        table = re.split(r"[.:]", rest)[0]
    if table not in tables or kind == "index":
        return False
    return kind != "column" or (" not null" in line and " default " not in line)


def wrong_shape(label: str, version: int, found: Sequence[str]) -> str:
    """What is wrong with a store, and what to do."""
    more = f"; and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    return (
        f"store {label}: its schema is not that of version {version}, which it says it has: "
        f"{'; '.join(found[:MOST_TOLD])}{more}; nothing was changed; it was made by an unfinished "
        "version or changed by hand: let what is in it end with the code that made it, or restore "
        "a backup, and name a new store here"
    )
