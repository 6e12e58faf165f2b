"""A cheap signal for readers: someone committed something.

One of the waiting threads looks at the store, less and less often while nothing happens, and tells
the others. When it leaves, another one takes its place. While no thread waits, nobody looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from stepwell.engine.forks import ForkAware, Lineage

# The shortest and the longest time between two looks, in seconds. In between, it is a twentieth of
# the time that the thread has waited.
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
        # The number of looks that have begun. What a look saw means nothing to a thread that came
        # after the look had begun.
        self._looks = 0
        self._last: tuple[int, str | None] = (0, None)
        # Whether a thread has come since the last look.
        self._has_come = False

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as the contract has it
        """See `forks.ForkAware`. The waiting threads are in the parent."""
        self._begin_anew()

    def mark(self) -> str:
        """A mark of what has been committed so far, to wait for more."""
        return self._version()

    def wait(self, timeout: float | None, since: str | None = None) -> bool:
        """Wait until something is committed after the mark `since` (None: after now).

        Returns False after `timeout` seconds (None: never).
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
        """Look for all waiting threads, until the version is not the mark's or the time is over.

        The caller has the lock, which is released while this waits and looks.
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
