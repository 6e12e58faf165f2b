"""Shows how a run gets on, while another thread works on it."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The run's counts at one moment, with the rate of the last seconds."""

    counts: RunProgress
    elapsed: float
    rate: float

    @property
    def ended(self) -> int:
        """How many steps ended, one way or another."""
        return self.counts.total - self.counts.open

    @property
    def percent(self) -> int:
        """How much of the steps known so far ended; a run may still get more."""
        return 100 * self.ended // self.counts.total if self.counts.total else 100


class Display(Protocol):
    """Where snapshots are shown."""

    def show(self, snapshot: Snapshot) -> None: ...
    def close(self) -> None: ...


class PlainDisplay:
    """A line on stderr for each change of status and each further ten percent."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown: tuple[str, int] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Write a line if there is something new to say."""
        status = snapshot.counts.status.value
        tenth = snapshot.percent // 10
        if self._shown is not None and self._shown[0] == status and tenth <= self._shown[1]:
            return
        self._shown = (status, tenth)
        self._write(describe(snapshot))

    def close(self) -> None:
        """Nothing to give back."""


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


class _Monitor:
    """Reads the counts again and again in a thread of its own."""

    def __init__(self, read: Callable[[], RunProgress], display: Display, interval: float) -> None:
        self._read = read
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
            return  # whoever works on the run says what is wrong

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
        return Snapshot(counts, now - self._begun, rate)

    def finish(self) -> None:
        """Show the last state and stop."""
        self._stop.set()
        self._thread.join()
        try:
            self._display.show(self._snapshot())
        except StepwellError:
            return
        finally:
            self._display.close()


@contextmanager
def shown(
    read: Callable[[], RunProgress], write: Callable[[str], None], *, quiet: bool
) -> Iterator[None]:
    """Show what `read` gives for the time of the block: live on a terminal, else in lines."""
    if quiet:
        yield
        return
    on_terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    display: Display = cli.live.LiveDisplay() if on_terminal else PlainDisplay(write)
    monitor = _Monitor(read, display, LIVE_INTERVAL if on_terminal else PLAIN_INTERVAL)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
