"""Steps that were claimed together read their dependencies together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.ports import DependencyValue, RunStore

# How many steps are read for at once, and the most dependencies of each of them. A larger join
# is read by itself, when it asks.
MAX_STEPS = 64
MAX_EACH = 64


class BatchedReads:
    """One for the steps of a kind in one claim. Safe to use from many threads.

    The first step that asks brings the answers for the next ones along: many small joins cost a
    query for all, not one for each.
    """

    def __init__(
        self, store: RunStore, steps: Sequence[ClaimedStep], lock: AbstractContextManager[Any]
    ) -> None:
        self._store = store
        self._lock = lock
        self._unread = {step.key: step for step in reversed(steps)}
        self._read: dict[int, list[DependencyValue]] = {}

    def dependency_values(self, step: ClaimedStep) -> list[DependencyValue]:
        """As `DependencyReads.dependency_values`."""
        with self._lock:
            if step.key in self._unread:
                batch = [self._unread.pop(step.key)]
                while self._unread and len(batch) < MAX_STEPS:
                    batch.append(self._unread.popitem()[1])
                self._read.update(self._store.small_dependency_values(batch, MAX_EACH))
            rows = self._read.pop(step.key, None)
        return self._store.dependency_values(step) if rows is None else rows
