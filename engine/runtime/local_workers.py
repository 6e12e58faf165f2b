"""The workers of a runtime in this process."""

from __future__ import annotations

from stepwell.engine.durations import Duration
from stepwell.engine.forks import ForkAware, Lineage
from stepwell.engine.worker.worker import Worker


class LocalWorkers(list[Worker], ForkAware):
    """The workers that are running. A fork begins with none, as they belong to its parent."""

    def __init__(self) -> None:
        super().__init__()
        Lineage.register(self)

    def remove(self, worker: Worker) -> None:
        """Forget a worker that has ended; in a fork, it may be the parent's and not be here."""
        if worker in self:
            super().remove(worker)

    def acted(self, changed: int) -> int:
        """Wake all workers, as a change may have given them work; returns `changed`."""
        for worker in tuple(self):
            worker.wake()
        return changed

    def stop(self, grace: Duration | None) -> int:
        """Tell all of them to stop, as `Worker.stop` does; returns how many."""
        workers = tuple(self)
        for worker in workers:
            worker.stop(grace)
        return len(workers)

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as the contract has it
        """See `forks.ForkAware`."""
        for worker in self:
            worker.disown()
        self.clear()
