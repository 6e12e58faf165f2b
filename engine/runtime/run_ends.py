"""Which runs ended in this process, for its threads that wait for one."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from stepwell.engine.forks import ForkAware, Lineage


class RunEnds(ForkAware):
    """ForkAware by the workers of a runtime; runs that end in other processes are not heard of."""

    def __init__(self) -> None:
        self._told = threading.Condition()
        self._last: Sequence[str] = ()
        self.count = 0
        Lineage.register(self)

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`. A thread of the parent may have been telling."""
        self._told = threading.Condition()

    def tell(self, run_ids: Sequence[str]) -> None:
        """These have ended."""
        with self._told:
            self.count += len(run_ids)
            self._last = run_ids
            self._told.notify_all()

    def wait(self, run_id: str, seen: int, seconds: float) -> bool:
        """Until any ends after the first `seen`, or for so long; whether it was this one.

        It may have ended all the same: of those that end one after the other, only the last are
        known.
        """
        with self._told:
            if self.count == seen:
                self._told.wait(seconds)
            return self.count != seen and run_id in self._last
