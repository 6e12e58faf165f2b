"""The outcome queue of a worker: many write, one waits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from queue import Empty
from time import monotonic

import pytest

from stepwell.engine.worker.outcome_queue import OutcomeQueue


@pytest.fixture
def outcomes() -> OutcomeQueue[int]:
    return OutcomeQueue()


def test_items_come_in_the_order_they_were_put(outcomes: OutcomeQueue[int]) -> None:
    for number in range(3):
        outcomes.put(number)

    assert not outcomes.empty()
    assert [outcomes.get() for _ in range(3)] == [0, 1, 2]
    assert outcomes.empty()


@pytest.mark.parametrize("wait", [{"block": False}, {"timeout": 0.01}, {"timeout": 0.0}])
def test_an_empty_one_says_so(outcomes: OutcomeQueue[int], wait: dict[str, float]) -> None:
    outcomes.put(1)
    outcomes.get()

    with pytest.raises(Empty):
        outcomes.get(**wait)  # type: ignore[arg-type]  # either of the two


def test_what_many_put_all_comes_to_one_who_waits(outcomes: OutcomeQueue[int]) -> None:
    # given
    writers, each = 8, 500

    def write(writer: int) -> None:
        for number in range(each):
            outcomes.put(writer * each + number)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]

    # when
    for thread in threads:
        thread.start()
    got = [outcomes.get(timeout=30) for _ in range(writers * each)]

    # then
    assert sorted(got) == list(range(writers * each))
    for thread in threads:
        thread.join()


@pytest.fixture
def slow_handler() -> Iterator[float]:
    """A signal whose handler takes so many seconds."""
    seconds = 0.05

    def handle(*_: object) -> None:
        threading.Event().wait(seconds)

    before = signal.signal(signal.SIGALRM, handle)
    yield seconds
    signal.signal(signal.SIGALRM, before)


@pytest.mark.timeout(30)
def test_a_wait_ends_in_time_though_a_signal_came(
    outcomes: OutcomeQueue[int], slow_handler: float
) -> None:
    begun = monotonic()
    signal.setitimer(signal.ITIMER_REAL, slow_handler / 10)

    with pytest.raises(Empty):
        outcomes.get(timeout=slow_handler / 2)

    assert monotonic() - begun >= slow_handler
