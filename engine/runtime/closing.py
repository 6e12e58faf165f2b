"""The end of a runtime."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from stepwell.engine.errors import RuntimeClosed
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.parts import RuntimeParts


class Closing:
    """Closes the parts of a runtime once, and refuses what comes after that."""

    def __init__(self, parts: RuntimeParts, workers: LocalWorkers) -> None:
        self.is_closed = False
        self._parts = parts
        self._workers = workers
        self._first: list[Callable[[], None]] = []

    def check_open(self) -> None:
        """Raises RuntimeClosed after `close`."""
        if self.is_closed:
            raise RuntimeClosed("the runtime is closed; connect() again")

    def at_first(self, act: Callable[[], None]) -> None:
        """Call this at the end, before any part is closed."""
        self._first.append(act)

    def close(self) -> None:
        """Stop the workers, then close all parts, even if closing one of them fails."""
        if self.is_closed:
            return
        self.is_closed = True
        parts = self._parts
        with ExitStack() as to_close:
            to_close.callback(parts.store.close)
            if parts.on_close is not None:
                to_close.callback(parts.on_close)
            to_close.callback(parts.projections.close)
            for act in self._first:
                to_close.callback(act)
            self._workers.stop(None)
