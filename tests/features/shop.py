"""Packages of a web shop, and a run of one that is worked off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from stepwell import (
    Package,
    RunHandle,
    Runtime,
)

TIMEOUT = 20.0


class Order(BaseModel):
    id: str
    items: list[str] = []


class Price(BaseModel):
    item: str
    cents: int


def package(build: Callable[..., None], name: str = "shop", **options: Any) -> Package:
    """A package with this entrypoint."""
    made = Package(name, **options)
    made.entrypoint(name="start")(build)
    return made


def work_off(runtime: Runtime, input: Any = None, **options: Any) -> RunHandle[Any]:
    """Start a run of the runtime's only package and work until it ends."""
    (name,) = runtime.packages
    run = runtime.start_run(name, input, **options)
    runtime.drain(run.id, timeout=TIMEOUT)
    return run
