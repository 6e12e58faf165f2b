"""Changed code, foreign checkpointers, lost leases, and what a save costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepwell import LeaseLost, StepContext, StoreError, pause_in_checkpoint, unpause_in_checkpoint
from tests.engine.durable.workflow_harness import (
    AtomicMemory,
    JournalingMemory,
    Memory,
    WorkflowHarness,
)


def first(step: StepContext) -> None:
    step.do("a", len, "abc")
    step.sleep(10)


def test_other_arguments(harness: WorkflowHarness) -> None:
    def changed(step: StepContext) -> None:
        step.do("a", len, "abcd")

    harness.go(first)
    harness.replace(changed)
    step = harness.pass_time(10)

    assert step.status == "failed"
    assert harness.error.startswith(
        "replay_mismatch: step.do('a'): operation 'a' was recorded with other arguments (digest "
    )


def test_what_is_new_and_what_is_left_out_is_no_mismatch(harness: WorkflowHarness) -> None:
    def changed(step: StepContext) -> int:
        return step.do("b", len, "abcd")

    harness.go(first)
    harness.replace(changed)
    harness.pass_time(10)

    assert (harness.value, list(harness.operations)) == (4, ["a", "b"])


def test_another_kind_of_operation(harness: WorkflowHarness) -> None:
    def slept(step: StepContext) -> None:
        step.sleep(10)
        step.sleep(1)

    def changed(step: StepContext) -> None:
        step.do("sleep", len, "abc")

    harness.go(slept)
    harness.pass_time(10)
    harness.replace(changed)
    step = harness.pass_time(1)

    assert step.status == "failed"
    assert harness.error == (
        "replay_mismatch: step.do('sleep'): operation 'sleep' was recorded as a step.sleep, and "
        "the code asks for a step.do now; put the code back, or give the operation a new name, "
        "and retry the step"
    )
    # It stays, and an operator can go on from it once the code is right again.
    harness.replace(slept)
    harness.there.retry_step(harness.run_id, "flow")
    assert harness.execute().status == "succeeded"


def test_a_value_that_does_not_fit_any_more(harness: WorkflowHarness) -> None:
    def length(text: str) -> int:
        return len(text)

    def listed(text: str) -> list[int]:
        return [len(text)]

    def flow(step: StepContext) -> None:
        step.do("a", length, "abc")
        step.sleep(10)

    def changed(step: StepContext) -> None:
        step.do("a", listed, "abc")

    harness.go(flow)
    harness.replace(changed)
    harness.pass_time(10)

    assert (
        "was recorded with another value, and the code wants value: input should be"
        in harness.error
    )


def long(step: StepContext, count: int) -> int:
    step.do("first", len, "")
    step.sleep(10)
    return sum(step.do("n", int, n) for n in range(count))


@pytest.mark.parametrize("kind", [Memory, AtomicMemory, JournalingMemory])
def test_any_checkpointer_will_do(kind: type[Memory]) -> None:
    checkpointer = kind()
    harness = WorkflowHarness(checkpoints=checkpointer)

    harness.go(long, 3)
    harness.pass_time(10)

    assert harness.value == 3
    found = checkpointer.load_checkpoint(f"{harness.run_id}/flow")
    assert [o.id for o in found.operations] == ["first", "sleep", "n", "n#2", "n#3"]
    assert (found.status, found.run_id, found.step_id) == ("completed", harness.run_id, "flow")
    assert harness.there.checkpoint(harness.run_id, "flow") == found
    harness.close()


def test_a_checkpointer_by_url(tmp_path: Any) -> None:
    harness = WorkflowHarness(checkpoints=f"file://{tmp_path}")
    harness.go(long, 3)
    harness.pass_time(10)

    assert (harness.value, len(harness.operations)) == (3, 5)
    assert any(tmp_path.iterdir())
    harness.close()


def test_ten_thousand_operations_cost_ten_thousand_records() -> None:
    checkpointer = JournalingMemory()
    harness = WorkflowHarness(checkpoints=checkpointer)

    harness.go(long, 10_000)
    harness.pass_time(10)

    assert harness.value == sum(range(10_000))
    # each with what is new, one for the wait, one for the end
    assert len(checkpointer.recorded) == 10_000 + 1 + 1 + 1
    assert sum(checkpointer.recorded) == 10_000 + 2
    assert checkpointer.saves == 0
    harness.close()


@pytest.mark.parametrize("kind", [Memory, AtomicMemory, JournalingMemory, None])
def test_who_lost_the_lease_saves_nothing(kind: type[Memory] | None) -> None:
    checkpointer = kind() if kind else None
    harness = WorkflowHarness(checkpoints=checkpointer)

    def flow(step: StepContext) -> None:
        step.do("before", harness.note, "before")
        step.do("cancel", harness.there.cancel_run, step.run.id)
        harness.note("after")

    harness.go(flow)

    assert harness.step.status == "canceled"
    assert harness.ran == {"before": 1}
    assert list(harness.operations) == ["before"]
    harness.close()


def test_losing_the_lease_cannot_be_swallowed(harness: WorkflowHarness) -> None:
    def flow(step: StepContext) -> str:
        for _ in range(3):
            try:
                step.do("cancel", harness.there.cancel_run, step.run.id)
            except Exception:
                harness.note("swallowed")
        return "never"

    harness.go(flow)

    assert (harness.step.status, harness.ran) == ("canceled", {})


class Shaky(JournalingMemory):
    """Out of reach twice, then there."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.errors = [error, error]

    def record(self, update: Any) -> bool:
        if self.errors:
            raise self.errors.pop()
        return super().record(update)


