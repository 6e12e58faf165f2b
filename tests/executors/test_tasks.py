"""What only the event loop does: places for coroutines, cancel, a blocked loop, shutdown."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

from stepwell.engine.exchange import Completed, Failed, Released
from stepwell.executors.pools import event_loop, tasks
from stepwell.executors.pools.tasks import AsyncioPool
from tests.executors.fakes import PATIENCE, FakeTask, Outbox

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def loop(outbox: Outbox) -> Iterator[AsyncioPool]:
    pool = AsyncioPool(10, outbox)
    yield pool
    pool.shutdown(PATIENCE)


def test_coroutines_share_one_thread(outbox: Outbox, loop: AsyncioPool) -> None:
    async def body() -> str:
        return threading.current_thread().name

    loop.submit([FakeTask(body), FakeTask(body)])

    assert [outbox.value(), outbox.value()] == ['"stepwell-asyncio"'] * 2


def test_a_canceled_coroutine_is_unwound(outbox: Outbox, loop: AsyncioPool) -> None:
    began, unwound = threading.Event(), threading.Event()

    async def body() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            unwound.set()

    task = FakeTask(body)
    loop.submit([task])
    assert began.wait(PATIENCE)

    loop.cancel(task)

    assert unwound.wait(PATIENCE)
    outcome = outbox.outcome()
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "CancelledError"


class Places:
    """Coroutines that hold their places until each is let go, and how many ran at once."""

    def __init__(self) -> None:
        self.began: SimpleQueue[str] = SimpleQueue()
        self.running = self.most = 0
        self._gates: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}

    def task(self, name: str, *, stubborn: bool = False) -> FakeTask:
        async def body() -> str:
            gate = asyncio.Event()
            self._gates[name] = asyncio.get_running_loop(), gate
            self.running += 1
            self.most = max(self.most, self.running)
            self.began.put(name)
            while not gate.is_set():
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    if not stubborn:
                        raise
            self.running -= 1
            return name

        return FakeTask(body)

    def next(self) -> str:
        return self.began.get(timeout=PATIENCE)

    def let_go(self, name: str) -> None:
        loop, gate = self._gates[name]
        loop.call_soon_threadsafe(gate.set)


def test_more_coroutines_than_places_wait_their_turn(outbox: Outbox) -> None:
    pool, places = AsyncioPool(2, outbox), Places()

    pool.submit([places.task(name) for name in "abcd"])

    assert [places.next(), places.next()] == ["a", "b"]
    places.let_go("b")
    assert outbox.value() == '"b"'
    assert places.next() == "c"
    assert places.began.empty()
    places.let_go("a")
    assert places.next() == "d"
    places.let_go("c")
    places.let_go("d")
    pool.shutdown(PATIENCE)
    assert sorted([outbox.value() for _ in range(3)]) == ['"a"', '"c"', '"d"']
    assert places.most == 2


def test_a_coroutine_that_waits_for_a_place_can_be_canceled(outbox: Outbox) -> None:
    pool, places = AsyncioPool(1, outbox), Places()
    waiting = places.task("b")
    pool.submit([places.task("a"), waiting, places.task("c")])
    assert places.next() == "a"

    pool.cancel(waiting)
    places.let_go("a")

    assert places.next() == "c"
    places.let_go("c")
    pool.shutdown(PATIENCE)
    assert not waiting.begun


def test_a_canceled_coroutine_gives_up_its_place_whatever_it_does(outbox: Outbox) -> None:
    pool, places = AsyncioPool(1, outbox), Places()
    stubborn = places.task("a", stubborn=True)
    pool.submit([stubborn, places.task("b")])
    assert places.next() == "a"

    pool.cancel(stubborn)

    assert places.next() == "b"
    for name in "ab":
        places.let_go(name)
    pool.shutdown(PATIENCE)


def test_what_waits_for_a_place_is_done_within_the_grace(outbox: Outbox) -> None:
    pool = AsyncioPool(1, outbox)

    pool.submit([FakeTask(partial(abs, number)) for number in range(5)])
    pool.shutdown(PATIENCE)

    assert [outbox.value() for _ in range(5)] == ["0", "1", "2", "3", "4"]


def test_what_waits_for_a_place_does_not_begin_after_the_grace(outbox: Outbox) -> None:
    pool, places = AsyncioPool(1, outbox), Places()
    waiting = places.task("b")
    pool.submit([places.task("a"), waiting])
    assert places.next() == "a"

    pool.shutdown(0)

    assert isinstance(outbox.outcome(), Failed)
    assert not waiting.begun


def test_the_loop_survives_what_bodies_start_beside_them(outbox: Outbox, loop: AsyncioPool) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def body() -> None:
        beside = asyncio.create_task(leave())
        await asyncio.wait([beside])
        assert isinstance(beside.exception(), SystemExit)

    def stop() -> None:
        asyncio.get_running_loop().stop()

    loop.submit([FakeTask(body)])
    assert outbox.value() == "null"
    loop.submit([FakeTask(stop)])
    assert outbox.value() == "null"
    loop.submit([FakeTask(lambda: "alive")])

    assert outbox.value() == '"alive"'


class Jam:
    """A body that blocks its event loop until the gate opens, and neighbours of it."""

    def __init__(self, loop: AsyncioPool) -> None:
        self.began, self.gate = threading.Event(), threading.Event()
        self.ran: list[str] = []
        waiting = threading.Event()

        async def wait() -> str:
            self.ran.append("wait")
            waiting.set()
            await asyncio.sleep(0 if len(self.ran) > 1 else 600)
            return "waited"

        def block() -> str:
            self.began.set()
            self.gate.wait(PATIENCE)
            return "let go"

        self.waiting, self.blocking = FakeTask(wait), FakeTask(block)
        loop.submit([self.waiting])
        assert waiting.wait(PATIENCE)
        loop.submit([self.blocking])
        assert self.began.wait(PATIENCE)
        self.queued = FakeTask(lambda: "queued")
        loop.submit([self.queued])


@pytest.fixture
def jam(loop: AsyncioPool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jam]:
    monkeypatch.setattr(tasks, "STUCK", 0.1)
    jam = Jam(loop)
    yield jam
    jam.gate.set()


def test_a_loop_that_a_canceled_body_blocks_is_replaced(
    outbox: Outbox, loop: AsyncioPool, jam: Jam
) -> None:
    # when: what blocks is canceled, and goes on blocking
    loop.cancel(jam.blocking)

    # then: what waited behind it runs, and what had begun is given back
    taken = dict(outbox.take() for _ in range(2))
    assert isinstance(taken[jam.queued], Completed)
    assert isinstance(taken[jam.waiting], Released)
    assert jam.waiting.canceled.is_set()

    # when: it lets go after all
    jam.gate.set()

    # then: both ends are told, for the worker to drop
    late = dict(outbox.take() for _ in range(2))
    assert set(late) == {jam.blocking, jam.waiting}
    loop.submit([FakeTask(lambda: "next")])
    assert outbox.value() == '"next"'


def test_a_body_that_blocks_and_is_not_canceled_keeps_its_slot(
    outbox: Outbox, loop: AsyncioPool, jam: Jam
) -> None:
    loop.cancel(jam.waiting)

    task, outcome = outbox.take()
    assert (task, isinstance(outcome, Completed)) == (jam.queued, True)
    assert not jam.blocking.canceled.is_set()
    jam.gate.set()
    late = dict(outbox.take() for _ in range(2))
    assert isinstance(late[jam.blocking], Completed)


def test_a_loop_that_answers_stays(outbox: Outbox, loop: AsyncioPool) -> None:
    names: list[str] = []
    began = threading.Event()

    async def wait() -> None:
        names.append(str(id(asyncio.get_running_loop())))
        began.set()
        await asyncio.Event().wait()

    async def name() -> str:
        return str(id(asyncio.get_running_loop()))

    task = FakeTask(wait)
    loop.submit([task])
    assert began.wait(PATIENCE)  # one that was canceled before would have no outcome
    loop.cancel(task)
    loop.submit([FakeTask(name)])

    _, last = outbox.take()[1], outbox.outcome()
    assert isinstance(last, Completed)
    assert last.value == f'"{names[0]}"'


def test_shutdown_cancels_coroutines_after_the_grace(outbox: Outbox) -> None:
    pool = AsyncioPool(1, outbox)
    began = threading.Event()

    async def body() -> None:
        began.set()
        await asyncio.Event().wait()

    task = FakeTask(body)
    pool.submit([task])
    assert began.wait(PATIENCE)

    pool.shutdown(0)

    assert task.canceled.is_set()
    assert outbox.failure().code == "CancelledError"


def test_a_coroutine_that_outlives_the_shutdown_keeps_its_loop(
    outbox: Outbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_loop, "UNWIND", 0.1)
    pool = AsyncioPool(1, outbox)
    began, gate = threading.Event(), threading.Event()

    async def body() -> str:
        began.set()
        while not gate.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        return "ended on its own"

    pool.submit([FakeTask(body)])
    assert began.wait(PATIENCE)

    pool.shutdown(0)

    (record,) = [r for r in caplog.records if getattr(r, "action", "") == "pool.tasks_left"]
    assert "1 canceled coroutine" in record.getMessage()
    gate.set()
    assert outbox.value() == '"ended on its own"'


SWALLOWS = """
import asyncio
from stepwell.executors.pools import event_loop, tasks
from tests.executors.fakes import FakeTask, Outbox
import threading

began = threading.Event()

async def body():
    began.set()
    while True:
        try:
            await asyncio.sleep(600)
        except BaseException:
            pass

event_loop.UNWIND = 0.1
pool = tasks.AsyncioPool(1, Outbox())
pool.submit([FakeTask(body)])
began.wait()
pool.shutdown(0)
del pool
import gc
gc.collect()
print("over")
"""


def test_a_program_ends_although_a_coroutine_swallows_everything() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "over\n"), done.stderr
    assert done.stderr == "1 canceled coroutines do not end; they are left to end on their own\n"
