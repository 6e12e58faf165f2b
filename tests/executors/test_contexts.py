"""Each body begins with the context variables of its worker, and leaves none behind."""

from __future__ import annotations

import asyncio
import decimal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stepwell import Runtime, connect
from tests.executors.context_bodies import CALLED, TRACE, contexts, found
from tests.executors.decimal_context import PRECISION
from tests.executors.fakes import FakeTask, Outbox, make_pool, services

PATIENCE = 60
POOLS = ("inline", "thread", "asyncio", "process")
# One slot: each body follows the one before in its thread, its loop or its child.
ONE = {"threads": 1, "tasks": 1, "processes": 1}
DEFAULT = decimal.DefaultContext.prec


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with connect("memory://", packages=[contexts], settings=ONE) as runtime:
        yield runtime


def alone(function: Callable[[], Any]) -> Any:
    """Call it in a thread of its own, which knows no context variables yet."""
    returned: list[Any] = []
    thread = threading.Thread(target=lambda: returned.append(function()))
    thread.start()
    thread.join()
    return returned[0]


def values(runtime: Runtime, *kinds: str) -> list[Any]:
    """What bodies of these kinds return, one after the other, in two runs."""
    runs = [runtime.start_run("contexts", list(kinds)) for _ in range(2)]
    for run in runs:
        runtime.drain(run.id, timeout=PATIENCE)
    results = [
        runtime.result(run.id, step.id).value
        for run in runs
        for step in runtime.steps(run.id)
        if step.status == "succeeded"
    ]
    assert len(results) == 2 * len(kinds)
    return results


@pytest.mark.parametrize("shape", ["plain", "coroutine"])
@pytest.mark.parametrize("pool", POOLS)
def test_no_body_finds_what_another_left(runtime: Runtime, pool: str, shape: str) -> None:
    kinds = [f"{shape}.{pool}"] * 3

    seen = alone(lambda: values(runtime, *kinds))

    assert seen == [["none", DEFAULT if pool != "process" else PRECISION]] * 6


@pytest.mark.parametrize("name", POOLS[:3])
def test_nor_when_more_bodies_wait_than_there_is_room_for(name: str) -> None:
    outbox = Outbox()
    pool = make_pool(name, 1, outbox, services())

    async def body() -> str:
        before = TRACE.get()
        TRACE.set("left behind")
        await asyncio.sleep(0)
        return before

    tasks = [FakeTask(body) for _ in range(5)]
    alone(lambda: pool.submit(tasks))

    assert [outbox.value() for _ in tasks] == ['"none"'] * 5
    pool.shutdown(PATIENCE)


@pytest.mark.parametrize("pool", POOLS[:3])
def test_bodies_begin_with_what_their_worker_has(runtime: Runtime, pool: str) -> None:
    def work() -> tuple[list[Any], Any]:
        TRACE.set("the worker's")
        decimal.getcontext().prec = 40
        seen = values(runtime, *[f"plain.{pool}", f"coroutine.{pool}"] * 2)
        return seen, found()

    seen, left = alone(work)

    assert seen == [["the worker's", 40]] * 8
    assert left == ("the worker's", 40)


@pytest.mark.parametrize("pool", POOLS[:3])
def test_a_worker_in_the_background_has_what_its_starter_had_then(
    runtime: Runtime, pool: str
) -> None:
    def work() -> list[Any]:
        TRACE.set("early")
        decimal.getcontext().prec = 40
        with runtime.worker():
            TRACE.set("late")
            decimal.getcontext().prec = 50
            run = runtime.start_run("contexts", [f"plain.{pool}"])  # which may step in
            run.wait(PATIENCE)
        return [runtime.result(run.id, "s0").value, *found()]

    assert alone(work) == [["early", 40], "late", 50]


def test_who_starts_a_run_gives_bodies_nothing_of_its_own(runtime: Runtime) -> None:
    def starter() -> Any:
        CALLED.set("by another")
        TRACE.set("starter")
        run = runtime.start_run("contexts", ["plain.inline"])
        run.wait(PATIENCE)
        return runtime.result(run.id, "s0").value, TRACE.get()

    def host() -> Any:
        with runtime.worker():
            return alone(starter)

    assert alone(host) == (["none", DEFAULT], "starter")


@pytest.mark.parametrize("pool", ["thread", "asyncio"])
def test_threads_of_a_loop_have_what_their_caller_has(runtime: Runtime, pool: str) -> None:
    seen = alone(lambda: values(runtime, f"loop.{pool}", f"loop.{pool}"))

    assert seen == [[["none", DEFAULT]] * 2] * 4


def test_a_second_attempt_begins_afresh(runtime: Runtime) -> None:
    assert alone(lambda: values(runtime, "contexts.again")) == [["none", DEFAULT]] * 2


def test_describing_an_error_leaves_nothing(runtime: Runtime) -> None:
    def work() -> Any:
        run = runtime.start_run("contexts", ["contexts.fails", "plain.thread"])
        runtime.drain(run.id, timeout=PATIENCE)
        return runtime.result(run.id, "s1").value

    assert alone(work) == ["none", DEFAULT]


def test_what_runs_beside_a_body_has_its_variables(runtime: Runtime) -> None:
    seen = alone(lambda: values(runtime, "contexts.beside"))

    assert seen == [["body 0", "body 0"]] * 2


def test_what_a_module_sets_when_a_child_imports_it_holds_for_all(runtime: Runtime) -> None:
    assert values(runtime, "contexts.child", "contexts.child") == [PRECISION] * 4


def test_a_loop_within_a_running_loop_has_the_callers_variables(runtime: Runtime) -> None:
    """A worker in the thread of a running loop, as in a notebook: coroutines run beside it."""

    async def cell() -> Any:
        TRACE.set("the cell's")
        return values(runtime, "coroutine.inline")

    seen = alone(lambda: asyncio.run(cell()))

    assert seen == [["the cell's", DEFAULT]] * 2
