"""Opens run stores and checkpointers in databases by URL. Loaded on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import stepwell.stores as stores
from stepwell.engine.clock import Clock
from stepwell.engine.errors import InvalidInput, StoreError, nearest
from stepwell.engine.events import Observers
from stepwell.stores.sql import shape
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.migrate import examine, migrate, upgrade_sql
from stepwell.stores.sql.roles.checkpoints import OwnSqlCheckpointer
from stepwell.stores.sql.schema.migrations import LATEST
from stepwell.stores.sql.store import SqlRunStore
from stepwell.stores.sqlite_url import file_of

SCHEMES = ("sqlite", "memory", "postgresql")


def open_run_store(
    url: str, *, clock: Clock, durability: str = "full", observers: Observers | None = None
) -> SqlRunStore:
    """The run store at `url`: `sqlite:///path` (three slashes and a relative path, or four),
    `memory://`, or `postgresql://…` as libpq takes it.

    Raises InvalidInput for an invalid URL, StoreError if the store cannot be opened.
    """
    return SqlRunStore.open(_dialect(url, clock, durability), observers)


def open_sql_checkpointer(url: str, *, clock: Clock) -> OwnSqlCheckpointer:
    """The checkpointer in the database at `url`, which may be that of a run store.

    Upgrades a SQLite file, but never a server's database. Raises like `open_run_store`.
    """
    dialect = _dialect(url, clock, "full")
    database = Database(dialect)
    database.open()
    try:
        migrate(database, apply=dialect.migrates_itself)
    except BaseException:
        database.close()
        raise
    return OwnSqlCheckpointer(database)


def _dialect(url: str, clock: Clock, durability: str) -> Dialect:
    scheme, separator, rest = url.partition("://")
    if not separator:
        if "password" in url:
            raise InvalidInput(
                "store: must be a URL; write postgresql://user:password@host:5432/database"
            )
        raise InvalidInput(
            f"store: {url!r} is not a URL; write sqlite:///{url} for a file, or memory://"
        )
    if scheme == "memory":
        if rest:
            raise InvalidInput(f"store: memory:// takes nothing behind it, got {url!r}")
        return SqliteDialect(None, clock=clock, durability=durability)
    if scheme == "sqlite":
        return SqliteDialect(file_of(url), clock=clock, durability=durability)
    if scheme in ("postgresql", "postgres"):
        return _postgres(url, durability)
    raise InvalidInput(f"store: unknown kind of URL {scheme!r}{nearest(scheme, SCHEMES)}")


def _postgres(url: str, durability: str) -> Dialect:
    try:
        dialect: Dialect = stores.postgres.PostgresDialect(url, durability=durability)
    except ImportError:
        raise StoreError(
            "store: PostgreSQL needs its driver; run: pip install 'psycopg[binary]'"
        ) from None
    return dialect


def label(url: str, *, clock: Clock) -> str:
    """The URL as messages show it, without a password. Opens nothing; raises InvalidInput."""
    return _dialect(url, clock, "full").label()


def schema(url: str, *, clock: Clock) -> tuple[int, int, list[str]]:
    """The version of the schema at `url`, the newest version this code knows, and in words how the
    schema differs from what its version should be. Changes nothing.

    Raises like `open_run_store`, and StoreVersionError if the store is newer than this code.
    """
    with _database(url, clock) as database:
        version, wrong = examine(database)
        return version, LATEST, wrong


def wrong_shape(label: str, version: int, found: list[str]) -> str:
    """A message about these differences, with advice."""
    return shape.wrong_shape(label, version, found)


def upgrade(url: str, *, clock: Clock) -> list[int]:
    """Upgrade the schema at `url`; returns the numbers of the migrations applied."""
    with _database(url, clock) as database:
        return migrate(database, apply=True)


def migration_script(url: str, *, clock: Clock) -> str:
    """All migrations for the database that `url` names, as one SQL script. Opens nothing."""
    return upgrade_sql(dict(_dialect(url, clock, "full").ddl))


@contextmanager
def _database(url: str, clock: Clock) -> Iterator[Database]:
    database = Database(_dialect(url, clock, "full"))
    database.open()
    try:
        yield database
    finally:
        database.close()
