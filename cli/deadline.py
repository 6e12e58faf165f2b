"""The latest time at which the process ends, whatever bodies have left running in it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from stepwell.engine.clock import SystemClock
from stepwell.engine.settings import Settings

# From the end of the grace period to the end of the process, in seconds; we promise 2.
LATEST = 1.5
# How long threads may take to end after the command, even if it is late, in seconds.
LEAST = 0.2
# How much longer the pools may take to kill what does not end, in seconds.
KILLING = 5.0
# How long the last acts may take, in seconds.
LAST_ACTS = 0.3


class Deadline:
    """Ends the process in time, although threads and children may never end.

    At its end, the interpreter waits for threads that are not daemons and for children of
    multiprocessing, and a body may have started such. Does nothing before `watch` is called.
    """

    def __init__(self) -> None:
        self._clock = SystemClock()
        # A queue without locks, because signal handlers put into it.
        self._orders: SimpleQueue[tuple[float, int]] = SimpleQueue()
        self._settings: Settings | None = None
        self._told: float | None = None

    def watch(self, settings: Settings) -> None:
        """Start watching, before the code of packages runs; the last call's settings count."""
        first, self._settings = self._settings is None, settings
        if first:
            threading.Thread(target=self._work, name="stepwell-deadline", daemon=True).start()

    def told(self, signum: int, grace: float) -> None:
        """A signal asked the process to end after a grace period; callable from its handler."""
        if self._settings is None:
            return
        by = self._clock.monotonic() + grace + LATEST
        self._told = by if self._told is None else min(by, self._told)
        longest = self._told + self._settings.kill_grace + KILLING
        self._orders.put((longest, 128 + signum))

    def over(self, code: int, *, patient: bool) -> None:
        """The command is over and has written its output: only other threads are waited for.

        With `patient`, which means that no signal asked for the end, they have the grace period.
        """
        if self._settings is None:
            return
        now = self._clock.monotonic()
        by = self._told
        if by is None:
            by = now + LATEST + (self._settings.grace if patient else 0)
        self._orders.put((max(by, now + LEAST), code))

    def _work(self) -> None:
        by, code = self._orders.get()
        while True:
            left = by - self._clock.monotonic()
            try:
                by, code = self._orders.get(timeout=max(0.0, left))
            except Empty:
                _leave(code)


def _leave(code: int) -> None:
    """End the process, after a last attempt to kill children and flush the streams."""
    last = threading.Thread(target=_last_acts, name="stepwell-last-acts", daemon=True)
    with suppress(RuntimeError):
        last.start()
        last.join(LAST_ACTS)  # a thread that writes to a full pipe may hold the stream's lock
    os._exit(code)


def _last_acts() -> None:
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        for child in multiprocessing.active_children():
            child.kill()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
