"""Waits are called in the step's function: elsewhere they would unwind nothing, or everything."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stepwell import StepContext, waits
from tests.engine.durable.workflow_harness import WorkflowHarness

COMBINATOR = "wait for several things at once with step.wait_any(…) or step.wait_all(…)"
LIMIT = "limit the wait itself: timeout=…"
POOLS = ["inline", "thread", "asyncio"]


def in_each_pool(*functions: Callable[[StepContext], Any]) -> list[Any]:
    """Plain functions have no event loop of their own where one runs already."""
    return [
        pytest.param(function, pool, id=f"{function.__name__}-{pool}")
        for function in functions
        for pool in POOLS
        if pool != "asyncio" or not function.__name__.endswith("loop_of_its_own")
    ]


async def nap(step: StepContext) -> None:
    step.sleep(1)


async def hear(step: StepContext) -> None:
    step.receive("mail")


async def gather(step: StepContext) -> None:
    await asyncio.gather(nap(step), nap(step), nap(step))


async def group(step: StepContext) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(nap(step))
        tasks.create_task(hear(step))


async def event_against_timer(step: StepContext) -> None:
    tasks = [asyncio.create_task(hear(step)), asyncio.create_task(asyncio.sleep(3_600))]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    tasks[1].cancel()


async def left_alone(step: StepContext) -> None:
    task = asyncio.create_task(hear(step))
    await asyncio.wait([task])


async def caught(step: StepContext) -> None:
    await asyncio.gather(nap(step), hear(step), return_exceptions=True)


async def beside_the_function(step: StepContext) -> None:
    task = asyncio.create_task(nap(step))
    await asyncio.sleep(0)
    step.sleep(10)
    await task


async def to_thread(step: StepContext) -> None:
    await asyncio.to_thread(step.sleep, 1)


def threads(step: StepContext) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(step.sleep, [1, 1, 1]))


def thread_that_nobody_asks(step: StepContext) -> None:
    with ThreadPoolExecutor() as pool:
        pool.submit(step.receive, "mail")


def loop_of_its_own(step: StepContext) -> None:
    async def main() -> None:
        await asyncio.gather(nap(step), nap(step))

    asyncio.run(main())


async def timeout(step: StepContext) -> None:
    async with asyncio.timeout(5):
        step.receive("mail")


async def far_timeout(step: StepContext) -> None:
    async with asyncio.timeout(5):
        async with asyncio.timeout(None):
            await hear(step)


def timeout_in_a_loop_of_its_own(step: StepContext) -> None:
    asyncio.run(timeout(step))


async def wait_for(step: StepContext) -> None:
    await asyncio.wait_for(hear(step), 5)


class TestRefused:
    @pytest.mark.parametrize(
        ("function", "pool"),
        in_each_pool(
            *(gather, group, event_against_timer, left_alone, caught, beside_the_function),
            *(to_thread, threads, thread_that_nobody_asks, loop_of_its_own),
        ),
    )
    def test_beside_the_function(
        self,
        harness: WorkflowHarness,
        function: Callable[[StepContext], Any],
        pool: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        harness.go(function, pool=pool)

        assert harness.step.status == "failed"
        assert harness.error.startswith("invalid_input: step.")
        assert COMBINATOR in harness.error
        gc.collect()
        assert "never retrieved" not in caplog.text

    @pytest.mark.parametrize(
        ("function", "pool"), in_each_pool(timeout, far_timeout, timeout_in_a_loop_of_its_own)
    )
    def test_under_a_time_limit(
        self, harness: WorkflowHarness, function: Callable[[StepContext], Any], pool: str
    ) -> None:
        harness.go(function, pool=pool)

        assert harness.step.status == "failed"
        assert LIMIT in harness.error

    def test_wait_for_names_the_time_limit(self, harness: WorkflowHarness) -> None:
        harness.go(wait_for)

        assert harness.step.status == "failed"
        assert "timeout=…" in harness.error

    def test_operation_beside_the_function_names_the_combinator(
        self, harness: WorkflowHarness
    ) -> None:
        def flow(step: StepContext) -> None:
            step.do_async("nap", step.sleep, 1).result()

        harness.go(flow)

        assert "called inside the operation 'nap'" in harness.error
        assert "step.wait_all(…)" in harness.error


class TestAllowed:
    @pytest.mark.parametrize("pool", POOLS)
    def test_in_a_coroutine_of_the_function(self, harness: WorkflowHarness, pool: str) -> None:
        async def flow(step: StepContext) -> Any:
            task = asyncio.create_task(asyncio.sleep(0))
            await nap(step)
            await task
            async with asyncio.timeout(60):
                await asyncio.sleep(0)
            return step.wait_any(waits.Message("mail"), waits.Sleep(1)).index

        harness.go(flow, pool=pool)
        harness.pass_time(1)
        harness.pass_time(1)

        assert harness.value == 1

    def test_in_a_task_that_the_function_awaits_alone(self, harness: WorkflowHarness) -> None:
        async def flow(step: StepContext) -> str:
            await asyncio.create_task(nap(step))
            return "awake"

        harness.go(flow)
        harness.pass_time(1)

        assert harness.value == "awake"

    def test_in_the_loop_that_a_plain_function_runs(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> str:
            asyncio.run(nap(step))
            return "awake"

        harness.go(flow)
        harness.pass_time(1)

        assert harness.value == "awake"

    def test_while_the_host_has_a_loop_and_a_time_limit(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> str:
            step.sleep(1)
            return "awake"

        async def host() -> None:
            async with asyncio.timeout(60):
                harness.go(flow)
                harness.pass_time(1)

        asyncio.run(host())

        assert harness.value == "awake"

    def test_from_a_thread_other_things_are_fine(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            thread = threading.Thread(target=step.set_value, args=("k", 1))
            thread.start()
            thread.join()
            return step.get_value(step.run.id, "k")

        harness.go(flow)

        assert harness.value == 1


def test_task_that_goes_on_beside_a_wait_ends_quietly(
    harness: WorkflowHarness, caplog: pytest.LogCaptureFixture
) -> None:
    async def note() -> None:
        harness.note("note")

    async def flow(step: StepContext) -> None:
        async def goes_on() -> None:
            await asyncio.sleep(0)
            await step.do("note", note)

        task = asyncio.create_task(goes_on())
        step.do_async("a", note)
        step.sleep(1)
        await task

    harness.go(flow)
    assert harness.step.status == "waiting"
    gc.collect()

    assert "never retrieved" not in caplog.text
