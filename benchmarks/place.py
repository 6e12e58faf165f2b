"""Where stores are made that are measured: files in a folder, or databases of a server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import benchmarks.postgres.server as server
from stepwell import Package, Runtime, Settings, connect
from stepwell.engine.clock import SystemClock
from stepwell.stores import opening


def is_server(place: str) -> bool:
    """Whether a place is the URL of a PostgreSQL server, and not a folder."""
    return "://" in place


@contextmanager
def running(
    place: str, package: Package, settings: Settings | None = None
) -> Iterator[tuple[Runtime, Path]]:
    """A runtime on an empty store, and its home."""
    with (
        fresh_store(place) as (url, home),
        connect(url, home=home, packages=[package], settings=settings) as runtime,
    ):
        yield runtime, home


@contextmanager
def fresh_store(place: str) -> Iterator[tuple[str, Path]]:
    """The URL of an empty store, and a home for what lies beside it; both are gone afterwards."""
    if is_server(place):
        with tempfile.TemporaryDirectory() as home, server.database(place) as url:
            opening.upgrade(url, clock=SystemClock())
            server.settle_down(url)
            yield url, Path(home)
        return
    with tempfile.TemporaryDirectory(dir=place) as home:
        yield f"sqlite:///{home}/engine.db", Path(home)
