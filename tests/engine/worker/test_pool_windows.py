"""How many steps a worker claims ahead for a pool."""

from __future__ import annotations

import pytest

from stepwell.engine.worker.pool_windows import AHEAD, SAMPLE_STEPS, PoolWindow
from stepwell.executors.pools.registered import RegisteredPools

THREADS = RegisteredPools().find("thread")
SLOTS = 10
LIMIT = 1_000


def window_of(rate: float) -> PoolWindow:
    """A pool of which it was measured, again and again, that it ends so many steps a second."""
    window, now = PoolWindow(THREADS, SLOTS), 0.0
    for _ in range(30):
        window.add(SAMPLE_STEPS, now)
        now += SAMPLE_STEPS / rate
        window.ended_at = now
        window.claimed -= SAMPLE_STEPS
        window.finished += SAMPLE_STEPS
        window.measure(now)
    return window


def test_nothing_is_claimed_ahead_before_anything_is_known() -> None:
    assert PoolWindow(THREADS, SLOTS).most_claimed(LIMIT) == SLOTS


def test_slow_steps_are_claimed_when_there_is_a_slot() -> None:
    assert window_of(rate=0.9 / AHEAD).most_claimed(LIMIT) == SLOTS


@pytest.mark.parametrize("ahead", [1, 4, 500])
def test_what_ends_soon_is_there_before_its_slot_is_free(ahead: int) -> None:
    window = window_of(rate=(ahead + 0.5) / AHEAD)

    assert window.most_claimed(LIMIT) == SLOTS + ahead


def test_no_more_is_claimed_than_the_limit_but_as_many_as_there_are_slots() -> None:
    fast = window_of(rate=1e6)

    assert fast.most_claimed(LIMIT) == LIMIT
    assert fast.most_claimed(SLOTS - 1) == SLOTS


def test_a_slow_store_does_not_make_a_pool_slow() -> None:
    # given: the last body ended long before what came of it was settled
    window = PoolWindow(THREADS, SLOTS)
    window.add(SAMPLE_STEPS, 0.0)
    window.ended_at = 0.01
    window.claimed, window.finished = 0, SAMPLE_STEPS

    # when
    window.measure(1.0)

    # then: it would have ended so many more meanwhile
    assert window.most_claimed(LIMIT) == SLOTS + int(SAMPLE_STEPS / 0.01 / 2 * AHEAD)
