"""`do_async`, and coroutine bodies."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from stepwell import Retry, StepContext
from stepwell.engine.durable.background import BackgroundTasks
from stepwell.engine.durable.coroutines import finish
from tests.engine.durable.workflow_harness import Memory, WorkflowHarness


def unread(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of failures that nobody asked for."""
    return [
        record.getMessage()
        for record in caplog.records
        if vars(record).get("action") == "operation.unread"
    ]


def test_without_a_thread_to_be_had_nothing_is_left_to_wait_for() -> None:
    background = BackgroundTasks()
    before = threading.stack_size(1 << 46)  # nobody has so much room for a stack
    try:
        with pytest.raises(RuntimeError):
            background.start(lambda: 1, "one")
    finally:
        threading.stack_size(before)

    background.join(lambda: False)
    assert background.start(lambda: 2, "two").result(20) == 2


def test_what_the_body_left_running_ends_with_a_late_cancellation() -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("slow")

    async def main() -> None:
        left = {asyncio.create_task(slow())}
        finishing = asyncio.create_task(finish(left, canceled=False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        finishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finishing
        assert ended == ["slow"]

    asyncio.run(main())


class TestThreads:
    def test_side_by_side_in_whatever_order_they_end(self, harness: WorkflowHarness) -> None:
        # given: operations of one name, the first of which ends after the others
        others = threading.Semaphore(0)

        def get(n: int) -> int:
            harness.note("get")
            if n == 0 and harness.ran["get"] <= 3:
                others.acquire()
                others.acquire()
            others.release()
            return n

        def flow(step: StepContext) -> list[int]:
            futures: list[Future[int]] = [step.do_async("get", get, n) for n in range(3)]
            values = [future.result(30) for future in futures]
            step.sleep(1)
            return values

        harness.go(flow)
        recorded = {o.id: o.value for o in harness.checkpoint.operations}
        assert recorded == {"get": 0, "get#2": 1, "get#3": 2}
        harness.pass_time(1)

        assert (harness.value, harness.ran["get"]) == ([0, 1, 2], 3)

    def test_the_execution_ends_after_all_of_them(self, harness: WorkflowHarness) -> None:
        waiting = threading.Event()

        def slow() -> str:
            waiting.set()
            return harness.note("slow", "done")  # type: ignore[no-any-return]

        def flow(step: StepContext) -> None:
            step.do_async("slow", slow)
            step.sleep(1)

        harness.go(flow)

        assert harness.operations["slow"].value == "done"
        harness.pass_time(1)
        assert harness.ran["slow"] == 1

    def test_failure_comes_with_the_result(self, harness: WorkflowHarness) -> None:
        def fail() -> None:
            raise ValueError("no")

        def flow(step: StepContext) -> None:
            step.do_async("fail", fail).result()

        harness.go(flow)

        assert harness.error == "ValueError: no"
        assert harness.operations["fail"].open

    def test_only_failures_that_nobody_read_are_logged(
        self, harness: WorkflowHarness, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(why: str) -> None:
            raise ValueError(why)

        def flow(step: StepContext) -> None:
            read = step.do_async("read", fail, "read")
            asked = step.do_async("asked", fail, "asked")
            step.do_async("lost", fail, "nobody looks")
            with pytest.raises(ValueError, match="read"):
                read.result(30)
            assert str(asked.exception(30)) == "asked"

        harness.go(flow)

        assert harness.step.status == "succeeded"
        assert unread(caplog) == [
            f"{harness.run_id}/flow: step.do_async('lost') failed, and nothing read its result: "
            "ValueError: nobody looks"
        ]

    def test_a_wait_that_ends_them_is_no_failure(
        self, harness: WorkflowHarness, caplog: pytest.LogCaptureFixture
    ) -> None:
        suspended = threading.Event()

        def flow(step: StepContext) -> None:
            step.do_async("slow", suspended.wait, 30)
            try:
                step.sleep(1)
            finally:
                suspended.set()

        harness.go(flow)
        harness.pass_time(1)

        assert (harness.step.status, unread(caplog)) == ("succeeded", [])

    def test_many_are_saved_together(self) -> None:
        checkpointer = Memory()
        harness = WorkflowHarness(checkpoints=checkpointer)

        def flow(step: StepContext) -> int:
            futures = [step.do_async("n", int, n) for n in range(200)]
            return sum(future.result(30) for future in futures)

        harness.go(flow)

        assert harness.value == sum(range(200))
        assert len(harness.operations) == 200
        assert checkpointer.saves <= 201
        harness.close()


class TestCoroutines:
    def test_awaited_in_turn_and_side_by_side(self, harness: WorkflowHarness) -> None:
        async def get(n: int) -> tuple[int, int]:
            harness.note("get")
            await asyncio.sleep(0)
            return n, n

        async def flow(step: StepContext) -> list[Any]:
            values: list[Any] = [await step.do("get", get, 1)]
            values += await asyncio.gather(*(step.do("get", get, n) for n in (2, 3)))
            tasks = [step.do_async("task", get, n) for n in (4, 5)]
            values += [await task for task in reversed(tasks)]
            values.append(step.do("plain", len, "abc"))
            step.sleep(1)
            return values

        assert harness.go(flow).status == "waiting"
        harness.pass_time(1)

        assert harness.value == [[1, 1], [2, 2], [3, 3], [5, 5], [4, 4], 3]
        assert harness.ran["get"] == 5
        # What runs side by side is recorded in the order in which it is saved.
        recorded = list(harness.operations)
        assert [recorded[0], *recorded[5:]] == ["get", "plain", "sleep"]
        assert [set(recorded[1:3]), set(recorded[3:5])] == [{"get#2", "get#3"}, {"task", "task#2"}]

    def test_no_save_is_made_on_the_event_loop(self) -> None:
        class Watched(Memory):
            def __init__(self) -> None:
                super().__init__()
                self.threads: set[str] = set()

            def save_checkpoint(self, checkpoint: Any) -> None:
                self.threads.add(threading.current_thread().name)
                super().save_checkpoint(checkpoint)

        checkpointer = Watched()
        harness = WorkflowHarness(checkpoints=checkpointer)

        async def get() -> int:
            harness.note(threading.current_thread().name)
            return 1

        async def flow(step: StepContext) -> int:
            value = await step.do("get", get)
            step.sleep(1)
            return value

        harness.go(flow)
        harness.pass_time(1)

        assert (harness.value, checkpointer.saves) == (1, 3)
        assert set(harness.ran).isdisjoint(checkpointer.threads)
        harness.close()

    def test_what_the_body_left_running_is_waited_for(self, harness: WorkflowHarness) -> None:
        async def slow(n: int) -> int:
            await asyncio.sleep(0)
            return harness.note("slow", n)  # type: ignore[no-any-return]

        async def flow(step: StepContext) -> str:
            step.do_async("slow", slow, 1)
            step.do_async("slow", slow, 2)
            return "done"

        harness.go(flow)

        assert (harness.value, harness.ran["slow"], len(harness.operations)) == ("done", 2, 2)

    def test_failure_of_what_was_left_running_is_logged(
        self, harness: WorkflowHarness, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError("nobody looks")

        async def flow(step: StepContext) -> str:
            step.do_async("lost", fail)
            return "done"

        harness.go(flow)

        assert harness.value == "done"
        assert unread(caplog) == [
            f"{harness.run_id}/flow: step.do_async('lost') failed, and nothing read its result: "
            "ValueError: nobody looks"
        ]

    def test_a_wait_in_a_group_of_tasks_suspends(self, harness: WorkflowHarness) -> None:
        async def flow(step: StepContext) -> str:
            async def waits() -> None:
                step.sleep(1)

            async with asyncio.TaskGroup() as group:
                group.create_task(waits())
            return "awake"

        assert harness.go(flow).status == "waiting"
        harness.pass_time(1)

        assert harness.value == "awake"

    def test_retry(self, harness: WorkflowHarness) -> None:
        async def shaky() -> int:
            harness.note("shaky")
            if harness.ran["shaky"] < 3:
                raise TimeoutError
            return 7

        async def flow(step: StepContext) -> int:
            return await step.do("shaky", shaky, retry=Retry(max_attempts=3, initial=0))

        harness.go(flow)

        assert (harness.value, harness.operations["shaky"].attempts) == (7, 3)

    @pytest.mark.parametrize("pool", ["inline", "thread", "asyncio"])
    def test_in_every_pool(self, harness: WorkflowHarness, pool: str) -> None:
        async def get(n: int) -> int:
            return harness.note("get", n)  # type: ignore[no-any-return]

        async def flow(step: StepContext) -> int:
            value = await step.do("get", get, 7)
            step.sleep(1)
            return value

        harness.go(flow, pool=pool)
        harness.pass_time(1)

        assert (harness.value, harness.ran["get"]) == (7, 1)
