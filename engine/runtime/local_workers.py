"""The workers of a runtime in this process."""

from __future__ import annotations

from stepwell.engine.forks import ForkAware, Lineage
from stepwell.engine.worker.worker import Worker


class LocalWorkers(list[Worker], ForkAware):
    """The workers that are at work. A fork begins with none: they are its parent's."""

    def __init__(self) -> None:
        super().__init__()
        Lineage.register(self)

    def remove(self, worker: Worker) -> None:
        """It has ended; one that is not here is its parent's."""
        if worker in self:
            super().remove(worker)

    def acted(self, changed: int) -> int:
        """Something was changed that may give them work: they look at once; returns `changed`."""
        for worker in tuple(self):
            worker.wake()
        return changed

    def stop(self, grace: float | None) -> int:
        """Tell all of them to stop, as `Worker.stop` does; returns how many."""
        workers = tuple(self)
        for worker in workers:
            worker.stop(grace)
        return len(workers)

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`."""
        for worker in self:
            worker.disown()
        self.clear()
