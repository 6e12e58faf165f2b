"""The ends of runs in this process, for its threads that wait for one."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from stepwell.engine.forks import ForkAware, Lineage


class RunEnds(ForkAware):
    """The workers of a runtime tell it which runs end; it does not hear of other processes."""

    def __init__(self) -> None:
        self._told = threading.Condition()
        self._last: Sequence[str] = ()
        self._listening: tuple[threading.Event, ...] = ()
        self.count = 0
        Lineage.register(self)

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as the contract has it
        """See `forks.ForkAware`. A thread of the parent may have had the lock."""
        self._told = threading.Condition()
        self._listening = ()

    def listen(self, event: threading.Event) -> None:
        """Set the event whenever runs have ended."""
        with self._told:
            self._listening = (*self._listening, event)

    def unlisten(self, event: threading.Event) -> None:
        """Undo `listen`."""
        with self._told:
            self._listening = tuple(each for each in self._listening if each is not event)

    def tell(self, run_ids: Sequence[str]) -> None:
        """Note that these runs have ended."""
        with self._told:
            self.count += len(run_ids)
            self._last = run_ids
            self._told.notify_all()
        for event in self._listening:
            event.set()

    def wait(self, run_id: str, seen: int, seconds: float) -> bool:
        """Wait until another run than the first `seen` ends; returns whether it was this one.

        Waits for up to `seconds`. After False, the run may have ended all the same: only the runs
        that were told last are known.
        """
        with self._told:
            if self.count == seen:
                self._told.wait(seconds)
            return self.count != seen and run_id in self._last
