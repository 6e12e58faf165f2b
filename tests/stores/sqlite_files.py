"""A run store in a file of SQLite, opened as the tests use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepwell.engine.clock import VirtualClock
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.store import SqlRunStore


def open_file(path: Path, **options: Any) -> SqlRunStore:
    return SqlRunStore.open(SqliteDialect(path, clock=VirtualClock(), **options))
