"""Senders, receivers and operators on connections of their own: nothing is lost or given twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.exchange import ClaimedStep, Exchange
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.engine.ports import RunStore
from stepwell.engine.states import RunStatus
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import (
    claim_request,
    completed,
    new_message,
    new_run,
    new_step,
    suspended,
)
from stepwell.testing.run_store.case import OPERATOR

ROUNDS = 40


@pytest.fixture
def stores(postgres_url: str) -> Iterator[list[RunStore]]:
    """Two stores on one database, each with connections of its own."""
    opened: list[RunStore] = [open_run_store(postgres_url, clock=SystemClock()) for _ in range(2)]
    opened[0].define_queues([Queue(DEFAULT_QUEUE)])
    yield opened
    for store in opened:
        store.close()


def together(*works: Callable[[], object]) -> list[object]:
    """What each gave; they begin at once."""
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], object]) -> object:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def claim(store: RunStore, limit: int = 100) -> list[ClaimedStep]:
    return list(store.exchange((), claim_request(limit)).claimed)


def test_two_receivers_share_all_messages(stores: list[RunStore]) -> None:
    stores[0].create_run(new_run("r", new_step("a"), new_step("b")))
    a, b = claim(stores[0])
    for number in range(2 * ROUNDS):
        stores[0].send(new_message("r", "mail", number))

    def take(store: RunStore, step: ClaimedStep) -> list[int]:
        got = [store.receive(step, "mail", f"receive#{number}") for number in range(ROUNDS)]
        return [int(text) for text in got if text is not None]

    first, second = together(lambda: take(stores[0], a), lambda: take(stores[1], b))

    assert isinstance(first, list)
    assert isinstance(second, list)
    assert sorted(first + second) == list(range(2 * ROUNDS))
    assert first == sorted(first)
    assert second == sorted(second)


def test_two_senders_with_one_key(stores: list[RunStore]) -> None:
    stores[0].create_run(new_run("r", new_step("a")))

    for number in range(ROUNDS):
        message = new_message("r", "mail", number, key=f"k{number}")
        sent = together(*(partial(store.send, message) for store in stores))
        assert sorted(map(bool, sent)) == [False, True]

    assert [m.payload for m in stores[0].messages("r")] == list(range(ROUNDS))


def test_message_at_the_moment_of_the_wait_wakes(stores: list[RunStore]) -> None:
    stores[0].create_run(new_run("r", new_step("a")))
    (step,) = claim(stores[0])

    for number in range(ROUNDS):
        operation = f"receive#{number}"
        suspend = suspended(step, topic="mail")
        together(
            partial(stores[0].exchange, [suspend], None),
            partial(stores[1].send, new_message("r", "mail", number)),
        )
        (step,) = claim(stores[0])
        assert stores[0].receive(step, "mail", operation) == str(number)


def test_value_at_the_moment_of_the_wait_wakes(stores: list[RunStore]) -> None:
    stores[0].create_run(new_run("setter", new_step("x")))
    (setter,) = claim(stores[0])
    stores[0].create_run(new_run("r", new_step("a")))
    (step,) = claim(stores[0])

    for number in range(ROUNDS):
        key = f"k{number}"
        suspend = suspended(step, value=("setter", key))
        together(
            partial(stores[0].exchange, [suspend], None),
            partial(stores[1].set_value, setter, key, "1", key),
        )
        (step,) = claim(stores[0])


def test_end_of_a_run_at_the_moment_of_the_wait_wakes(stores: list[RunStore]) -> None:
    stores[0].create_run(new_run("r", new_step("a")))
    (step,) = claim(stores[0])

    for number in range(ROUNDS):
        other = f"other{number}"
        stores[0].create_run(new_run(other, new_step("x")))
        (last,) = claim(stores[0])
        suspend = suspended(step, run_id=other)
        together(
            partial(stores[0].exchange, [suspend], None),
            partial(stores[1].exchange, [completed(last)], None),
        )
        (step,) = claim(stores[0])


def test_steps_that_send_to_each_other_s_runs(stores: list[RunStore]) -> None:
    for number in range(ROUNDS):
        pair = [f"{side}{number}" for side in ("left", "right")]
        for run_id in pair:
            stores[0].create_run(new_run(run_id, new_step("a"), new_step("b", "a", kind="later")))
        steps = {step.run.id: step for step in claim(stores[0])}
        outcomes = [
            completed(steps[run_id], messages=[new_message(other, "mail", 1)])
            for run_id, other in (pair, reversed(pair))
        ]
        together(
            partial(stores[0].exchange, [outcomes[0]], None),
            partial(stores[1].exchange, [outcomes[1]], None),
        )
        assert [len(stores[0].messages(run_id)) for run_id in pair] == [1, 1]


def test_pause_at_the_moment_of_claims_and_settles(stores: list[RunStore]) -> None:
    for number in range(ROUNDS):
        run_id = f"r{number}"
        steps = [new_step("a"), *(new_step(f"s{n}", "a") for n in range(20))]
        stores[0].create_run(new_run(run_id, *steps))
        (first,) = claim(stores[0])

        exchanged, _ = together(
            partial(stores[0].exchange, [completed(first)], claim_request(10)),
            partial(stores[1].pause_run, run_id, OPERATOR),
        )

        assert isinstance(exchanged, Exchange)
        claimed = exchanged.claimed
        assert claim(stores[0]) == []
        stores[0].exchange([completed(step) for step in claimed], None)
        stores[0].resume_run(run_id, OPERATOR)
        stores[0].exchange([completed(step) for step in claim(stores[0])], None)
        assert stores[0].run(run_id).status is RunStatus.SUCCEEDED


def test_compare_and_set_has_one_winner(stores: list[RunStore]) -> None:
    for version in range(ROUNDS):
        given = [partial(store.kv_set, "k", "1", version=version) for store in stores]

        won = [result for result in together(*given) if result is not None]

        assert won == [version + 1]
