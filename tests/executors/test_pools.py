"""What every pool promises, shown on each of them that runs in this process."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stepwell.engine.exchange import Completed, Failed
from stepwell.engine.ports import Pool
from tests.executors.fakes import PATIENCE, FakeTask, Outbox, execution, make_pool, services

SIZE = 3


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture(params=["inline", "thread", "asyncio"])
def pool(request: pytest.FixtureRequest, outbox: Outbox) -> Iterator[Pool]:
    pool = make_pool(request.param, SIZE, outbox, services())
    yield pool
    pool.shutdown(PATIENCE)


def own_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("stepwell-")]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def recurse() -> None:
    recurse()


def raising(error: BaseException) -> FakeTask:
    def body() -> None:
        raise error

    return FakeTask(body)


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


def test_runs_functions_and_coroutines(pool: Pool, outbox: Outbox) -> None:
    pool.submit([FakeTask(lambda: 41), FakeTask(answer)])

    assert sorted([outbox.value(), outbox.value()]) == ["41", "42"]


def test_runs_more_than_it_has_slots(pool: Pool, outbox: Outbox) -> None:
    pool.submit([FakeTask(lambda: 1) for _ in range(50 * SIZE)])

    assert [outbox.value() for _ in range(50 * SIZE)] == ["1"] * 50 * SIZE


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(1),
        KeyboardInterrupt(),
        GeneratorExit(),
        MemoryError(),
        Unprintable(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_body_raises_ends_that_attempt_only(
    pool: Pool, outbox: Outbox, error: BaseException
) -> None:
    async def coroutine() -> None:
        raise error

    pool.submit([raising(error), FakeTask(coroutine), FakeTask(lambda: "fine")])

    outcomes = [outbox.outcome() for _ in range(3)]
    failures = [o.failure.code for o in outcomes if isinstance(o, Failed)]
    assert failures == [type(error).__name__] * 2
    assert [o.value for o in outcomes if isinstance(o, Completed)] == ['"fine"']


def test_endless_recursion_ends_that_attempt_only(pool: Pool, outbox: Outbox) -> None:
    pool.submit([FakeTask(recurse)])
    assert outbox.failure().code == "RecursionError"

    pool.submit([FakeTask(lambda: 1)])
    assert outbox.value() == "1"


def test_an_exception_without_text_is_described(pool: Pool, outbox: Outbox) -> None:
    def body() -> None:
        raise Unprintable

    pool.submit([execution(body)])

    failure = outbox.failure()
    assert failure.code == "Unprintable"
    assert "RuntimeError" in failure.message


def test_a_failure_that_cannot_be_described_is_still_delivered(pool: Pool, outbox: Outbox) -> None:
    def body() -> None:
        raise ValueError

    pool.submit([FakeTask(body, breaks=True)])

    failure = outbox.failure()
    assert failure.code == "indescribable"
    assert "ValueError" in failure.message


def test_a_task_that_must_not_begin_is_neither_run_nor_delivered(
    pool: Pool, outbox: Outbox
) -> None:
    ran: list[int] = []
    task = FakeTask(lambda: ran.append(1))
    task.cancel()

    pool.submit([task])
    pool.submit([FakeTask(lambda: "next")])

    assert outbox.value() == '"next"'
    pool.shutdown(PATIENCE)
    assert ran == []
    assert outbox.is_empty()


def test_a_receiver_that_fails_costs_no_slot(caplog: pytest.LogCaptureFixture) -> None:
    delivered = Outbox()

    def deliver(task: Any, outcome: Any) -> None:
        delivered(task, outcome)
        raise OSError("receiver")

    pool = make_pool("thread", 1, deliver, services())
    pool.submit([FakeTask(lambda: 1), FakeTask(lambda: 2)])

    assert [delivered.value(), delivered.value()] == ["1", "2"]
    pool.shutdown(PATIENCE)
    assert "could not be delivered" in caplog.text


def test_no_thread_is_left_after_shutdown(pool: Pool, outbox: Outbox) -> None:
    pool.submit([FakeTask(lambda: 1)])
    outbox.take()

    pool.shutdown(PATIENCE)
    pool.shutdown(PATIENCE)  # once more does no harm

    assert own_threads() == []


def test_shutdown_of_an_unused_pool_starts_nothing(pool: Pool) -> None:
    pool.shutdown(0)

    assert own_threads() == []
