"""The only module that reads a clock or sleeps."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from stepwell.engine.durations import FORMS, Duration, read_duration

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Wall time in epoch microseconds UTC, and a monotonic clock in seconds."""

    def micros(self) -> int: ...
    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    def micros(self) -> int:
        """Epoch microseconds, UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""
        return time.monotonic()


class VirtualClock:
    """A clock that moves only when a test advances it; both of its clocks move together."""

    def __init__(self, start: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self._micros = to_micros(start)
        self._monotonic = 0.0

    def micros(self) -> int:
        """Epoch microseconds, UTC."""
        return self._micros

    def monotonic(self) -> float:
        """Seconds moved so far."""
        return self._monotonic

    def advance(self, delta: Duration) -> None:
        """Move forward by a duration: seconds, a timedelta, or text such as "1h30m"."""
        by = read_duration(delta)
        if by is None or by < timedelta(0):
            raise ValueError(
                f"a clock moves forward only, by a duration ({FORMS}), got {delta!r:.80}"
            )
        self._micros += by // _MICROSECOND
        self._monotonic += by.total_seconds()


def pause(seconds: float) -> None:
    """Sleep in real time, even where a virtual clock is in use: for waiting on other processes.

    Does not use `time.sleep`: CPython implements it with an absolute time of the monotonic clock,
    which the system refuses where the clock is faked (by libfaketime).
    """
    threading.Event().wait(seconds)


def to_datetime(micros: int) -> datetime:
    """Epoch microseconds as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=micros)


def to_text(micros: int) -> str:
    """Epoch microseconds as people read them: ISO 8601, UTC with a `Z`."""
    return to_datetime(micros).isoformat().replace("+00:00", "Z")


def to_micros(moment: datetime) -> int:
    """An aware datetime as epoch microseconds."""
    if moment.tzinfo is None:
        raise ValueError(f"a time needs a zone, got the naive {moment.isoformat()}")
    return (moment - _EPOCH) // _MICROSECOND


def duration_micros(delta: timedelta) -> int:
    """A duration in microseconds."""
    return delta // _MICROSECOND
