from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import stepwell.engine as engine
from stepwell.engine.clock import (
    SystemClock,
    VirtualClock,
    duration_micros,
    to_datetime,
    to_micros,
)


def test_virtual_clock_moves_only_when_told() -> None:
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    before = (clock.micros(), clock.monotonic())

    clock.advance(timedelta(seconds=1.5))

    assert (clock.micros(), clock.monotonic()) == (before[0] + 1_500_000, before[1] + 1.5)
    for back in (timedelta(seconds=-1), -0.5):
        with pytest.raises(ValueError, match="moves forward only"):
            clock.advance(back)


@pytest.mark.parametrize("seconds", [90, 1.5, 0])
def test_virtual_clock_is_moved_by_seconds_too(seconds: float) -> None:
    clock, other = VirtualClock(), VirtualClock()

    clock.advance(seconds)
    other.advance(timedelta(seconds=seconds))

    assert (clock.micros(), clock.monotonic()) == (other.micros(), other.monotonic())


def test_moments_come_back_as_they_were() -> None:
    for moment in (datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 59, 59, 1, UTC)):
        assert to_datetime(to_micros(moment)) == moment
    with pytest.raises(ValueError, match="needs a zone"):
        to_micros(datetime(2030, 1, 1))  # noqa: DTZ001  # that is the point
    assert duration_micros(timedelta(days=1)) == 86_400_000_000


def test_system_clock_goes_on() -> None:
    clock = SystemClock()

    assert clock.micros() <= clock.micros()
    assert clock.monotonic() <= clock.monotonic()


def test_seam_gives_only_what_it_names() -> None:
    assert engine.cycle_search.find_cycle([("a", "b"), ("b", "a")]) is not None
    with pytest.raises(AttributeError, match="no attribute 'nowhere'"):
        engine.nowhere  # noqa: B018  # that is the point
