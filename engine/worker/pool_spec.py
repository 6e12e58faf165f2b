"""Pools as they are registered: a name, a size, and how to make one for a worker."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stepwell.engine.clock import Clock
from stepwell.engine.errors import InvalidInput, shown
from stepwell.engine.exchange import Outcome
from stepwell.engine.ports import Pool
from stepwell.engine.services import Services
from stepwell.engine.settings import Settings

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}\Z")


@dataclass(frozen=True, slots=True)
class PoolParts:
    """What a pool is made of. It calls `deliver(task, outcome)` once for each task that began."""

    size: int
    deliver: Callable[[Any, Outcome], None]
    services: Services
    worker_id: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool that executors may name: `@package.executor(…, pool="reports")`.

    `size` is its number of slots, fixed or taken from the settings. `make` makes the pool when a
    worker has the first step for it; a name instead means another pool like that built-in one.
    `killable` says that `shutdown` ends whatever still runs; `keeps_turn` that the threads which
    deliver outcomes may also run the worker's next cycle, as nothing else waits for them. Raises
    InvalidInput.
    """

    name: str
    size: int | Callable[[Settings], int]
    make: str | Callable[[PoolParts], Pool]
    killable: bool = False
    keeps_turn: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            raise InvalidInput(
                "pool.name: must be 1 to 50 characters, a small letter first, then small letters, "
                f"digits, '_' and '-', got {shown(self.name)}"
            )
        whole = isinstance(self.size, int) and not isinstance(self.size, bool)
        if not callable(self.size) and not (whole and 1 <= self.size <= 100_000):
            raise InvalidInput(
                f"pool {self.name!r}.size: must be a whole number from 1 to 100000, got "
                f"{shown(self.size)}"
            )
        if not callable(self.make) and not isinstance(self.make, str):
            raise InvalidInput(
                f"pool {self.name!r}.make: must be a function that takes PoolParts, or the name "
                f"of a built-in pool, got {shown(self.make)}"
            )

    def slots(self, settings: Settings) -> int:
        """How many steps it runs at the same time."""
        return self.size(settings) if callable(self.size) else self.size


# Finds a registered pool by its name; raises NotFound with the nearest one.
FindPool = Callable[[str], PoolSpec]
