"""A runtime on event loops: calls in a few threads, and waits that take none."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, assert_type

import pytest

from stepwell import (
    Conflict,
    NotFound,
    Package,
    Run,
    RunBuilder,
    RunHandle,
    RunStatus,
    Runtime,
    RuntimeClosed,
    Step,
    StepContext,
    StepError,
    WaitTimeout,
    connect,
)
from stepwell.engine.runtime.runtime import AioRuntime

PATIENCE = 30
MANY = 1_000

shop = Package("shop")


@shop.executor
def noop() -> str:
    return "done"


@shop.entrypoint
def start(run: RunBuilder) -> None:
    run.step(noop, id="a")


@shop.workflow
def greet(step: StepContext, name: str) -> str:
    if name == "nobody":
        raise ValueError(name)
    return f"Hello, {name}"


# What has no awaitable form, and why.
LEFT_OUT = {
    **dict.fromkeys(("drain", "run_once", "start_workers"), "works in the caller's thread"),
    **dict.fromkeys(("worker", "stop_workers"), "returns at once, or is a block"),
    **dict.fromkeys(("changes", "wait_for_value"), "waits in the caller's thread"),
    **dict.fromkeys(
        ("register_package", "register_executor", "define_queue", "observe"), "before work begins"
    ),
    "projection": "a connection of its own",
}


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/engine.db"


@pytest.fixture
def runtime(url: str, tmp_path: Path) -> Iterator[Runtime]:
    with connect(url, home=tmp_path, packages=[shop]) as runtime:
        yield runtime


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Runtime]:
    with connect(f"sqlite:///{tmp_path}/engine.db", home=tmp_path, packages=[shop]) as runtime:
        yield runtime


def watchers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "stepwell-aio-ends"]


def until(holds: Callable[[], bool]) -> None:
    """Wait for what other threads do."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


class TestCalls:
    def test_from_start_to_result(self, runtime: Runtime) -> None:
        async def host() -> str:
            run = await runtime.aio.start_run(greet, "Ann", name="of Ann")
            assert_type(run, RunHandle[str])
            with runtime.worker():
                result = await run.aio.result("1m")
            assert_type(result, str)
            assert_type(await runtime.aio.run(run.id), Run)
            assert_type(await runtime.aio.steps(run.id), list[Step])
            assert_type(await run.aio.status(), RunStatus)
            assert (await runtime.aio.runs(name="of Ann"))[0].id == run.id
            assert (await runtime.aio.wait(run.id)).status == "succeeded"
            assert (await (await runtime.aio.handle(run.id, greet)).aio.wait()).id == run.id
            return result

        assert asyncio.run(host()) == "Hello, Ann"

    def test_errors_are_those_of_the_calls(self, runtime: Runtime) -> None:
        async def host() -> None:
            with pytest.raises(NotFound):
                await runtime.aio.run("none")
            with pytest.raises(NotFound):
                await runtime.aio.wait("none")
            await runtime.aio.start_run("shop", run_id="r", entrypoint="start")
            with pytest.raises(Conflict):
                await runtime.aio.start_run(greet, "other", run_id="r")
            assert await runtime.aio.cancel_run("r", by="ann") == 1
            failed = await runtime.aio.start_run(greet, "nobody")
            with runtime.worker(), pytest.raises(StepError, match="nobody"):
                await failed.aio.result("1m")

        asyncio.run(host())

    def test_context_variables_go_along(self, small: Runtime) -> None:
        variable = contextvars.ContextVar("variable", default="")

        async def host() -> str:
            variable.set("here")
            return await small.aio.bridge.call(variable.get)

        assert asyncio.run(host()) == "here"

    def test_each_method_is_there_or_left_out_for_a_reason(self) -> None:
        methods = {
            name
            for name in dir(Runtime)
            if not name.startswith("_") and inspect.isfunction(getattr(Runtime, name))
        }

        assert {name for name in methods if not hasattr(AioRuntime, name)} == set(LEFT_OUT)


