"""Whoever may have something to do gets a hint, and nobody for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.exchange import ClaimedStep, NewRun
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.engine.ports import RunStore
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import claim_request, completed, new_run, new_step

Hints = Callable[[Callable[[], Any]], int]


@pytest.fixture
def store(postgres_url: str) -> Iterator[RunStore]:
    store: RunStore = open_run_store(postgres_url, clock=SystemClock())
    store.define_queues([Queue(DEFAULT_QUEUE)])
    yield store
    store.close()


@pytest.fixture
def hints(postgres_url: str) -> Iterator[Hints]:
    """How many hints come of an act."""
    with psycopg.connect(postgres_url, autocommit=True) as listener:

        def count(act: Callable[[], Any]) -> int:
            listener.execute("LISTEN stepwell")
            act()
            # Notifications come in the order of commits.
            listener.execute("NOTIFY stepwell, 'over'")
            found = 0
            for notification in listener.notifies(timeout=30):
                if notification.payload == "over":
                    break
                found += 1
            listener.execute("UNLISTEN stepwell")
            return found

        yield count


def claim(store: RunStore) -> dict[str, ClaimedStep]:
    return {step.id: step for step in store.exchange((), claim_request()).claimed}


def test_emitted_steps_that_are_ready(store: RunStore, hints: Hints) -> None:
    store.create_run(new_run("r", new_step("a")))
    outcome = completed(claim(store)["a"], emitted=[new_step("b"), new_step("c", "b")])

    assert hints(lambda: store.exchange([outcome], None)) == 1


def test_not_those_that_the_same_worker_claims(store: RunStore, hints: Hints) -> None:
    store.create_run(new_run("r", new_step("a")))
    outcome = completed(claim(store)["a"], emitted=[new_step("b"), new_step("c", "b")])

    assert hints(lambda: store.exchange([outcome], claim_request())) == 0


def test_a_run_that_is_claimed_as_it_is_stored(store: RunStore, hints: Hints) -> None:
    # given a worker that has room for both steps, and then for one of them
    pair = [new_step("a"), new_step("b")]
    both, one = new_run("both", *pair), new_run("one", *pair)
    results: list[bool] = []

    def start(run: NewRun, most: int) -> None:
        results.append(store.create_and_claim(run, claim_request(most))[1].hinted)

    # then who cannot take all of it tells the others
    assert hints(lambda: start(both, 2)) == 0
    assert hints(lambda: start(one, 1)) == 1
    assert results == [False, True]


def test_ones_own_hint_is_no_news(store: RunStore) -> None:
    # given a worker that listens, and ends a run
    store.create_run(new_run("r", new_step("a")))
    step = claim(store)["a"]
    watch: Any = store.watch()
    assert store.exchange([completed(step)], None).hinted

    # when it knows that the hint is its own, then it hears nothing, however late that comes
    watch.hinted()
    assert watch._own == 1
    while watch._own:
        assert not watch.changed()

    # when somebody else commits, then it does
    store.create_run(new_run("s", new_step("a")))
    while not watch.changed():
        pass
    watch.close()


def test_new_limits(store: RunStore, hints: Hints) -> None:
    queues = [Queue(DEFAULT_QUEUE, max_in_flight=2)]

    assert hints(lambda: store.define_queues(queues)) == 1
    assert hints(lambda: store.define_queues(queues)) == 0


@pytest.mark.parametrize("limit", ["max_in_flight", "max_per_worker"])
def test_slot_of_a_queue_in_which_something_waits(
    store: RunStore, hints: Hints, limit: str
) -> None:
    # given: a queue that lets one through at a time, and four steps in it
    limits: dict[str, Any] = {limit: 1}
    store.define_queues([Queue("narrow", **limits)])
    steps = [new_step(name, queue="narrow") for name in "abcd"]
    store.create_run(new_run("r", *steps, new_step("open", kind="later")))
    (first,) = claim(store).values()

    # when, then: its end lets the next one through
    assert hints(lambda: store.exchange([completed(first)], None)) == 1
    (second,) = claim(store).values()
    # … who claims it at once needs no hint
    claimed: list[ClaimedStep] = []
    outcomes = [completed(second)]
    assert hints(lambda: claimed.extend(store.exchange(outcomes, claim_request()).claimed)) == 0
    # … and after the last one nothing waits
    store.exchange([completed(claimed[0])], None)
    claimed = list(claim(store).values())
    assert hints(lambda: store.exchange([completed(claimed[0])], None)) == 0
