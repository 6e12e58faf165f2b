"""Bringing a database's schema up to date, one numbered step and transaction at a time."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Any

from stepwell.engine.crash_points import Write
from stepwell.engine.errors import StoreError, StoreVersionError
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.schema.migrations import LATEST, MIGRATIONS
from stepwell.stores.sql.shape import differences, wrong_shape


def migrate(database: Database, *, apply: bool) -> list[int]:
    """Apply what is missing; returns the numbers applied.

    With `apply=False` a schema that is behind is refused. Raises StoreVersionError, before any
    write, when the store is newer than this code; StoreError when it is not one of ours, or not
    what its version says.
    """
    database.check = partial(check_same, database.dialect)
    version, wrong = examine(database)
    if wrong:
        raise StoreError(wrong_shape(database.dialect.label(), version, wrong))
    if version == LATEST:
        return []
    if not apply:
        raise StoreError(
            f"store {database.dialect.label()}: its schema has version {version} and this code "
            f"needs {LATEST}; run: stepwell db upgrade"
        )
    applied = []
    for number, _, statements in MIGRATIONS:
        if number > version and database.write(_apply(number, statements), Write.MIGRATE):
            applied.append(number)
    return applied


def examine(database: Database) -> tuple[int, list[str]]:
    """The version of the schema, and in what it is not what that says, in words.

    Raises as `current_version`.
    """
    version = current_version(database)
    while True:
        wrong = differences(database, version) if version else []
        seen, version = version, current_version(database) if wrong else version
        if seen == version:  # it was not that of a process that migrates at this moment
            return version, wrong


def check_same(dialect: Dialect, connection: Any) -> None:
    """Raises StoreError unless what was opened again has the schema of this code."""
    with closing(connection.cursor()) as cursor:
        version = _read_version(StoreTransaction(cursor, dialect, 0))
    if version != LATEST:
        found = "no Stepwell store" if version is None else f"a schema of version {version}"
        raise StoreError(
            f"store {dialect.label()}: what is there now has {found}, and this code needs version "
            f"{LATEST}; put a store of this version there, or start this program again"
        )


def current_version(database: Database) -> int:
    """The version of the schema, 0 for an empty database."""
    with database.read() as tx:
        version = _read_version(tx)
        if version is None:
            tables = tx.dialect.tables(tx.cursor)
            if tables:
                raise StoreError(
                    f"store {tx.dialect.label()}: holds other tables ({', '.join(tables[:3])}) "
                    "and no Stepwell store; name another database"
                )
            return 0
    if version > LATEST:
        raise StoreVersionError(
            f"store {database.dialect.label()}: its schema has version {version}, newer than "
            f"this code, which knows {LATEST}; nothing was changed; use a newer Stepwell"
        )
    return version


def _read_version(tx: StoreTransaction) -> int | None:
    if "meta" not in tx.dialect.tables(tx.cursor):
        return None
    tx.cursor.execute("SELECT * FROM meta LIMIT 1")
    if not {"name", "value"}.issubset(column[0] for column in tx.cursor.description):
        return None  # somebody else's
    row = tx.cursor.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    return row[0] if row is not None and isinstance(row[0], int) else None


def _apply(number: int, statements: tuple[str, ...]) -> Any:
    def work(tx: StoreTransaction) -> bool:
        tx.dialect.lock_migrations(tx.cursor)
        # Another process may have been faster; its commit was waited for.
        if (_read_version(tx) or 0) >= number:
            return False
        for statement in statements:
            tx.cursor.execute(statement.format(**tx.dialect.ddl))
        tx.cursor.execute(f"UPDATE meta SET value = {number} WHERE name = 'schema_version'")
        return True

    return work


def upgrade_sql(ddl: dict[str, str]) -> str:
    """All migrations as one script, for people who apply them by hand."""
    parts = []
    for number, title, statements in MIGRATIONS:
        parts.append(f"-- {number:04d}: {title}\nBEGIN;")
        parts += [statement.format(**ddl) + ";" for statement in statements]
        parts.append(f"UPDATE meta SET value = {number} WHERE name = 'schema_version';\nCOMMIT;")
    return "\n".join(parts) + "\n"
