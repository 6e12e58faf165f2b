"""Runs steps in the thread that submits them: for single cycles, and for virtual time."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.ports import Task
from stepwell.executors.pools.attempt import Deliver, attempt


class InlinePool:
    """Runs each task within `submit`, in the caller's thread, one after the other."""

    def __init__(self, size: int, deliver: Deliver) -> None:
        self.size = size
        self._deliver = deliver

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            attempt(task, self._deliver)

    def cancel(self, task: Task) -> None:
        task.cancel()

    def shutdown(self, grace: float) -> None:
        """Nothing runs between two calls of `submit`, so there is nothing to stop."""
