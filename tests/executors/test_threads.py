"""What only the pool of threads does: parallel bodies, cancel, shutdown, a lack of threads."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from stepwell.executors.pools.tasks import AsyncioPool
from stepwell.executors.pools.threads import ThreadPool
from tests.executors.fakes import PATIENCE, FakeTask, Outbox


class Held:
    """A body that says when it began and ends when it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.gate = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self) -> str:
        self.thread = threading.current_thread()
        self.began.set()
        assert self.gate.wait(PATIENCE)
        return "let go"


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.gate.set()


def test_threads_work_side_by_side(outbox: Outbox) -> None:
    pool = ThreadPool(3, outbox)
    meeting = threading.Barrier(3)

    pool.submit([FakeTask(lambda: meeting.wait(PATIENCE) >= 0) for _ in range(3)])

    assert [outbox.value() for _ in range(3)] == ["true"] * 3
    pool.shutdown(PATIENCE)


def test_a_canceled_thread_frees_its_slot_and_ends_on_its_own(outbox: Outbox, held: Held) -> None:
    pool = ThreadPool(1, outbox)
    stuck = FakeTask(held)
    pool.submit([stuck])
    assert held.began.wait(PATIENCE)

    pool.cancel(stuck)

    assert stuck.canceled.is_set()
    pool.submit([FakeTask(lambda: "next")])
    assert outbox.value() == '"next"'
    pool.shutdown(PATIENCE)  # does not wait for what was given up
    held.gate.set()
    assert outbox.value() == '"let go"'
    assert held.thread is not None
    held.thread.join(PATIENCE)
    assert not held.thread.is_alive()


def test_a_canceled_task_in_the_queue_never_runs(outbox: Outbox, held: Held) -> None:
    pool = ThreadPool(1, outbox)
    waiting = FakeTask(lambda: "wrong")
    pool.submit([FakeTask(held), waiting])
    assert held.began.wait(PATIENCE)

    pool.cancel(waiting)
    held.gate.set()

    assert outbox.value() == '"let go"'
    pool.shutdown(PATIENCE)
    assert not waiting.begun
    assert outbox.is_empty()


def test_canceling_what_has_ended_changes_nothing(outbox: Outbox) -> None:
    pool = ThreadPool(1, outbox)
    task = FakeTask()
    pool.submit([task])
    outbox.take()

    pool.cancel(task)

    pool.shutdown(PATIENCE)


def test_shutdown_waits_no_longer_than_its_grace(outbox: Outbox, held: Held) -> None:
    pool = ThreadPool(1, outbox)
    stuck, queued = FakeTask(held), FakeTask()
    pool.submit([stuck, queued])
    assert held.began.wait(PATIENCE)

    pool.shutdown(0)

    assert stuck.canceled.is_set()
    held.gate.set()
    outbox.take()
    assert held.thread is not None
    held.thread.join(PATIENCE)
    assert not queued.begun


@pytest.fixture
def no_threads() -> Iterator[Callable[[], object]]:
    """Until it is called the system starts no thread: nobody has so much room for a stack."""
    before = threading.stack_size(1 << 46)

    def end() -> None:
        threading.stack_size(before)

    yield end
    end()


@pytest.mark.parametrize("kind", [ThreadPool, AsyncioPool])
def test_without_a_thread_to_be_had_a_step_fails(
    outbox: Outbox, no_threads: Callable[[], object], kind: type[ThreadPool | AsyncioPool]
) -> None:
    pool = kind(2, outbox)

    pool.submit([FakeTask(), FakeTask()])

    assert [outbox.failure().code for _ in range(2)] == ["StepError"] * 2
    no_threads()
    pool.submit([FakeTask(lambda: "later")])
    assert outbox.value() == '"later"'
    pool.shutdown(PATIENCE)


def test_with_fewer_threads_than_asked_for_the_work_goes_on(
    outbox: Outbox, held: Held, no_threads: Callable[[], object]
) -> None:
    pool = ThreadPool(2, outbox)
    no_threads()
    pool.submit([FakeTask(held)])
    assert held.began.wait(PATIENCE)
    before = threading.stack_size(1 << 46)
    try:
        pool.submit([FakeTask(lambda: "second")])
    finally:
        threading.stack_size(before)

    held.gate.set()

    assert [outbox.value(), outbox.value()] == ['"let go"', '"second"']
    pool.shutdown(PATIENCE)


def test_a_coroutine_runs_in_a_thread_whose_loop_is_busy(outbox: Outbox) -> None:
    async def body() -> str:
        return "ran"

    async def host() -> None:
        pool = ThreadPool(1, outbox)
        from stepwell.executors.awaitables import run

        assert run(body()) == "ran"
        pool.shutdown(0)

    asyncio.run(host())
