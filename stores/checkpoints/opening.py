"""Opening a checkpointer by its URL."""

from __future__ import annotations

from pathlib import Path

import stepwell.stores as stores
from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.errors import InvalidInput, nearest
from stepwell.stores.checkpoints.base import OpenedCheckpointer
from stepwell.stores.checkpoints.file import FileCheckpointer
from stepwell.stores.checkpoints.memory import MemoryCheckpointer

SCHEMES = ("file", "memory", "postgresql", "sqlite")


def open_checkpointer(url: str, *, clock: Clock | None = None) -> OpenedCheckpointer:
    """The checkpointer at `url`: `memory://`, `file:///folder`, `sqlite:///path` (three slashes
    and a relative path, or four), or `postgresql://…` as libpq takes it. Close it afterwards.

    It is an AtomicCheckpointer and a JournalingCheckpointer, atomic across processes (`memory://`
    has only one). `clock` is for tests.

    Raises:
        InvalidInput: for an invalid URL.
        StoreError: if the database cannot be opened, or a server's schema is out of date.
    """
    if not isinstance(url, str):
        raise InvalidInput(f"checkpoints: must be a URL, got {type(url).__name__}")
    scheme, separator, rest = url.partition("://")
    if not separator:
        got = "" if "password" in url else f", got {url!a:.200}"
        raise InvalidInput(
            f"checkpoints: must be a URL, as file:///folder or sqlite:///engine.db{got}"
        )
    if scheme == "memory":
        if rest:
            raise InvalidInput(f"checkpoints: memory:// takes nothing behind it, got {url!a:.200}")
        opened: OpenedCheckpointer = MemoryCheckpointer()
        opened.address = url
        return opened
    if scheme == "file":
        if not rest.startswith("/") or rest == "/" or "\0" in rest:
            raise InvalidInput(
                f"checkpoints: {url!a:.200} names no folder; write file:///folder, with three "
                "slashes and an absolute path"
            )
        opened = FileCheckpointer(Path(rest))
        opened.address = url
        return opened
    if scheme in ("sqlite", "postgresql", "postgres"):
        opened = stores.opening.open_sql_checkpointer(url, clock=clock or SystemClock())
        # Other parts of a server's URL may be secret.
        opened.address = url if scheme == "sqlite" else "postgresql://…"
        return opened
    raise InvalidInput(f"checkpoints: unknown kind of URL {scheme!a:.40}{nearest(scheme, SCHEMES)}")
