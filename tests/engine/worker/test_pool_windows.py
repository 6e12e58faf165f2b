"""How many steps a worker claims ahead for a pool."""

from __future__ import annotations

import pytest

from stepwell.engine.worker.pool_windows import AHEAD, SAMPLE_STEPS, _LaneState

SLOTS = 10
LIMIT = 1_000


def lane_of(rate: float) -> _LaneState:
    """A pool of which it was measured, again and again, that it ends so many steps a second."""
    lane, now = _LaneState("thread", SLOTS), 0.0
    for _ in range(30):
        lane.add(SAMPLE_STEPS, now)
        now += SAMPLE_STEPS / rate
        lane.ended_at = now
        lane.claimed -= SAMPLE_STEPS
        lane.finished += SAMPLE_STEPS
        lane.measure(now)
    return lane


def test_nothing_is_claimed_ahead_before_anything_is_known() -> None:
    assert _LaneState("thread", SLOTS).window(LIMIT) == SLOTS


def test_slow_steps_are_claimed_when_there_is_a_slot() -> None:
    assert lane_of(rate=0.9 / AHEAD).window(LIMIT) == SLOTS


@pytest.mark.parametrize("ahead", [1, 4, 500])
def test_what_ends_soon_is_there_before_its_slot_is_free(ahead: int) -> None:
    lane = lane_of(rate=(ahead + 0.5) / AHEAD)

    assert lane.window(LIMIT) == SLOTS + ahead


def test_no_more_is_claimed_than_the_limit_but_as_many_as_there_are_slots() -> None:
    fast = lane_of(rate=1e6)

    assert fast.window(LIMIT) == LIMIT
    assert fast.window(SLOTS - 1) == SLOTS


def test_a_slow_store_does_not_make_a_pool_slow() -> None:
    # given: the last body ended long before what came of it was settled
    lane = _LaneState("thread", SLOTS)
    lane.add(SAMPLE_STEPS, 0.0)
    lane.ended_at = 0.01
    lane.claimed, lane.finished = 0, SAMPLE_STEPS

    # when
    lane.measure(1.0)

    # then: it would have ended so many more meanwhile
    assert lane.window(LIMIT) == SLOTS + int(SAMPLE_STEPS / 0.01 / 2 * AHEAD)
