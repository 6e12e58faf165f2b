"""Changed code, foreign checkpointers, lost leases, and what a save costs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepwell import LeaseLost, StepContext, StoreError, pause_in_checkpoint, unpause_in_checkpoint
from tests.engine.durable.lab import AtomicMemory, JournalingMemory, Lab, Memory


def first(step: StepContext) -> None:
    step.do("a", len, "abc")
    step.sleep(10)


def test_other_arguments(lab: Lab) -> None:
    def changed(step: StepContext) -> None:
        step.do("a", len, "abcd")

    lab.go(first)
    lab.replace(changed)
    step = lab.pass_time(10)

    assert step.status == "failed"
    assert lab.error.startswith(
        "replay_mismatch: step.do('a'): operation 'a' was recorded with other arguments (digest "
    )


def test_what_is_new_and_what_is_left_out_is_no_mismatch(lab: Lab) -> None:
    def changed(step: StepContext) -> int:
        return step.do("b", len, "abcd")

    lab.go(first)
    lab.replace(changed)
    lab.pass_time(10)

    assert (lab.value, list(lab.operations)) == (4, ["a", "b"])


def test_another_kind_of_operation(lab: Lab) -> None:
    def slept(step: StepContext) -> None:
        step.sleep(10)
        step.sleep(1)

    def changed(step: StepContext) -> None:
        step.do("sleep", len, "abc")

    lab.go(slept)
    lab.pass_time(10)
    lab.replace(changed)
    step = lab.pass_time(1)

    assert step.status == "failed"
    assert lab.error == (
        "replay_mismatch: step.do('sleep'): operation 'sleep' was recorded as a step.sleep, and "
        "the code asks for a step.do now; put the code back, or give the operation a new name, "
        "and retry the step"
    )
    # It stays, and an operator can go on from it once the code is right again.
    lab.replace(slept)
    lab.there.retry_step(lab.run_id, "flow")
    assert lab.execute().status == "succeeded"


def test_a_value_that_does_not_fit_any_more(lab: Lab) -> None:
    def length(text: str) -> int:
        return len(text)

    def listed(text: str) -> list[int]:
        return [len(text)]

    def flow(step: StepContext) -> None:
        step.do("a", length, "abc")
        step.sleep(10)

    def changed(step: StepContext) -> None:
        step.do("a", listed, "abc")

    lab.go(flow)
    lab.replace(changed)
    lab.pass_time(10)

    assert "was recorded with another value, and the code wants value: input should be" in lab.error


def long(step: StepContext, count: int) -> int:
    step.do("first", len, "")
    step.sleep(10)
    return sum(step.do("n", int, n) for n in range(count))


@pytest.mark.parametrize("kind", [Memory, AtomicMemory, JournalingMemory])
def test_any_checkpointer_will_do(kind: type[Memory]) -> None:
    checkpointer = kind()
    lab = Lab(checkpoints=checkpointer)

    lab.go(long, 3)
    lab.pass_time(10)

    assert lab.value == 3
    found = checkpointer.load_checkpoint(f"{lab.run_id}/flow")
    assert [o.id for o in found.operations] == ["first", "sleep", "n", "n#2", "n#3"]
    assert (found.status, found.run_id, found.step_id) == ("completed", lab.run_id, "flow")
    assert lab.there.checkpoint(lab.run_id, "flow") == found
    lab.close()


def test_a_checkpointer_by_url(tmp_path: Any) -> None:
    lab = Lab(checkpoints=f"file://{tmp_path}")
    lab.go(long, 3)
    lab.pass_time(10)

    assert (lab.value, len(lab.operations)) == (3, 5)
    assert any(tmp_path.iterdir())
    lab.close()


def test_ten_thousand_operations_cost_ten_thousand_records() -> None:
    checkpointer = JournalingMemory()
    lab = Lab(checkpoints=checkpointer)

    lab.go(long, 10_000)
    lab.pass_time(10)

    assert lab.value == sum(range(10_000))
    # each with what is new, one for the wait, one for the end
    assert len(checkpointer.recorded) == 10_000 + 1 + 1 + 1
    assert sum(checkpointer.recorded) == 10_000 + 2
    assert checkpointer.saves == 0
    lab.close()


@pytest.mark.parametrize("kind", [Memory, AtomicMemory, JournalingMemory, None])
def test_who_lost_the_lease_saves_nothing(kind: type[Memory] | None) -> None:
    checkpointer = kind() if kind else None
    lab = Lab(checkpoints=checkpointer)

    def flow(step: StepContext) -> None:
        step.do("before", lab.note, "before")
        step.do("cancel", lab.there.cancel_run, step.run.id)
        lab.note("after")

    lab.go(flow)

    assert lab.step.status == "canceled"
    assert lab.ran == {"before": 1}
    assert list(lab.operations) == ["before"]
    lab.close()


def test_losing_the_lease_cannot_be_swallowed(lab: Lab) -> None:
    def flow(step: StepContext) -> str:
        for _ in range(3):
            try:
                step.do("cancel", lab.there.cancel_run, step.run.id)
            except Exception:
                lab.note("swallowed")
        return "never"

    lab.go(flow)

    assert (lab.step.status, lab.ran) == ("canceled", {})


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
    lab = Lab(checkpoints=Shaky(StoreError("out of reach")))

    lab.go(long, 1)
    lab.pass_time(10)

    assert lab.value == 0
    lab.close()


def test_a_foreign_checkpointers_lost_lease_fails_the_attempt() -> None:
    lab = Lab(checkpoints=Shaky(LeaseLost("somebody else has it")))

    step = lab.go(long, 1)

    assert (step.status, lab.error) == ("failed", "lease_lost: somebody else has it")
    lab.close()


class TestPause:
    def test_stops_at_the_next_operation_and_goes_on(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            step.do("a", lab.note, "a")
            if lab.ran["pause"] == 0:
                lab.note("pause")
                pause_in_checkpoint(
                    lab.there.checkpointer, step.idempotency_key, "wait", clock=lab.clock
                )
            step.do("b", lab.note, "b")
            step.do("c", lab.note, "c")

        # when: it is paused, the operation under way is recorded, and the next one is not begun
        assert lab.go(flow).status == "waiting"
        assert lab.ran == {"a": 1, "pause": 1, "b": 1}
        assert (lab.checkpoint.status, lab.checkpoint.pause_reason) == ("paused", "wait")

        # then: it looks again, later and later, without running the body
        for delay in (1, 2, 4, 8, 16, 32, 60, 60):
            assert lab.pass_time(delay - 0.001).status == "waiting"
            assert lab.pass_time(0.001).status == "waiting"
        assert lab.ran == {"a": 1, "pause": 1, "b": 1}

        # and goes on, once the pause is over
        unpause_in_checkpoint(lab.there.checkpointer, f"{lab.run_id}/flow", clock=lab.clock)
        assert lab.pass_time(60).status == "succeeded"
        assert lab.ran == {"a": 1, "pause": 1, "b": 1, "c": 1}

    def test_freezes_what_is_left_of_a_wait(self, lab: Lab) -> None:
        # given: a sleep of 100 seconds of which 30 are over
        lab.go(lambda step: step.sleep(100))
        lab.clock.advance(timedelta(seconds=30))
        key = f"{lab.run_id}/flow"

        # when: it is paused for a long time
        pause_in_checkpoint(lab.there.checkpointer, key, clock=lab.clock)
        for _ in range(5):
            assert lab.pass_time(1_000).status == "waiting"
        unpause_in_checkpoint(lab.there.checkpointer, key, clock=lab.clock)

        # then: 70 seconds are left
        lab.pass_time(60)
        assert lab.step.status == "waiting"
        assert lab.pass_time(9).status == "waiting"
        assert lab.pass_time(1).status == "succeeded"

    def test_a_wait_that_others_can_end_has_its_chance(self, lab: Lab) -> None:
        # given: 30 of 40 seconds are left, and looks at the pause have become rare
        lab.go(lambda step: step.receive("go", str, timeout=40))
        lab.clock.advance(timedelta(seconds=10))
        key = f"{lab.run_id}/flow"
        pause_in_checkpoint(lab.there.checkpointer, key, clock=lab.clock)
        for _ in range(10):
            lab.pass_time(60)

        # when: the pause is over, and nobody notices it for longer than that
        unpause_in_checkpoint(lab.there.checkpointer, key, clock=lab.clock)
        assert lab.pass_time(60).status == "waiting"
        lab.there.send(lab.run_id, "go", "on")
        lab.pass_time(0)

        assert lab.value == "on"

    def test_asked_for_while_the_wait_begins(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            step.do("a", lab.note, "a")
            pause_in_checkpoint(lab.there.checkpointer, step.idempotency_key, clock=lab.clock)
            step.sleep(100)

        lab.go(flow)
        assert lab.checkpoint.wait is not None
        assert (lab.checkpoint.wait.remaining, lab.checkpoint.wait.wake_at) == (100, None)
        assert lab.pass_time(200).status == "waiting"
        lab.replace(lambda step: step.do("a", lab.note, "a") or step.sleep(100))
        unpause_in_checkpoint(lab.there.checkpointer, f"{lab.run_id}/flow", clock=lab.clock)
        lab.pass_time(60)
        assert lab.step.status == "waiting"
        assert lab.pass_time(40).status == "succeeded"
