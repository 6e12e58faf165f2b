"""Sleeps, approvals and values: no slot while they last, and recorded when they are over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import (
    Checkpoint,
    Conflict,
    InvalidInput,
    RefusedByState,
    Retry,
    StepContext,
)
from stepwell import WaitTimeout as TimedOut
from tests.engine.durable.workflow_harness import Memory, WorkflowHarness


class Order(BaseModel):
    item: str


class TestSleep:
    def test_until_its_time_and_not_twice(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            step.sleep(timedelta(hours=1))
            harness.note("awake")
            step.sleep(60)

        assert harness.go(flow).status == "waiting"
        assert harness.pass_time(3_599).status == "waiting"
        assert harness.ran["awake"] == 0
        harness.pass_time(1)
        assert (harness.ran["awake"], harness.step.status) == (1, "waiting")
        harness.pass_time(60)
        assert harness.step.status == "succeeded"
        assert list(harness.operations) == ["sleep", "sleep#2"]

    def test_only_what_is_left_after_a_crash(self, harness: WorkflowHarness) -> None:
        # given: an execution that slept, and one that dies as soon as it is awake
        def flow(step: StepContext) -> None:
            step.sleep(100)
            if harness.note("awake") or harness.ran["awake"] == 1:
                raise ConnectionError
            step.sleep(50)

        harness.start(flow, retry=Retry(max_attempts=2, initial=10, jitter=0))
        harness.execute()
        harness.pass_time(100)

        # when: it is tried again
        assert harness.step.status == "ready"
        harness.pass_time(10)

        # then: the first sleep is over, the second one lasts as long as it should
        assert (harness.ran["awake"], harness.step.status) == (2, "waiting")
        assert harness.pass_time(49).status == "waiting"
        assert harness.pass_time(1).status == "succeeded"

    def test_released_early_it_sleeps_on(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            step.sleep(100)

        harness.go(flow)
        harness.clock.advance(timedelta(seconds=40))
        harness.there.pause_run(harness.run_id)
        harness.clock.advance(timedelta(days=1))
        assert harness.execute().status == "waiting"
        harness.there.resume_run(harness.run_id)

        assert harness.pass_time(59).status == "waiting"
        assert harness.pass_time(1).status == "succeeded"

    def test_until_an_aware_time(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            step.sleep(until=datetime(2030, 1, 2, tzinfo=UTC))
            step.sleep(until=datetime(2020, 1, 1, tzinfo=UTC))

        assert harness.go(flow).status == "waiting"
        assert harness.pass_time(86_399).status == "waiting"
        assert harness.pass_time(1).status == "succeeded"

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, "needs either seconds or until="),
            ({"seconds": 1, "until": datetime(2030, 1, 1, tzinfo=UTC)}, "needs either"),
            ({"seconds": -1}, "from 0s to 36600d (seconds"),
            ({"seconds": "5 mins"}, "must be a duration"),
            ({"seconds": float("nan")}, "must be a duration"),
            ({"seconds": True}, "must be a duration"),
            ({"until": datetime(2030, 1, 1)}, "needs a zone, got the naive 2030-01-01"),  # noqa: DTZ001
            ({"until": 3}, "must be an aware datetime, got 3"),
        ],
    )
    def test_bad_times(
        self, harness: WorkflowHarness, options: dict[str, Any], expected: str
    ) -> None:
        harness.go(lambda step: step.sleep(**options))

        assert harness.error.startswith("invalid_input: step.sleep")
        assert expected in harness.error

    def test_a_body_cannot_swallow_it(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> str:
            try:
                step.sleep(10)
            except BaseException:
                harness.note("swallowed")
            try:
                step.do("x", harness.note, "x")
            except BaseException:
                raise ValueError from None
            return "done"

        assert harness.go(flow).status == "waiting"
        assert harness.ran == {"swallowed": 1}
        harness.pass_time(10)
        assert (harness.value, harness.ran["x"]) == ("done", 1)


class TestApprovals:
    def test_decided_with_who_and_why(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            first, second = step.wait_for_approval(), step.wait_for_approval(60)
            return [first.approved, first.comment, first.by, second.approved, first.at.isoformat()]

        assert harness.go(flow).status == "waiting"
        assert harness.there.approve(harness.run_id, by="ann", comment="good") == "flow"
        harness.execute()
        harness.there.reject(harness.run_id, "flow", by="bob")
        harness.execute()

        assert harness.value == [True, "good", "ann", False, "2030-01-01T00:00:00+00:00"]
        with pytest.raises((Conflict, RefusedByState)):
            harness.there.approve(harness.run_id)

    def test_too_late(self, harness: WorkflowHarness) -> None:
        harness.go(lambda step: step.wait_for_approval(timeout=5))
        harness.pass_time(5)

        assert harness.error == "wait_timeout: nobody decided in time"
        with pytest.raises(RefusedByState):
            harness.there.approve(harness.run_id)


class TestValues:
    def test_set_once_for_each_operation_and_kept_with_history(
        self, harness: WorkflowHarness
    ) -> None:
        def flow(step: StepContext) -> list[Any]:
            missing = step.get_value(step.run.id, "state", "none")
            step.set_value("state", "begun")
            step.sleep(1)
            step.set_value("state", {"n": 2})
            return [missing, step.get_value(step.run.id, "state")]

        harness.go(flow)
        assert harness.there.get_value(harness.run_id, "state") == "begun"
        assert harness.there.get_value(harness.run_id, "other", 7) == 7
        harness.pass_time(1)

        assert harness.value == ["none", {"n": 2}]
        history = harness.there.value_history(harness.run_id, "state")
        assert [(e.number, e.value, e.step_id) for e in history] == [
            (1, "begun", "flow"),
            (2, {"n": 2}, "flow"),
        ]
        assert harness.there.wait_for_value(harness.run_id, "state") == {"n": 2}
        with pytest.raises(TimedOut):
            harness.there.wait_for_value(harness.run_id, "other", timeout=0)

    def test_another_value_than_the_one_set_before_a_crash(self) -> None:
        # given: an execution that sets a value, and dies before that is recorded
        class Forgetful(Memory):
            def save_checkpoint(self, checkpoint: Checkpoint) -> None:
                if harness.ran["begun"] > 1:
                    super().save_checkpoint(checkpoint)

        def flow(step: StepContext) -> None:
            harness.note("begun")
            step.set_value("state", harness.ran["begun"])
            if harness.ran["begun"] == 1:
                raise ConnectionError

        harness = WorkflowHarness(checkpoints=Forgetful())
        harness.go(flow, retry=Retry(max_attempts=2, initial=0, jitter=0))
        harness.execute()

        assert harness.error.startswith("replay_mismatch: step.set_value('set_value'): ")
        assert "has set 'state' to 1 before, and the code sets 'state' to 2 now" in harness.error
        assert harness.there.get_value(harness.run_id, "state") == 1
        harness.close()

    def test_waited_for_by_another_run(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext, of: str | None) -> Any:
            if of is None:
                step.sleep(10)
                step.set_value("order", {"item": "pen"})
                return None
            order = step.wait_for_value(of, "order", Order, timeout=60)
            return order.item

        harness.go(flow)
        waiting = harness.there.start_run("harness", harness.run_id)
        late = harness.there.start_run("harness", "nowhere")
        harness.execute()
        harness.execute()
        assert harness.there.step(waiting.id, "flow").status == "waiting"
        assert harness.there.step(late.id, "flow").status == "failed"
        harness.pass_time(10)
        harness.execute()

        assert waiting.result() == "pen"

    def test_key_values_are_shared_and_not_recorded(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            step.do("inside", lambda: step.kv.set("n", (step.kv.get("n") or 0) + 1))
            step.sleep(1)
            return step.kv.get("n")

        harness.start(flow)
        harness.there.kv.set("n", 10)
        harness.execute()
        harness.there.kv.set("n", 20, version=2)
        harness.pass_time(1)

        assert harness.value == 20
        with pytest.raises(Conflict, match="expected version 1, but it has version 3"):
            harness.there.kv.set("n", 1, version=1)
        assert harness.there.kv.delete("n")
        with pytest.raises(Conflict, match="expected version 9, but there is none"):
            harness.there.kv.set("n", 1, version=9)
        harness.there.kv.set("n", 1, expires_in=5)
        harness.clock.advance(timedelta(seconds=5))
        assert (harness.there.kv.get("n", "gone"), harness.there.kv.list()) == ("gone", [])
        wrong: list[dict[str, Any]] = [{"expires_in": 0}, {"version": -1}, {"expires_in": "x"}]
        for bad in wrong:
            with pytest.raises(InvalidInput):
                harness.there.kv.set("n", 1, **bad)


def test_logger_and_app(caplog: pytest.LogCaptureFixture) -> None:
    harness = WorkflowHarness(app={"the": "app"})

    def flow(step: StepContext) -> Any:
        step.logger.warning("here")
        return step.app

    harness.go(flow)

    assert harness.value == {"the": "app"}
    (record,) = (r for r in caplog.records if "here" in r.message)
    fields = vars(record)
    assert (fields["run_id"], fields["step_id"], fields["attempt"]) == (harness.run_id, "flow", 1)
    harness.close()
