"""Sleeps, messages, approvals and values: no slot while they last, and recorded when over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import (
    Checkpoint,
    Conflict,
    InvalidInput,
    NotFound,
    Permanent,
    RefusedByState,
    Retry,
    StepContext,
)
from stepwell import WaitTimeout as TimedOut
from tests.engine.durable.lab import Lab, Memory


def _die(*_: object) -> None:
    raise ConnectionError


class Order(BaseModel):
    item: str


class TestSleep:
    def test_until_its_time_and_not_twice(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            step.sleep(timedelta(hours=1))
            lab.note("awake")
            step.sleep(60)

        assert lab.go(flow).status == "waiting"
        assert lab.pass_time(3_599).status == "waiting"
        assert lab.ran["awake"] == 0
        lab.pass_time(1)
        assert (lab.ran["awake"], lab.step.status) == (1, "waiting")
        lab.pass_time(60)
        assert lab.step.status == "succeeded"
        assert list(lab.operations) == ["sleep", "sleep#2"]

    def test_only_what_is_left_after_a_crash(self, lab: Lab) -> None:
        # given: an execution that slept, and one that dies as soon as it is awake
        def flow(step: StepContext) -> None:
            step.sleep(100)
            if lab.note("awake") or lab.ran["awake"] == 1:
                raise ConnectionError
            step.sleep(50)

        lab.start(flow, retry=Retry(max_attempts=2, initial=10, jitter=0))
        lab.execute()
        lab.pass_time(100)

        # when: it is tried again
        assert lab.step.status == "ready"
        lab.pass_time(10)

        # then: the first sleep is over, the second one lasts as long as it should
        assert (lab.ran["awake"], lab.step.status) == (2, "waiting")
        assert lab.pass_time(49).status == "waiting"
        assert lab.pass_time(1).status == "succeeded"

    def test_released_early_it_sleeps_on(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            step.sleep(100)

        lab.go(flow)
        lab.clock.advance(timedelta(seconds=40))
        lab.there.pause_run(lab.run_id)
        lab.clock.advance(timedelta(days=1))
        assert lab.execute().status == "waiting"
        lab.there.resume_run(lab.run_id)

        assert lab.pass_time(59).status == "waiting"
        assert lab.pass_time(1).status == "succeeded"

    def test_until_an_aware_time(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            step.sleep(until=datetime(2030, 1, 2, tzinfo=UTC))
            step.sleep(until=datetime(2020, 1, 1, tzinfo=UTC))

        assert lab.go(flow).status == "waiting"
        assert lab.pass_time(86_399).status == "waiting"
        assert lab.pass_time(1).status == "succeeded"

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, "needs either seconds or until="),
            ({"seconds": 1, "until": datetime(2030, 1, 1, tzinfo=UTC)}, "needs either"),
            ({"seconds": -1}, "from 0 to 36600 days, got -1"),
            ({"seconds": "1"}, "must be a timedelta or seconds"),
            ({"seconds": float("nan")}, "must be a timedelta or seconds"),
            ({"seconds": True}, "must be a timedelta or seconds"),
            ({"until": datetime(2030, 1, 1)}, "needs a zone, got the naive 2030-01-01"),  # noqa: DTZ001
            ({"until": 3}, "must be an aware datetime, got 3"),
        ],
    )
    def test_bad_times(self, lab: Lab, options: dict[str, Any], expected: str) -> None:
        lab.go(lambda step: step.sleep(**options))

        assert lab.error.startswith("invalid_input: step.sleep")
        assert expected in lab.error

    def test_a_body_cannot_swallow_it(self, lab: Lab) -> None:
        def flow(step: StepContext) -> str:
            try:
                step.sleep(10)
            except BaseException:
                lab.note("swallowed")
            try:
                step.do("x", lab.note, "x")
            except BaseException:
                raise ValueError from None
            return "done"

        assert lab.go(flow).status == "waiting"
        assert lab.ran == {"swallowed": 1}
        lab.pass_time(10)
        assert (lab.value, lab.ran["x"]) == ("done", 1)


class TestMessages:
    def test_first_in_first_out_also_sent_before(self, lab: Lab) -> None:
        def flow(step: StepContext) -> list[Any]:
            return [step.receive("t", Order).item, step.receive("t"), step.receive("other")]

        lab.start(flow)
        lab.there.send(lab.run_id, "t", Order(item="pen"))
        assert lab.execute().status == "waiting"
        lab.there.send(lab.run_id, "other", 3)
        assert lab.execute().status == "waiting"
        assert lab.there.send(lab.run_id, "t", "ink", key="k")
        assert not lab.there.send(lab.run_id, "t", "twice", key="k")
        lab.execute()

        assert lab.value == ["pen", "ink", 3]
        assert [m.received_by for m in lab.there.messages(lab.run_id)] == ["flow"] * 3

    def test_one_that_does_not_fit_is_refused_and_a_retry_gets_the_next(self, lab: Lab) -> None:
        def flow(step: StepContext) -> str:
            return step.receive("t", Order).item

        lab.start(flow, retry=Retry(max_attempts=5))
        for payload in ({"thing": 1}, 7, {"item": "pen"}):
            lab.there.send(lab.run_id, "t", payload)

        # then: each bad one fails the step at once, whatever its policy, and is asked for once
        assert lab.execute().status == "failed"
        assert lab.error == "message_refused: message 1 on topic 't': item: field required"
        assert [m.refused for m in lab.there.messages(lab.run_id)] == [True, False, False]
        lab.there.retry_step(lab.run_id, "flow")
        assert lab.execute().status == "failed"
        assert lab.error.startswith("message_refused: message 2 on topic 't': input should be")
        lab.there.retry_step(lab.run_id, "flow")
        lab.execute()

        assert lab.value == "pen"
        assert [m.refused for m in lab.there.messages(lab.run_id)] == [True, True, False]

    def test_after_a_refusal_it_waits_for_the_next(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            return step.receive("t", int, timeout=100, default="none")

        lab.start(flow)
        lab.there.send(lab.run_id, "t", "seven")
        assert lab.execute().status == "failed"
        lab.there.retry_step(lab.run_id, "flow")

        assert lab.execute().status == "waiting"
        assert lab.pass_time(99).status == "waiting"
        lab.there.send(lab.run_id, "t", 7)
        lab.execute()

        assert lab.value == 7

    def test_a_refusal_the_store_did_not_hear_of_is_told_again(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # given: an execution that recorded the refusal, and died before the store was told
        lab.start(lambda step: step.receive("t", int), retry=Retry(initial=10, jitter=0))
        lab.there.send(lab.run_id, "t", "seven")
        with monkeypatch.context() as patched:
            patched.setattr(type(lab.there._store), "refuse", _die)
            assert lab.execute().status == "ready"
        assert [m.refused for m in lab.there.messages(lab.run_id)] == [False]

        # when: it goes on
        lab.pass_time(10)

        # then: it fails for the same reason, and the message is refused
        assert lab.error.startswith("message_refused: message 1 on topic 't': input should be")
        assert [m.refused for m in lab.there.messages(lab.run_id)] == [True]

    def test_a_body_that_catches_a_refusal_goes_on_the_same_way_on_replay(self, lab: Lab) -> None:
        def flow(step: StepContext) -> int:
            for _ in range(3):
                try:
                    return step.receive("t", int)
                except Permanent as error:
                    step.do("complain", lab.note, str(error))
            return 0

        lab.start(flow)
        lab.there.send(lab.run_id, "t", "seven")
        assert lab.execute().status == "waiting"
        lab.there.send(lab.run_id, "t", "eight")
        assert lab.execute().status == "waiting"
        lab.there.send(lab.run_id, "t", 9)
        lab.execute()

        assert lab.value == 9
        assert list(lab.ran.values()) == [1, 1]
        assert [m.refused for m in lab.there.messages(lab.run_id)] == [True, True, False]

    def test_timeout_gives_the_default_for_good(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            value = step.receive("t", timeout=10, default="none")
            step.do("x", lab.note, "x")
            step.sleep(1)
            return value

        lab.go(flow)
        assert lab.pass_time(9).status == "waiting"
        lab.pass_time(1)
        lab.there.send(lab.run_id, "t", "late")
        lab.pass_time(1)

        assert lab.value == "none"

    def test_timeout_without_a_default(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            try:
                step.receive("t", timeout=10)
            except TimedOut:
                lab.note("caught")
            step.sleep(1)
            step.receive("u", timeout=0)

        lab.go(flow)
        lab.pass_time(10)
        lab.pass_time(1)

        assert lab.ran["caught"] == 2
        assert lab.error == "wait_timeout: no message came on topic 'u' in time"
        assert lab.operations["receive#2"].open

    def test_a_timeout_that_ended_the_attempt_is_waited_for_anew(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            return step.receive("t", timeout=10)

        lab.go(flow)
        assert lab.pass_time(10).status == "failed"
        lab.there.retry_step(lab.run_id, "flow")
        assert lab.execute().status == "waiting"
        assert lab.pass_time(9).status == "waiting"
        lab.there.send(lab.run_id, "t", "now")
        lab.execute()

        assert lab.value == "now"

    def test_one_that_is_not_of_its_type(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            step.receive("t", Order)

        lab.start(flow)
        lab.there.send(lab.run_id, "t", {"item": 3})
        lab.execute()

        assert lab.error.startswith("message_refused: message 1 on topic 't': item: ")

    def test_sent_by_a_step_once_however_often_it_runs(self, lab: Lab) -> None:
        def flow(step: StepContext) -> list[Any]:
            step.send(step.run.id, "t", 1)
            step.send(step.run.id, "t", 2)
            first = step.receive("t")
            step.sleep(1)
            return [first, step.receive("t"), step.receive("t", timeout=0, default="none")]

        lab.go(flow)
        lab.execute()
        lab.pass_time(1)

        assert lab.value == [1, 2, "none"]
        assert len(lab.there.messages(lab.run_id, "t")) == 2

    def test_what_earlier_executions_sent_is_not_sent_again(self, lab: Lab) -> None:
        # given: a step that sends before each of its waits, to a run that ends in between
        sent: list[int] = []

        def flow(step: StepContext, to: str) -> None:
            if to == "":
                step.receive("never")
            for number in range(3):
                step.send(to, "t", number)
                step.send(to, "t", number, key=f"key {number}")
                step.sleep(1)
            step.do("x", lab.note, "x")

        lab.start(flow, "")
        other, run = lab.handle, lab.there.start_run("lab", lab.run_id)
        assert other is not None
        exchange = lab.there._store.exchange

        def count(settle: Any, claim: Any) -> Any:
            sent.extend(
                len(outcome.messages) for outcome in settle if outcome.step.run.id == run.id
            )
            return exchange(settle, claim)

        # when
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab.there._store, "exchange", count)
            lab.execute()
            lab.execute()
            lab.pass_time(1)
            other.cancel()
            lab.pass_time(1)
            lab.pass_time(1)

        # then: each was handed over once, and only what came too late was dropped
        assert (run.status(), sent) == ("succeeded", [2, 2, 2, 0])
        assert [m.payload for m in lab.there.messages(other.id)] == [0, 0, 1, 1]
        dropped = [e for e in lab.there.events(run.id) if e.type == "message.dropped"]
        assert len(dropped) == 2

    def test_others_than_before_are_not_lost(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            lab.note("begun")
            if lab.ran["begun"] == 1:
                step.send(step.run.id, "first", 1)
            step.sleep(1)
            step.send(step.run.id, "second", 2)

        lab.go(flow)
        lab.pass_time(1)

        assert lab.step.status == "succeeded"
        assert [m.topic for m in lab.there.messages(lab.run_id)] == ["first", "second"]

    def test_bad_topics_and_runs(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            for call in (
                lambda: step.send("nowhere", "t", 1),
                lambda: step.send(step.run.id, "stepwell.x", 1),
                lambda: step.send(step.run.id, "t", {1: 2}),
                lambda: step.send(step.run.id, "t", 1, key="stepwell.approval:1:wait"),
                lambda: step.receive(""),
                lambda: step.receive("stepwell.approval:x"),
                lambda: step.receive("t", timeout=-1),
            ):
                with pytest.raises((InvalidInput, NotFound)) as error:
                    call()
                lab.note(str(error.value)[:40])

        assert lab.go(flow).status == "succeeded", lab.error
        assert len(lab.ran) == 7
        for run_id, topic, expected in (
            ("nowhere", "t", NotFound),
            (lab.run_id, "stepwell.x", InvalidInput),
            (lab.run_id, "t", RefusedByState),
        ):
            with pytest.raises(expected):
                lab.there.send(run_id, topic, 1)


class TestApprovals:
    def test_decided_with_who_and_why(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            first, second = step.wait_for_approval(), step.wait_for_approval(60)
            return [first.approved, first.comment, first.by, second.approved, first.at.isoformat()]

        assert lab.go(flow).status == "waiting"
        assert lab.there.approve(lab.run_id, by="ann", comment="good") == "flow"
        lab.execute()
        lab.there.reject(lab.run_id, "flow", by="bob")
        lab.execute()

        assert lab.value == [True, "good", "ann", False, "2030-01-01T00:00:00+00:00"]
        with pytest.raises((Conflict, RefusedByState)):
            lab.there.approve(lab.run_id)

    def test_too_late(self, lab: Lab) -> None:
        lab.go(lambda step: step.wait_for_approval(timeout=5))
        lab.pass_time(5)

        assert lab.error == "wait_timeout: nobody decided in time"
        with pytest.raises(RefusedByState):
            lab.there.approve(lab.run_id)


class TestValues:
    def test_set_once_for_each_operation_and_kept_with_history(self, lab: Lab) -> None:
        def flow(step: StepContext) -> list[Any]:
            missing = step.get_value(step.run.id, "state", "none")
            step.set_value("state", "begun")
            step.sleep(1)
            step.set_value("state", {"n": 2})
            return [missing, step.get_value(step.run.id, "state")]

        lab.go(flow)
        assert lab.there.get_value(lab.run_id, "state") == "begun"
        assert lab.there.get_value(lab.run_id, "other", 7) == 7
        lab.pass_time(1)

        assert lab.value == ["none", {"n": 2}]
        history = lab.there.value_history(lab.run_id, "state")
        assert [(e.number, e.value, e.step_id) for e in history] == [
            (1, "begun", "flow"),
            (2, {"n": 2}, "flow"),
        ]
        assert lab.there.wait_for_value(lab.run_id, "state") == {"n": 2}
        with pytest.raises(TimedOut):
            lab.there.wait_for_value(lab.run_id, "other", timeout=0)

    def test_another_value_than_the_one_set_before_a_crash(self) -> None:
        # given: an execution that sets a value, and dies before that is recorded
        class Forgetful(Memory):
            def save_checkpoint(self, checkpoint: Checkpoint) -> None:
                if lab.ran["begun"] > 1:
                    super().save_checkpoint(checkpoint)

        def flow(step: StepContext) -> None:
            lab.note("begun")
            step.set_value("state", lab.ran["begun"])
            if lab.ran["begun"] == 1:
                raise ConnectionError

        lab = Lab(checkpoints=Forgetful())
        lab.go(flow, retry=Retry(max_attempts=2, initial=0, jitter=0))
        lab.execute()

        assert lab.error.startswith("replay_mismatch: step.set_value('set_value'): ")
        assert "has set 'state' to 1 before, and the code sets 'state' to 2 now" in lab.error
        assert lab.there.get_value(lab.run_id, "state") == 1
        lab.close()

    def test_waited_for_by_another_run(self, lab: Lab) -> None:
        def flow(step: StepContext, of: str | None) -> Any:
            if of is None:
                step.sleep(10)
                step.set_value("order", {"item": "pen"})
                return None
            order = step.wait_for_value(of, "order", Order, timeout=60)
            return order.item

        lab.go(flow)
        waiting = lab.there.start_run("lab", lab.run_id)
        late = lab.there.start_run("lab", "nowhere")
        lab.execute()
        lab.execute()
        assert lab.there.step(waiting.id, "flow").status == "waiting"
        assert lab.there.step(late.id, "flow").status == "failed"
        lab.pass_time(10)
        lab.execute()

        assert waiting.result() == "pen"

    def test_key_values_are_shared_and_not_recorded(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            step.do("inside", lambda: step.kv.set("n", (step.kv.get("n") or 0) + 1))
            step.sleep(1)
            return step.kv.get("n")

        lab.start(flow)
        lab.there.kv.set("n", 10)
        lab.execute()
        lab.there.kv.set("n", 20, version=2)
        lab.pass_time(1)

        assert lab.value == 20
        with pytest.raises(Conflict, match="expected version 1, but it has version 3"):
            lab.there.kv.set("n", 1, version=1)
        assert lab.there.kv.delete("n")
        with pytest.raises(Conflict, match="expected version 9, but there is none"):
            lab.there.kv.set("n", 1, version=9)
        lab.there.kv.set("n", 1, expires_in=5)
        lab.clock.advance(timedelta(seconds=5))
        assert (lab.there.kv.get("n", "gone"), lab.there.kv.list()) == ("gone", [])
        wrong: list[dict[str, Any]] = [{"expires_in": 0}, {"version": -1}, {"expires_in": "x"}]
        for bad in wrong:
            with pytest.raises(InvalidInput):
                lab.there.kv.set("n", 1, **bad)


def test_logger_and_app(caplog: pytest.LogCaptureFixture) -> None:
    lab = Lab(app={"the": "app"})

    def flow(step: StepContext) -> Any:
        step.logger.warning("here")
        return step.app

    lab.go(flow)

    assert lab.value == {"the": "app"}
    (record,) = (r for r in caplog.records if "here" in r.message)
    fields = vars(record)
    assert (fields["run_id"], fields["step_id"], fields["attempt"]) == (lab.run_id, "flow", 1)
    lab.close()
