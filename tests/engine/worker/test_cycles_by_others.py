"""Threads that take the store for a cycle: of a pool, and of whoever starts a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepwell import EventType, Package, RunBuilder, RunStatus, Runtime, connect
from stepwell.engine.errors import Conflict, StoreError
from stepwell.engine.worker.dispatcher import Dispatcher
from stepwell.engine.worker.parts import Synchronization, WorkerParts
from stepwell.engine.worker.worker import Worker
from stepwell.engine.worker.workload import LOOK
from stepwell.stores.sql.store import SqlRunStore

LENGTH = 60

shop = Package("shop")


@shop.executor("shop.link")
def link(number: int) -> int:
    return number


@shop.entrypoint
def chain(run: RunBuilder, length: int = LENGTH) -> None:
    last = run.step(link, 0)
    for number in range(1, length):
        last = run.step(link, number, after=[last])


def in_a_pool() -> bool:
    return threading.current_thread().name.startswith("stepwell-thread")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with connect(f"sqlite:///{tmp_path}/engine.db", home=tmp_path, packages=[shop]) as runtime:
        yield runtime


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have something called at the start of each exchange, in its thread."""
    exchange = SqlRunStore.exchange

    def use(action: Callable[[], None]) -> None:
        def watched(self: SqlRunStore, *args: Any) -> Any:
            action()
            return exchange(self, *args)

        monkeypatch.setattr(SqlRunStore, "exchange", watched)

    return use


def test_a_chain_goes_on_in_the_thread_of_its_pool(
    runtime: Runtime, during: Callable[[Callable[[], None]], None]
) -> None:
    # given
    pooled: list[bool] = []
    during(lambda: pooled.append(in_a_pool()))

    # when
    run = runtime.start_run("shop")
    runtime.drain(run.id, timeout=60)

    # then: most of its steps were settled there
    assert runtime.run(run.id).status is RunStatus.SUCCEEDED
    assert sum(pooled) > LENGTH / 2


def test_trouble_of_the_store_is_got_over(
    runtime: Runtime, during: Callable[[Callable[[], None]], None]
) -> None:
    # given a store that fails once, under a pool's thread
    failed: list[bool] = []

    def fail_once() -> None:
        if in_a_pool() and not failed:
            failed.append(True)
            raise StoreError("out of reach")

    during(fail_once)

    # when
    run = runtime.start_run("shop")
    runtime.drain(run.id, timeout=60)

    # then
    assert failed
    assert runtime.run(run.id).status is RunStatus.SUCCEEDED
    assert {step.attempt for step in runtime.steps(run.id)} == {1}


def test_any_other_error_ends_the_worker(
    runtime: Runtime, during: Callable[[Callable[[], None]], None]
) -> None:
    # given
    def fail() -> None:
        if in_a_pool():
            raise ZeroDivisionError("a fault of ours")

    during(fail)
    run = runtime.start_run("shop")

    # then it is raised to whoever called, and not lost in the pool
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        runtime.drain(run.id, timeout=60)


@pytest.fixture
def idle(runtime: Runtime) -> Iterator[Worker]:
    """A worker in the background that has nothing to do."""
    with runtime.worker() as worker:
        yield worker


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], list[str]]:
    """Have something called after runs are created and claimed of; gives the threads' names."""
    create = SqlRunStore.create_and_claim

    def use(action: Callable[[], None]) -> list[str]:
        names: list[str] = []

        def watched(self: SqlRunStore, *args: Any) -> Any:
            created = create(self, *args)
            names.append(threading.current_thread().name)
            action()
            return created

        monkeypatch.setattr(SqlRunStore, "create_and_claim", watched)
        return names

    return use


Starting = Callable[[Callable[[], None]], list[str]]


@pytest.mark.usefixtures("idle")
def test_a_run_is_claimed_of_in_the_transaction_that_stores_it(
    runtime: Runtime, starting: Starting
) -> None:
    # given
    threads = starting(lambda: None)

    # when; a worker is not idle while it looks whether others committed
    ended = runtime.start_run("shop", 1).wait(60)
    while not threads:
        ended = runtime.start_run("shop", 1).wait(60)

    # then by this thread; and a longer run goes on
    assert threads == [threading.current_thread().name]
    assert ended.status is RunStatus.SUCCEEDED
    assert runtime.start_run("shop").wait(60).status is RunStatus.SUCCEEDED