def test_store_trouble_is_waited_out() -> None:
    harness = WorkflowHarness(checkpoints=Shaky(StoreError("out of reach")))

    harness.go(long, 1)
    harness.pass_time(10)

    assert harness.value == 0
    harness.close()


def test_a_foreign_checkpointers_lost_lease_fails_the_attempt() -> None:
    harness = WorkflowHarness(checkpoints=Shaky(LeaseLost("somebody else has it")))

    step = harness.go(long, 1)

    assert (step.status, harness.error) == ("failed", "lease_lost: somebody else has it")
    harness.close()


class TestPause:
    def test_stops_at_the_next_operation_and_goes_on(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            step.do("a", harness.note, "a")
            if harness.ran["pause"] == 0:
                harness.note("pause")
                pause_in_checkpoint(
                    harness.there.checkpointer, step.idempotency_key, "wait", clock=harness.clock
                )
            step.do("b", harness.note, "b")
            step.do("c", harness.note, "c")

        # when: it is paused, the operation under way is recorded, and the next one is not begun
        assert harness.go(flow).status == "waiting"
        assert harness.ran == {"a": 1, "pause": 1, "b": 1}
        assert (harness.checkpoint.status, harness.checkpoint.pause_reason) == ("paused", "wait")

        # then: it looks again, later and later, without running the body
        for delay in (1, 2, 4, 8, 16, 32, 60, 60):
            assert harness.pass_time(delay - 0.001).status == "waiting"
            assert harness.pass_time(0.001).status == "waiting"
        assert harness.ran == {"a": 1, "pause": 1, "b": 1}

        # and goes on, once the pause is over
        unpause_in_checkpoint(
            harness.there.checkpointer, f"{harness.run_id}/flow", clock=harness.clock
        )
        assert harness.pass_time(60).status == "succeeded"
        assert harness.ran == {"a": 1, "pause": 1, "b": 1, "c": 1}

    def test_freezes_what_is_left_of_a_wait(self, harness: WorkflowHarness) -> None:
        # given: a sleep of 100 seconds of which 30 are over
        harness.go(lambda step: step.sleep(100))
        harness.clock.advance(timedelta(seconds=30))
        key = f"{harness.run_id}/flow"

        # when: it is paused for a long time
        pause_in_checkpoint(harness.there.checkpointer, key, clock=harness.clock)
        for _ in range(5):
            assert harness.pass_time(1_000).status == "waiting"
        unpause_in_checkpoint(harness.there.checkpointer, key, clock=harness.clock)

        # then: 70 seconds are left
        harness.pass_time(60)
        assert harness.step.status == "waiting"
        assert harness.pass_time(9).status == "waiting"
        assert harness.pass_time(1).status == "succeeded"

    def test_a_wait_that_others_can_end_has_its_chance(self, harness: WorkflowHarness) -> None:
        # given: 30 of 40 seconds are left, and looks at the pause have become rare
        harness.go(lambda step: step.receive("go", str, timeout=40))
        harness.clock.advance(timedelta(seconds=10))
        key = f"{harness.run_id}/flow"
        pause_in_checkpoint(harness.there.checkpointer, key, clock=harness.clock)
        for _ in range(10):
            harness.pass_time(60)

        # when: the pause is over, and nobody notices it for longer than that
        unpause_in_checkpoint(harness.there.checkpointer, key, clock=harness.clock)
        assert harness.pass_time(60).status == "waiting"
        harness.there.send(harness.run_id, "go", "on")
        harness.pass_time(0)

        assert harness.value == "on"

    def test_asked_for_while_the_wait_begins(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            step.do("a", harness.note, "a")
            pause_in_checkpoint(
                harness.there.checkpointer, step.idempotency_key, clock=harness.clock
            )
            step.sleep(100)

        harness.go(flow)
        assert harness.checkpoint.wait is not None
        assert (harness.checkpoint.wait.remaining, harness.checkpoint.wait.wake_at) == (100, None)
        assert harness.pass_time(200).status == "waiting"
        harness.replace(lambda step: step.do("a", harness.note, "a") or step.sleep(100))
        unpause_in_checkpoint(
            harness.there.checkpointer, f"{harness.run_id}/flow", clock=harness.clock
        )
        harness.pass_time(60)
        assert harness.step.status == "waiting"
        assert harness.pass_time(40).status == "succeeded"
