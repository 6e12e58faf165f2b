"""Steps that were claimed together read their dependencies together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.ports import DependencyValue, RunStore

# For how many steps the dependencies are read at once, and how many each of them may have. Those
# of a larger join are read separately.
MAX_STEPS = 64
MAX_EACH = 64


class BatchedReads:
    """The reads of the steps of one kind in one claim. Safe to use from many threads.

    The first step that asks also reads for the next ones, so that many small joins share a query.
    """

    def __init__(
        self, store: RunStore, steps: Sequence[ClaimedStep], lock: AbstractContextManager[Any]
    ) -> None:
        self._store = store
        self._lock = lock
        self._unread = {step.key: step for step in reversed(steps)}
        self._read: dict[int, list[DependencyValue]] = {}

    def dependency_values(self, step: ClaimedStep) -> list[DependencyValue]:
        """See `DependencyReads.dependency_values`."""
        with self._lock:
            if step.key in self._unread:
                batch = [self._unread.pop(step.key)]
                while self._unread and len(batch) < MAX_STEPS:
                    batch.append(self._unread.popitem()[1])
                self._read.update(self._store.small_dependency_values(batch, MAX_EACH))
            rows = self._read.pop(step.key, None)
        return self._store.dependency_values(step) if rows is None else rows
