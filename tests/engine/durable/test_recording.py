"""What failures leave behind: in the record, of the variables, and of messages' keys."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from stepwell import Checkpoint, Package, Retry, RunBuilder, StepContext, StepError, connect
from stepwell.engine.durable.outbox import sent_key
from stepwell.engine.wait_rules import MAX_MESSAGE_KEY
from tests.engine.durable.workflow_harness import Memory, WorkflowHarness

TWICE = Retry(max_attempts=2, initial=0, jitter=0)


class Declined(Exception):
    """Says something else than its arguments."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(code)
        self.why = why
        self.connection = object()

    def __str__(self) -> str:
        return f"declined: {self.why}"


class Broken(LookupError):
    """Cannot be made again: what it says is no JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.said = {"no"}

    def __str__(self) -> str:
        return " ".join(self.said)


class Failing(Memory):
    """Fails saves, as many as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = 0

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        if self.trouble:
            self.trouble -= 1
            raise OSError("disk")
        super().save_checkpoint(checkpoint)


class Forgetful(Memory):
    """Gives nothing where it ought to say that there is nothing."""

    def load_checkpoint(self, execution_id: str) -> Any:
        return None


class TestMessageKeys:
    def test_messages_of_names_with_slashes_all_arrive(self) -> None:
        # given: two steps whose names and topics read the same when they are joined
        package = Package("post")

        @package.executor("post.send")
        def send(step: StepContext, given: list[str]) -> None:
            step.send(step.run.id, given[0], given[1])

        @package.entrypoint(name="all")
        def both(run: RunBuilder) -> None:
            run.step(send, ["t/u", "of s"], id="s")
            run.step(send, ["u", "of s/t"], id="s/t")

        with connect("memory://", packages=[package]) as runtime:
            # when
            run = runtime.start_run("post", entrypoint="all")
            runtime.drain(run.id, timeout=30)

            # then
            sent = [message.payload for message in runtime.messages(run.id)]
        assert sorted(sent) == ["of s", "of s/t"]

    @pytest.mark.parametrize("length", [1, MAX_MESSAGE_KEY])
    def test_no_user_can_have_them(self, length: int) -> None:
        keys = {sent_key("r/s", "t" * length, n) for n in (1, 2)}

        assert len(keys) == 2
        assert all(key.startswith("stepwell.") for key in keys)
        assert all(len(key) <= MAX_MESSAGE_KEY for key in keys)


def test_variables_survive_a_save_that_failed() -> None:
    checkpointer = Failing()
    harness = WorkflowHarness(checkpoints=checkpointer)

    def flow(step: StepContext) -> dict[str, Any]:
        step.do("a", harness.note, "a")
        if harness.ran["begun"] == 0:
            harness.note("begun")
            step.variables["x"] = 5
            checkpointer.trouble = 1
        step.do("b", harness.note, "b")
        return dict(step.variables)

    harness.go(flow, retry=TWICE)
    harness.execute()

    assert (harness.value, harness.ran["b"]) == ({"x": 5}, 1)
    harness.close()


def test_a_checkpointer_that_gives_no_checkpoint_is_told_so() -> None:
    harness = WorkflowHarness(checkpoints=Forgetful())

    harness.go(lambda step: step.do("a", harness.note, "a"))

    assert "load_checkpoint" in harness.error
    assert "raise NoCheckpoint" in harness.error
    harness.close()


class TestFailuresBeside:
    def test_of_threads_are_all_tried_again(self, harness: WorkflowHarness) -> None:
        second_failed = threading.Event()

        def part(n: int) -> int:
            harness.note(str(n))
            if harness.ran[str(n)] == 1:
                if n == 1:
                    second_failed.set()
                else:
                    second_failed.wait(30)
                raise ConnectionError(n)
            return n

        def flow(step: StepContext) -> list[int]:
            parts = [step.do_async("part", part, n, key=str(n)) for n in range(3)]
            return [one.result(30) for one in parts]

        harness.go(flow, retry=TWICE)
        harness.execute()

        assert (harness.value, harness.ran) == ([0, 1, 2], {"0": 2, "1": 2, "2": 2})

    def test_of_tasks_are_all_tried_again(self, harness: WorkflowHarness) -> None:
        async def part(n: int) -> int:
            harness.note(str(n))
            if harness.ran[str(n)] == 1:
                raise ConnectionError(n)
            return n

        async def flow(step: StepContext) -> list[int]:
            parts = [step.do_async("part", part, n, key=str(n)) for n in range(3)]
            return list(await asyncio.gather(*parts))

        harness.go(flow, retry=TWICE)
        harness.execute()

        assert (harness.value, harness.ran) == ([0, 1, 2], {"0": 2, "1": 2, "2": 2})

    def test_that_the_body_went_by_stay(self, harness: WorkflowHarness) -> None:
        async def fail(name: str) -> None:
            harness.note(name)
            if name == "pay" or harness.ran[name] == 1:
                raise ValueError(name)

        async def flow(step: StepContext) -> str:
            try:
                await step.do_async("pay", fail, "pay")
            except ValueError:
                await step.do_async("refund", fail, "refund")
            return "refunded"

        harness.go(flow, retry=TWICE)
        harness.execute()

        assert (harness.value, harness.ran) == ("refunded", {"pay": 1, "refund": 2})


class TestTheSameFailureEachTime:
    def test_with_its_arguments_and_attributes(self, harness: WorkflowHarness) -> None:
        caught: list[Any] = []

        def charge() -> None:
            harness.note("charge")
            raise Declined(51, "no funds")

        def flow(step: StepContext) -> None:
            try:
                step.do("charge", charge)
            except Declined as error:
                caught.append((str(error), error.args, error.why))
            step.sleep(5)

        harness.go(flow)
        harness.pass_time(5)

        assert caught == [("declined: no funds", (51,), "no funds")] * 2
        assert (harness.step.status, harness.ran["charge"]) == ("succeeded", 1)

    @pytest.mark.parametrize(
        ("error", "as_what"),
        [(ExceptionGroup("g", [ValueError(1)]), StepError), (Broken(), LookupError)],
    )
    def test_as_what_can_be_made_of_it(
        self, harness: WorkflowHarness, error: Exception, as_what: type[Exception]
    ) -> None:
        caught: list[tuple[type[Exception], str]] = []
        originals: list[BaseException | None] = []

        def fail() -> None:
            raise error

        def flow(step: StepContext) -> None:
            try:
                step.do("fail", fail)
            except Exception as raised:
                caught.append((type(raised), str(raised)))
                originals.append(raised.__cause__)
            step.sleep(5)

        harness.go(flow)
        harness.pass_time(5)

        assert caught == [(as_what, str(error))] * 2
        assert originals == [error, None]

    def test_one_that_ends_the_attempt_is_tried_again(self, harness: WorkflowHarness) -> None:
        def fail() -> str:
            harness.note("fail")
            if harness.ran["fail"] == 1:
                raise ExceptionGroup("g", [ValueError(1)])
            return "done"

        harness.go(lambda step: step.do("fail", fail), retry=TWICE)
        harness.execute()

        assert (harness.value, harness.ran["fail"]) == ("done", 2)
