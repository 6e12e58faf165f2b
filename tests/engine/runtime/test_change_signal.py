"""Readers that wait for somebody to commit something."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stepwell.composition import connect
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import InvalidInput, RuntimeClosed
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.package import Package
from stepwell.engine.runtime.change_signal import ChangeSignal
from stepwell.engine.runtime.runtime import Runtime

PATIENCE = 60

shop = Package("shop")


@shop.executor("noop")
def noop() -> None:
    """Nothing."""


@shop.entrypoint
def start(run: RunBuilder) -> None:
    run.step("noop", id="a")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/engine.db"


@pytest.fixture
def runtime(url: str, tmp_path: Path) -> Iterator[Runtime]:
    with connect(url, home=tmp_path, packages=[shop]) as runtime:
        yield runtime


@pytest.fixture
def other(url: str, tmp_path: Path, runtime: Runtime) -> Iterator[Runtime]:
    with connect(url, home=tmp_path, packages=[shop]) as other:
        assert other is not runtime
        yield other


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


class Commits:
    """A store's version that changes when a test says so, and who asked for it how often."""

    def __init__(self) -> None:
        self.number = 0
        self.asked: Counter[int] = Counter()
        self._asked = threading.Condition()
        self.signal = ChangeSignal(self.version, SystemClock().monotonic)

    def version(self) -> str:
        with self._asked:
            self.asked[threading.get_ident()] += 1
            self._asked.notify_all()
            return str(self.number)

    def await_asked(self, is_enough: Callable[[Counter[int]], bool]) -> None:
        """Wait until the threads have asked often enough."""
        with self._asked:
            assert self._asked.wait_for(lambda: is_enough(self.asked), PATIENCE)

    def commit(self) -> None:
        with self._asked:
            self.number += 1


def test_commit_of_this_process(runtime: Runtime, threads: ThreadPoolExecutor) -> None:
    mark = runtime.change_mark()
    waiting = threads.submit(runtime.changes, PATIENCE, mark)

    runtime.start_run("shop")

    assert waiting.result() is True


def test_commit_of_another(runtime: Runtime, other: Runtime, threads: ThreadPoolExecutor) -> None:
    mark = runtime.change_mark()
    waiting = threads.submit(runtime.changes, PATIENCE, mark)

    other.start_run("shop")

    assert waiting.result() is True


def test_end_of_a_step_that_is_no_news_to_other_workers(runtime: Runtime, other: Runtime) -> None:
    runtime.start_run("shop")
    mark = other.change_mark()

    runtime.run_once()

    assert other.changes(0, mark)


def test_nothing_is_committed(runtime: Runtime) -> None:
    runtime.start_run("shop")

    assert not runtime.changes(0)
    assert not runtime.changes(0.01)


def test_commit_between_the_mark_and_the_wait(runtime: Runtime) -> None:
    mark = runtime.change_mark()
    runtime.start_run("shop")

    assert runtime.changes(0, mark)
    assert not runtime.changes(0, runtime.change_mark())


def test_reader_that_waits_reads_everything(runtime: Runtime, other: Runtime) -> None:
    # given a reader
    cursor = runtime.events_since("now").cursor
    found: list[str] = []

    def read() -> None:
        nonlocal cursor
        while "run.succeeded" not in found:
            mark = runtime.change_mark()
            events, cursor = runtime.events_since(cursor)
            found.extend(str(event.type) for event in events)
            if not events:
                assert runtime.changes(PATIENCE, mark)

    # when a run is worked off elsewhere
    reading = threading.Thread(target=read)
    reading.start()
    run = other.start_run("shop")
    other.drain(run.id, timeout=PATIENCE)
    reading.join(PATIENCE)

    # then it has seen all
    assert found == ["run.created", "run.started", "step.succeeded", "run.succeeded"]


def test_closed_runtime(runtime: Runtime, threads: ThreadPoolExecutor) -> None:
    mark = runtime.change_mark()
    runtime.close()

    with pytest.raises(RuntimeClosed):
        runtime.changes(PATIENCE, mark)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2"])
def test_limit_of_a_page(runtime: Runtime, limit: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^limit"):
        runtime.events_since("now", limit)


def test_one_thread_looks_for_all(threads: ThreadPoolExecutor) -> None:
    # given many threads that wait
    commits = Commits()
    waiting = [threads.submit(commits.signal.wait, PATIENCE) for _ in range(12)]
    commits.await_asked(lambda asked: len(asked) == 12 and max(asked.values()) > 10)

    # then one of them has looked
    assert sum(count > 1 for count in commits.asked.values()) == 1

    # and what it sees is told to all
    commits.commit()
    assert [thread.result() for thread in waiting] == [True] * 12


def test_next_one_looks_when_the_first_has_waited_enough(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    first: Future[bool] = threads.submit(commits.signal.wait, 0.05)
    commits.await_asked(lambda asked: asked.total() > 2)
    second = threads.submit(commits.signal.wait, PATIENCE)

    assert first.result() is False
    commits.commit()

    assert second.result() is True


def test_look_that_fails_ends_the_wait(threads: ThreadPoolExecutor) -> None:
    answers = iter(["0", "0"])
    signal = ChangeSignal(lambda: next(answers), SystemClock().monotonic)

    with pytest.raises(StopIteration):
        signal.wait(PATIENCE)
    answers = iter(["0", "1"])
    assert signal.wait(PATIENCE)
