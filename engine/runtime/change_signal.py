"""A cheap signal for readers: somebody committed something.

Of all threads that wait one looks at the store, less and less often the longer nothing happens,
and tells the others. When it leaves, another one takes its place; while none waits, nobody looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from stepwell.engine.forks import ForkAware, Lineage

# How soon the store is looked at again, in seconds: after a twentieth of the time that was waited,
# within these bounds.
SOON, LATE = 0.002, 0.05


class ChangeSignal(ForkAware):
    """`version` is `RunStore.version`, `monotonic` a clock in seconds. Safe for many threads."""

    def __init__(self, version: Callable[[], str], monotonic: Callable[[], float]) -> None:
        self._version = version
        self._monotonic = monotonic
        self._begin_anew()
        Lineage.register(self)

    def _begin_anew(self) -> None:
        self._told = threading.Condition()
        self._is_watched = False
        # Looks are numbered as they begin: one that began before a thread came tells it nothing.
        self._looks = 0
        self._last: tuple[int, str | None] = (0, None)
        self._has_come = False  # a thread, since the last look

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`. The threads that waited are the parent's."""
        self._begin_anew()

    def mark(self) -> str:
        """What is committed by now, to wait for something else."""
        return self._version()

    def wait(self, timeout: float | None, since: str | None = None) -> bool:
        """Until something is committed after the mark `since` (None: after now), or for so long.

        Whether something was.
        """
        end = None if timeout is None else self._monotonic() + timeout
        mark = self._version()
        if since is not None and mark != since:
            return True
        with self._told:
            came_at, self._has_come = self._looks, True
            while True:
                look, seen = self._last
                if look > came_at and seen != mark:
                    return True
                left = None if end is None else end - self._monotonic()
                if left is not None and left <= 0:
                    return False
                if self._is_watched:
                    self._told.wait(left)
                else:
                    self._watch(mark, end)

    def _watch(self, mark: str, end: float | None) -> None:
        """Look for all who wait, until it is not as at the mark or the time is over.

        Needs the lock, and gives it back while it waits and looks.
        """
        self._is_watched = True
        begun = now = self._monotonic()
        seen = mark
        try:
            while seen == mark and (end is None or now < end):
                pause = min(max(SOON, (now - begun) / 20), LATE)
                self._told.wait(pause if end is None else min(pause, end - now))
                seen = self._look()
                now = self._monotonic()
        finally:
            self._is_watched = False
            self._told.notify_all()

    def _look(self) -> str:
        self._looks += 1
        number = self._looks
        self._told.release()
        try:
            seen = self._version()
        finally:
            self._told.acquire()
        is_new, self._last = seen != self._last[1], (number, seen)
        if is_new or self._has_come:
            self._told.notify_all()
        self._has_come = False
        return seen
