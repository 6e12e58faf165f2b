"""Shows the progress of a run, while another thread works on it."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import stepwell.cli as cli
from stepwell.cli.output import counted
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StepwellError
from stepwell.engine.model import RunProgress

LIVE_INTERVAL = 0.1
PLAIN_INTERVAL = 0.25
RATE_SECONDS = 5.0
# When nothing runs or changes for this long, we ask what the run waits for, and ask again less and
# less often.
STILL_SECONDS = 0.5
ASK_AT_LEAST_EVERY = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The run's counts at one moment, with the rate of the last seconds, and what it waits for."""

    counts: RunProgress
    elapsed: float
    rate: float
    waits: Sequence[str] = ()

    @property
    def ended(self) -> int:
        """How many steps have ended."""
        return self.counts.total - self.counts.open

    @property
    def percent(self) -> int:
        """The percentage of known steps that have ended; a run may get more steps."""
        return 100 * self.ended // self.counts.total if self.counts.total else 100


class Display(Protocol):
    """Where snapshots are shown."""

    def show(self, snapshot: Snapshot) -> None: ...
    def close(self) -> None: ...


class PlainDisplay:
    """Writes a line to stderr for each change of status, each ten percent, and each wait."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown: tuple[str, int] | None = None
        self._waits: Sequence[str] = ()

    def show(self, snapshot: Snapshot) -> None:
        """Write a line if there is something new."""
        self._show_counts(snapshot)
        for line in snapshot.waits:
            if line not in self._waits:
                self._write(line)
        self._waits = snapshot.waits

    def _show_counts(self, snapshot: Snapshot) -> None:
        status = snapshot.counts.status.value
        tenth = snapshot.percent // 10
        if self._shown is not None and self._shown[0] == status and tenth <= self._shown[1]:
            return
        self._shown = (status, tenth)
        self._write(describe(snapshot))

    def close(self) -> None:
        """There is nothing to release."""


def describe(snapshot: Snapshot) -> str:
    """A snapshot in one line."""
    counts = snapshot.counts
    parts = [f"{counts.status.value:<9} {snapshot.percent:>3} %"]
    parts.append(f"{snapshot.ended:,} of {counted(counts.total, 'step')}")
    parts += [
        f"{number:,} {name}"
        for name in ("failed", "canceled", "skipped")
        if (number := getattr(counts, name))
    ]
    if counts.running:
        parts.append(f"{len(counts.running)} running")
    if snapshot.rate >= 0.1:
        parts.append(f"{snapshot.rate:,.0f}/s" if snapshot.rate >= 10 else f"{snapshot.rate:.1f}/s")
    return ", ".join(parts)


class _Standstill:
    """Asks what a run waits for while it makes no progress."""

    def __init__(self, ask: Callable[[], Sequence[str]]) -> None:
        self._ask = ask
        self._counts: RunProgress | None = None
        self._since = self._next = 0.0
        self._told: Sequence[str] = ()

    def look(self, counts: RunProgress, now: float) -> Sequence[str]:
        """What the run waits for, as of the last question; nothing while it makes progress."""
        if counts != self._counts or counts.running:
            self._counts, self._told = counts, ()
            self._since, self._next = now, now + STILL_SECONDS
        elif now >= self._next:
            self._told = self._ask()
            self._next = now + min(now - self._since, ASK_AT_LEAST_EVERY)
        return self._told


class _Monitor:
    """Reads the counts periodically, in its own thread."""

    def __init__(
        self,
        read: Callable[[], RunProgress],
        ask: Callable[[], Sequence[str]],
        display: Display,
        interval: float,
    ) -> None:
        self._read = read
        self._standstill = _Standstill(ask)
        self._display = display
        self._interval = interval
        self._clock = SystemClock()
        self._begun = self._clock.monotonic()
        self._samples: deque[tuple[float, int]] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stepwell-progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _watch(self) -> None:
        try:
            while not self._stop.wait(self._interval):
                self._display.show(self._snapshot())
        except (StepwellError, OSError):
            return  # the thread that works on the run reports the error

    def _snapshot(self) -> Snapshot:
        counts = self._read()
        now = self._clock.monotonic()
        ended = counts.total - counts.open
        if not self._samples:
            self._samples.append((self._begun, ended if now - self._begun > RATE_SECONDS else 0))
        self._samples.append((now, ended))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_SECONDS:
            self._samples.popleft()
        since, before = self._samples[0]
        rate = max(0.0, (ended - before) / (now - since)) if now > since else 0.0
        waits = () if self._stop.is_set() else self._standstill.look(counts, now)
        return Snapshot(counts, now - self._begun, rate, waits)

    def finish(self) -> None:
        """Show the last state and stop."""
        self._stop.set()
        self._thread.join()
        with suppress(StepwellError, OSError):  # stderr may have no reader any more
            self._display.show(self._snapshot())
        with suppress(OSError):
            self._display.close()


@contextmanager
def shown(
    read: Callable[[], RunProgress],
    ask: Callable[[], Sequence[str]],
    write: Callable[[str], None],
    *,
    quiet: bool,
) -> Iterator[None]:
    """Show the results of `read` during the block: live on a terminal, else in lines.

    While the run makes no progress, `ask` says what it waits for.
    """
    if quiet:
        yield
        return
    on_terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    display: Display = cli.live.LiveDisplay() if on_terminal else PlainDisplay(write)
    monitor = _Monitor(read, ask, display, LIVE_INTERVAL if on_terminal else PLAIN_INTERVAL)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
