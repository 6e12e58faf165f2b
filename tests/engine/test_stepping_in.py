"""A pool's thread that brings the only outcome takes the store for a cycle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stepwell import Package, RunBuilder, RunStatus, Runtime, connect
from stepwell.engine.errors import StoreError
from stepwell.stores.sql.store import SqlRunStore

LENGTH = 60

shop = Package("shop")


@shop.executor("shop.link")
def link(number: int) -> int:
    return number


@shop.entrypoint
def chain(run: RunBuilder) -> None:
    last = run.step(link, 0)
    for number in range(1, LENGTH):
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
