"""The time of a simulated world: one machine's clocks, and each process's view of them."""

from __future__ import annotations

from datetime import UTC, datetime

from stepwell.engine.clock import VirtualClock, to_micros
from stepwell.testing.crash_points import Crashed
from stepwell.testing.simulator.fibers import Owner

_START = to_micros(datetime(2030, 1, 1, tzinfo=UTC))


class MachineTime:
    """Elapsed time, which only increases, and the wall clock, which can be set."""

    def __init__(self) -> None:
        self._elapsed = 0  # µs
        self._offset = _START

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._elapsed / 1e6

    def move_to(self, elapsed: float) -> None:
        """Move on to a moment."""
        self._elapsed = max(self._elapsed, round(elapsed * 1e6))

    def micros(self) -> int:
        """The wall clock, in epoch microseconds."""
        return self._offset + self._elapsed

    def set_wall_clock(self, by: float) -> None:
        """Move the wall clock by so many seconds, forward or back."""
        self._offset += round(by * 1e6)


class ProcessClock(VirtualClock):
    """A process's clock; who is dead reads none."""

    def __init__(self, time: MachineTime, process: Owner) -> None:
        super().__init__()
        self._time = time
        self._process = process

    def micros(self) -> int:
        """Epoch microseconds, UTC."""
        self._check()
        return self._time.micros()

    def monotonic(self) -> float:
        """Seconds since the start."""
        self._check()
        return self._time.elapsed()

    def _check(self) -> None:
        if self._process.dead:
            raise Crashed("the process is dead")
