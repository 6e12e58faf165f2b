"""Opening a checkpointer by its URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import stepwell.stores as stores
from stepwell.engine.clock import Clock, SystemClock
from stepwell.stores.checkpoints.base import OpenedCheckpointer
from stepwell.stores.checkpoints.file import FileCheckpointer
from stepwell.stores.checkpoints.memory import MemoryCheckpointer
from stepwell.stores.url_schemes import check_nothing, choose, folder_of

FIELD = "checkpoints"


def open_checkpointer(url: str, *, clock: Clock | None = None) -> OpenedCheckpointer:
    """The checkpointer at `url`: `memory://`, `file:///folder`, `sqlite:///path` (three slashes
    and a relative path, or four), or `postgresql://…` as libpq takes it. Close it afterwards.

    It is an AtomicCheckpointer and a JournalingCheckpointer, atomic across processes (`memory://`
    has only one). `clock` is for tests.

    Raises:
        InvalidInput: for an invalid URL.
        StoreError: if the database cannot be opened, or a server's schema is out of date.
    """
    open_it = check_url(url)
    opened = open_it(url, clock or SystemClock())
    # What a server's URL says besides may be secret.
    opened.address = "postgresql://…" if url.startswith("postgres") else url
    return opened


def check_url(url: str) -> Callable[[str, Clock], OpenedCheckpointer]:
    """What opens the URL; opens nothing. Raises InvalidInput for a kind that there is not."""
    return choose(url, FIELD, SCHEMES, "file:///folder or sqlite:///engine.db")


def _memory(url: str, clock: Clock) -> OpenedCheckpointer:  # noqa: ARG001  # it keeps no time
    check_nothing(url, FIELD)
    return MemoryCheckpointer()


def _folder(url: str, clock: Clock) -> OpenedCheckpointer:  # noqa: ARG001  # it keeps no time
    return FileCheckpointer(folder_of(url, FIELD))


def _database(url: str, clock: Clock) -> OpenedCheckpointer:
    opened: OpenedCheckpointer = stores.opening.open_sql_checkpointer(url, clock=clock)
    return opened


SCHEMES: Mapping[str, Callable[[str, Clock], OpenedCheckpointer]] = MappingProxyType(
    {
        "file": _folder,
        "memory": _memory,
        "postgres": _database,
        "postgresql": _database,
        "sqlite": _database,
    }
)