class TestWaits:
    def test_a_thousand_tasks_take_one_thread(self, runtime: Runtime) -> None:
        runs = [runtime.start_run(greet, f"{number}") for number in range(20)]
        seen: list[int] = []

        async def host() -> list[str]:
            before = threading.active_count()
            tasks = [
                asyncio.create_task(runs[number % len(runs)].aio.result()) for number in range(MANY)
            ]
            await asyncio.sleep(0.2)
            seen.append(threading.active_count() - before)
            assert not any(task.done() for task in tasks)
            with runtime.worker():
                return await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)

        results = asyncio.run(host())

        assert results == [f"Hello, {number % len(runs)}" for number in range(MANY)]
        assert seen == [1]
        until(lambda: not watchers())

    def test_the_end_in_another_process_is_seen(self, url: str, tmp_path: Path) -> None:
        if url == "memory://":
            pytest.skip("memory is of one process")
        with (
            connect(url, home=tmp_path, packages=[shop]) as runtime,
            connect(url, home=tmp_path, packages=[shop]) as other,
        ):
            run = runtime.start_run(greet, "Ann")

            async def host() -> str:
                waiting = asyncio.create_task(run.aio.result())
                await asyncio.sleep(0.1)
                await asyncio.to_thread(other.drain, run.id)
                return await asyncio.wait_for(waiting, PATIENCE)

            assert asyncio.run(host()) == "Hello, Ann"

    def test_a_timeout_leaves_no_waiter(self, small: Runtime) -> None:
        run = small.start_run(greet, "Ann")

        async def host() -> None:
            with pytest.raises(WaitTimeout, match=rf"run '{run.id}' did not end within 0.05 s"):
                await run.aio.wait("50ms")
            with pytest.raises(WaitTimeout, match="within 0 s"):
                await small.aio.wait(run.id, 0)

        asyncio.run(host())

        until(lambda: not watchers())
        assert run.status() == "pending"

    def test_a_canceled_task_leaves_no_waiter_and_harms_nothing(self, runtime: Runtime) -> None:
        run = runtime.start_run(greet, "Ann")

        async def host() -> str:
            tasks = [asyncio.create_task(run.aio.result()) for _ in range(50)]
            await asyncio.sleep(0.05)
            assert len(watchers()) == 1
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
            await asyncio.to_thread(until, lambda: not watchers())
            with runtime.worker():
                return await run.aio.result("1m")

        assert asyncio.run(host()) == "Hello, Ann"

    def test_closing_ends_the_waits(self, runtime: Runtime) -> None:
        run = runtime.start_run(greet, "Ann")

        async def host() -> None:
            tasks = [asyncio.create_task(run.aio.wait()) for _ in range(3)]
            await asyncio.sleep(0.05)
            await runtime.aio.close()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(each) for each in ended] == [RuntimeClosed] * 3
            for call in (runtime.aio.wait, runtime.aio.run):
                with pytest.raises(RuntimeClosed):
                    await call(run.id)

        asyncio.run(host())

        until(lambda: not watchers())

    def test_on_several_event_loops(self, small: Runtime) -> None:
        runs = [small.start_run(greet, f"{number}") for number in range(4)]
        results: dict[int, str] = {}

        def host(number: int) -> None:
            results[number] = asyncio.run(runs[number].aio.result("1m"))

        threads = [threading.Thread(target=host, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(watchers()) == 1)
        with small.worker():
            for thread in threads:
                thread.join(PATIENCE)

        assert results == {number: f"Hello, {number}" for number in range(4)}

    def test_a_loop_that_is_gone_harms_no_other(self, small: Runtime) -> None:
        gone, run = small.start_run(greet, "gone"), small.start_run(greet, "Ann")
        loop = asyncio.new_event_loop()
        task = loop.create_task(gone.aio.wait())
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is left on purpose

        with small.worker():
            assert asyncio.run(run.aio.result("1m")) == "Hello, Ann"
            gone.wait("1m")

    def test_a_store_that_fails_is_told_to_all_who_wait(
        self, small: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = small.start_run(greet, "Ann")

        def fail(run_ids: Any) -> None:
            raise OSError("out of reach")

        monkeypatch.setattr(small.internals.store, "open_runs", fail)

        async def host() -> list[Any]:
            waits = [run.aio.wait() for _ in range(3)]
            return await asyncio.gather(*waits, return_exceptions=True)

        assert [str(each) for each in asyncio.run(host())] == ["out of reach"] * 3
        until(lambda: not watchers())

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_after_a_fork_the_child_has_threads_of_its_own(self, small: Runtime) -> None:
        run = small.start_run(greet, "Ann")

        async def wait() -> str:
            return await run.aio.result("1m")

        async def begin_waiting() -> None:
            with pytest.raises(WaitTimeout):
                await run.aio.wait(0.05)
            child = os.fork()
            if child == 0:
                os._exit(_in_child(small, wait))
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            assert await wait() == "Hello, Ann"

        asyncio.run(begin_waiting())


def _in_child(runtime: Runtime, wait: Callable[[], Any]) -> int:
    """What the child does: it has no loop of its own yet, but thinks that one is running."""
    asyncio._set_running_loop(None)
    try:
        with runtime.worker():
            return 0 if asyncio.run(wait()) == "Hello, Ann" else 1
    except BaseException:
        return 2
