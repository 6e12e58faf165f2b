"""When the process ends at the latest, whatever bodies have left running in it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from stepwell.engine.clock import SystemClock
from stepwell.engine.settings import Settings

# From the end of the grace period to the end of the process, in seconds; 2 are promised.
LATEST = 1.5
# What threads may take to end once the command is over, though it is late, in seconds.
LEAST = 0.2
# How much longer the pools may take to end what has to be killed, in seconds.
KILLING = 5.0
# How long the last acts may take, in seconds.
LAST_ACTS = 0.3


class Deadline:
    """Ends the process in time: threads and children that do not end would keep it for ever.

    The interpreter waits at its end for threads that are no daemons and for children of
    multiprocessing, and a body may have started any. Nothing happens before `watch`.
    """

    def __init__(self) -> None:
        self._clock = SystemClock()
        # What has to be done may be told by a signal handler, which must take no lock.
        self._orders: SimpleQueue[tuple[float, int]] = SimpleQueue()
        self._settings: Settings | None = None
        self._told: float | None = None

    def watch(self, settings: Settings) -> None:
        """Code of others may run from here on; the settings of the last call hold."""
        first, self._settings = self._settings is None, settings
        if first:
            threading.Thread(target=self._work, name="stepwell-deadline", daemon=True).start()

    def told(self, signum: int, grace: float) -> None:
        """A signal asked for the end after a grace; may be called from its handler."""
        if self._settings is None:
            return
        by = self._clock.monotonic() + grace + LATEST
        self._told = by if self._told is None else min(by, self._told)
        longest = self._told + self._settings.kill_grace + KILLING
        self._orders.put((longest, 128 + signum))

    def over(self, code: int, *, patient: bool) -> None:
        """The command is over, and what it has to say is said: only others are waited for.

        Who was not told to end is `patient`: they have the grace period.
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
    """End the process, after a last try for what nobody else will do any more."""
    last = threading.Thread(target=_last_acts, name="stepwell-last-acts", daemon=True)
    with suppress(RuntimeError):
        last.start()
        last.join(LAST_ACTS)  # who writes to a full pipe keeps the stream
    os._exit(code)


def _last_acts() -> None:
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        for child in multiprocessing.active_children():
            child.kill()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