@pytest.mark.usefixtures("idle")
def test_a_run_that_cannot_be_stored_leaves_an_idle_worker_as_it_was(runtime: Runtime) -> None:
    # given
    runtime.start_run("shop", 1, run_id="taken").wait(60)

    # when, then
    for _ in range(5):
        with pytest.raises(Conflict, match="'taken'"):
            runtime.start_run("shop", 2, run_id="taken")
    assert runtime.start_run("shop", 1).wait(60).status is RunStatus.SUCCEEDED


@pytest.mark.usefixtures("idle")
def test_what_was_claimed_by_a_commit_nobody_heard_of_is_given_back(
    runtime: Runtime, starting: Starting
) -> None:
    # given a commit whose acknowledgement is lost
    def lose() -> None:
        if len(threads) == 1:
            raise StoreError("the connection was lost")

    threads = starting(lose)

    def start_until_lost() -> None:
        while not threads:
            runtime.start_run("shop", 1).wait(60)

    # when
    with pytest.raises(StoreError, match="the connection was lost"):
        start_until_lost()

    # then it is done all the same, in an attempt that is not charged
    (unheard, *_) = runtime.runs()
    assert runtime.wait(unheard.id, 20).status is RunStatus.SUCCEEDED
    (step,) = runtime.steps(unheard.id)
    assert step.attempt == 1
    assert [e for e in runtime.events(unheard.id) if e.type is EventType.STEP_RELEASED]


def test_a_fault_after_the_commit_is_the_workers_and_not_the_callers(
    runtime: Runtime, starting: Starting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a fault of ours")

    def start_until_it_fails() -> None:
        with runtime.worker():
            threads = starting(lambda: monkeypatch.setattr(Dispatcher, "dispatch", fail))
            while not threads:
                runtime.start_run("shop", 1)

    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        start_until_it_fails()


@pytest.mark.timeout(60)  # it would wait for every look of an idle worker in turn
def test_a_look_that_came_before_the_wait_is_not_lost(runtime: Runtime) -> None:
    # given a worker whose pool's thread settled the last step while it was waking up itself
    waits: list[float] = []
    with runtime.internals.working.worker() as worker:
        pacing = worker.internals.pacing
        pacing.wants_claim = False
        pacing.longest_wait = lambda: waits.append(0.0) or 0.0  # type: ignore[func-returns-value,method-assign]  # counts waits
        worker.internals.turn.was_borrowed = True
        worker.internals.workload.outcomes.put(LOOK)

        # when
        worker.run(worker.is_idle)

    # then
    assert waits == []


class InterruptedTurn:
    """The turn of a worker; an interrupt comes at one of its moments, when the worker waits."""

    def __init__(self, moment: str) -> None:
        self._turn = threading.RLock()
        self._moment = moment
        self._owner = threading.get_ident()
        self.taken = 0
        self.interrupted = False

    def _interrupt(self, moment: str) -> None:
        waits = threading.get_ident() == self._owner and self.taken > LENGTH
        if waits and moment == self._moment and not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt

    def acquire(self, blocking: bool = True) -> bool:
        self._interrupt("before it is taken")
        took = self._turn.acquire(blocking)
        self.taken += took
        self._interrupt("after it was taken")
        return took

    def release(self) -> None:
        self._interrupt("before it is released")
        self._turn.release()
        self._interrupt("after it was released")

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "moment",
    [
        *("before it is taken", "after it was taken"),
        *("before it is released", "after it was released"),
    ],
)
def test_an_interrupt_at_any_moment_ends_the_worker(runtime: Runtime, moment: str) -> None:
    # given a worker in the middle of a chain that its pool's threads go on with
    run = runtime.start_run("shop", 10 * LENGTH)
    turn = InterruptedTurn(moment)

    def make_worker(worker_id: str, parts: WorkerParts, *role: Any) -> Worker:
        synchronization = Synchronization(make_turn_lock=lambda: turn)
        return Worker(worker_id, replace(parts, synchronization=synchronization), *role)

    interrupted = Runtime(replace(runtime.internals.parts, make_worker=make_worker))

    # when
    with pytest.raises(KeyboardInterrupt):
        interrupted.start_workers()

    # then nobody goes on, and what it had in hand is given back
    assert turn.interrupted
    assert not [t for t in threading.enumerate() if t.name.startswith("stepwell-thread")]
    assert runtime.steps(run.id, status="running") == []
    assert list(runtime.workers()) == []
    assert not runtime.run(run.id).status.ended
    runtime.drain(run.id, timeout=60)
    assert {step.attempt for step in runtime.steps(run.id)} == {1}
