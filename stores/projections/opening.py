"""Opening a projection store by its URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import stepwell.stores as stores
from stepwell.engine.clock import Clock
from stepwell.engine.errors import StoreError
from stepwell.engine.ports import ProjectionStore
from stepwell.stores.url_schemes import check_nothing, choose, folder_of

FIELD = "projections"


def open_projections(url: str, *, durability: str, clock: Clock) -> ProjectionStore:
    """The projections at `url`: `file:///folder`, `memory://`, or `postgresql://…`.

    Raises InvalidInput for a URL that cannot be, StoreError when they cannot be opened.
    """
    open_it = choose(url, FIELD, SCHEMES, "file:///folder or postgresql://…")
    return open_it(url, durability, clock)


def _memory(url: str, durability: str, clock: Clock) -> ProjectionStore:
    check_nothing(url, FIELD)
    opened: ProjectionStore = stores.sqlite_projections.SqliteProjectionStore(
        None, durability=durability, clock=clock
    )
    return opened


def _folder(url: str, durability: str, clock: Clock) -> ProjectionStore:
    opened: ProjectionStore = stores.sqlite_projections.SqliteProjectionStore(
        folder_of(url, FIELD), durability=durability, clock=clock
    )
    return opened


def _postgres(url: str, durability: str, clock: Clock) -> ProjectionStore:  # noqa: ARG001  # a server has its own
    try:
        opened: ProjectionStore = stores.postgres_projections.PostgresProjectionStore(
            url, durability=durability
        )
    except ImportError:
        raise StoreError(
            f"{FIELD}: PostgreSQL needs its driver; run: pip install 'psycopg[binary]'"
        ) from None
    return opened


SCHEMES: Mapping[str, Callable[[str, str, Clock], ProjectionStore]] = MappingProxyType(
    {"file": _folder, "memory": _memory, "postgresql": _postgres, "postgres": _postgres}
)
