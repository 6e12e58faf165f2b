"""Pools of installed distributions: entry points of the group `stepwell.pools`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from stepwell.engine.errors import InvalidInput, shown
from stepwell.engine.worker.pool_spec import PoolSpec

GROUP = "stepwell.pools"


def names() -> Iterable[str]:
    """The names of the installed pools; loads nothing."""
    return entry_points(group=GROUP).names


def load(name: str) -> PoolSpec:
    """The pool of this name. Raises InvalidInput, naming the entry point, if it is broken."""
    (entry, *_) = entry_points(group=GROUP, name=name)
    spec = _loaded(entry)
    if not isinstance(spec, PoolSpec) or spec.name != name:
        raise InvalidInput(f"{_place(entry)} must be a PoolSpec of this name, got {shown(spec)}")
    return spec


def _loaded(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidInput(f"{_place(entry)} cannot be loaded: {reason}") from error


def _place(entry: EntryPoint) -> str:
    return f"pool {entry.name!r}, which is installed as {entry.value!r},"
