"""Messages to a waiting step: their order, refusals, timeouts, and what a step sends itself."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import (
    InvalidInput,
    NotFound,
    Permanent,
    RefusedByState,
    Retry,
    StepContext,
)
from stepwell import WaitTimeout as TimedOut
from tests.engine.durable.workflow_harness import WorkflowHarness


def _die(*_: object) -> None:
    raise ConnectionError


class Order(BaseModel):
    item: str


class TestMessages:
    def test_first_in_first_out_also_sent_before(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> list[Any]:
            return [step.receive("t", Order).item, step.receive("t"), step.receive("other")]

        harness.start(flow)
        harness.there.send(harness.run_id, "t", Order(item="pen"))
        assert harness.execute().status == "waiting"
        harness.there.send(harness.run_id, "other", 3)
        assert harness.execute().status == "waiting"
        assert harness.there.send(harness.run_id, "t", "ink", key="k")
        assert not harness.there.send(harness.run_id, "t", "twice", key="k")
        harness.execute()

        assert harness.value == ["pen", "ink", 3]
        assert [m.received_by for m in harness.there.messages(harness.run_id)] == ["flow"] * 3

    def test_one_that_does_not_fit_is_refused_and_a_retry_gets_the_next(
        self, harness: WorkflowHarness
    ) -> None:
        def flow(step: StepContext) -> str:
            return step.receive("t", Order).item

        harness.start(flow, retry=Retry(max_attempts=5))
        for payload in ({"thing": 1}, 7, {"item": "pen"}):
            harness.there.send(harness.run_id, "t", payload)

        # then: each bad one fails the step at once, whatever its policy, and is asked for once
        assert harness.execute().status == "failed"
        assert harness.error == "message_refused: message 1 on topic 't': item: field required"
        assert [m.refused for m in harness.there.messages(harness.run_id)] == [True, False, False]
        harness.there.retry_step(harness.run_id, "flow")
        assert harness.execute().status == "failed"
        assert harness.error.startswith("message_refused: message 2 on topic 't': input should be")
        harness.there.retry_step(harness.run_id, "flow")
        harness.execute()

        assert harness.value == "pen"
        assert [m.refused for m in harness.there.messages(harness.run_id)] == [True, True, False]

    def test_after_a_refusal_it_waits_for_the_next(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            return step.receive("t", int, timeout=100, default="none")

        harness.start(flow)
        harness.there.send(harness.run_id, "t", "seven")
        assert harness.execute().status == "failed"
        harness.there.retry_step(harness.run_id, "flow")

        assert harness.execute().status == "waiting"
        assert harness.pass_time(99).status == "waiting"
        harness.there.send(harness.run_id, "t", 7)
        harness.execute()

        assert harness.value == 7

    def test_a_refusal_the_store_did_not_hear_of_is_told_again(
        self, harness: WorkflowHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # given: an execution that recorded the refusal, and died before the store was told
        harness.start(lambda step: step.receive("t", int), retry=Retry(initial=10, jitter=0))
        harness.there.send(harness.run_id, "t", "seven")
        with monkeypatch.context() as patched:
            patched.setattr(type(harness.there.internals.store), "refuse", _die)
            assert harness.execute().status == "ready"
        assert [m.refused for m in harness.there.messages(harness.run_id)] == [False]

        # when: it goes on
        harness.pass_time(10)

        # then: it fails for the same reason, and the message is refused
        assert harness.error.startswith("message_refused: message 1 on topic 't': input should be")
        assert [m.refused for m in harness.there.messages(harness.run_id)] == [True]

    def test_a_body_that_catches_a_refusal_goes_on_the_same_way_on_replay(
        self, harness: WorkflowHarness
    ) -> None:
        def flow(step: StepContext) -> int:
            for _ in range(3):
                try:
                    return step.receive("t", int)
                except Permanent as error:
                    step.do("complain", harness.note, str(error))
            return 0

        harness.start(flow)
        harness.there.send(harness.run_id, "t", "seven")
        assert harness.execute().status == "waiting"
        harness.there.send(harness.run_id, "t", "eight")
        assert harness.execute().status == "waiting"
        harness.there.send(harness.run_id, "t", 9)
        harness.execute()

        assert harness.value == 9
        assert list(harness.ran.values()) == [1, 1]
        assert [m.refused for m in harness.there.messages(harness.run_id)] == [True, True, False]

    def test_timeout_gives_the_default_for_good(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            value = step.receive("t", timeout=10, default="none")
            step.do("x", harness.note, "x")
            step.sleep(1)
            return value

        harness.go(flow)
        assert harness.pass_time(9).status == "waiting"
        harness.pass_time(1)
        harness.there.send(harness.run_id, "t", "late")
        harness.pass_time(1)

        assert harness.value == "none"

    def test_timeout_without_a_default(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            try:
                step.receive("t", timeout=10)
            except TimedOut:
                harness.note("caught")
            step.sleep(1)
            step.receive("u", timeout=0)

        harness.go(flow)
        harness.pass_time(10)
        harness.pass_time(1)

        assert harness.ran["caught"] == 2
        assert harness.error == "wait_timeout: no message came on topic 'u' in time"
        assert harness.operations["receive#2"].open

    def test_a_timeout_that_ended_the_attempt_is_waited_for_anew(
        self, harness: WorkflowHarness
    ) -> None:
        def flow(step: StepContext) -> Any:
            return step.receive("t", timeout=10)

        harness.go(flow)
        assert harness.pass_time(10).status == "failed"
        harness.there.retry_step(harness.run_id, "flow")
        assert harness.execute().status == "waiting"
        assert harness.pass_time(9).status == "waiting"
        harness.there.send(harness.run_id, "t", "now")
        harness.execute()

        assert harness.value == "now"

    def test_one_that_is_not_of_its_type(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            step.receive("t", Order)

        harness.start(flow)
        harness.there.send(harness.run_id, "t", {"item": 3})
        harness.execute()

        assert harness.error.startswith("message_refused: message 1 on topic 't': item: ")

    def test_sent_by_a_step_once_however_often_it_runs(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> list[Any]:
            step.send(step.run.id, "t", 1)
            step.send(step.run.id, "t", 2)
            first = step.receive("t")
            step.sleep(1)
            return [first, step.receive("t"), step.receive("t", timeout=0, default="none")]

        harness.go(flow)
        harness.execute()
        harness.pass_time(1)

        assert harness.value == [1, 2, "none"]
        assert len(harness.there.messages(harness.run_id, "t")) == 2

    def test_what_earlier_executions_sent_is_not_sent_again(self, harness: WorkflowHarness) -> None:
        # given: a step that sends before each of its waits, to a run that ends in between
        sent: list[int] = []

        def flow(step: StepContext, to: str) -> None:
            if to == "":
                step.receive("never")
            for number in range(3):
                step.send(to, "t", number)
                step.send(to, "t", number, key=f"key {number}")
                step.sleep(1)
            step.do("x", harness.note, "x")

        harness.start(flow, "")
        other, run = harness.handle, harness.there.start_run("harness", harness.run_id)
        assert other is not None
        exchange = harness.there.internals.store.exchange

        def count(settle: Any, claim: Any) -> Any:
            sent.extend(
                len(outcome.messages) for outcome in settle if outcome.step.run.id == run.id
            )
            return exchange(settle, claim)

        # when
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(harness.there.internals.store, "exchange", count)
            harness.execute()
            harness.execute()
            harness.pass_time(1)
            other.cancel()
            harness.pass_time(1)
            harness.pass_time(1)

        # then: each was handed over once, and only what came too late was dropped
        assert (run.status(), sent) == ("succeeded", [2, 2, 2, 0])
        assert [m.payload for m in harness.there.messages(other.id)] == [0, 0, 1, 1]
        dropped = [e for e in harness.there.events(run.id) if e.type == "message.dropped"]
        assert len(dropped) == 2

    def test_others_than_before_are_not_lost(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            harness.note("begun")
            if harness.ran["begun"] == 1:
                step.send(step.run.id, "first", 1)
            step.sleep(1)
            step.send(step.run.id, "second", 2)

        harness.go(flow)
        harness.pass_time(1)

        assert harness.step.status == "succeeded"
        assert [m.topic for m in harness.there.messages(harness.run_id)] == ["first", "second"]

    def test_bad_topics_and_runs(self, harness: WorkflowHarness) -> None:
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
                harness.note(str(error.value)[:40])

        assert harness.go(flow).status == "succeeded", harness.error
        assert len(harness.ran) == 7
        for run_id, topic, expected in (
            ("nowhere", "t", NotFound),
            (harness.run_id, "stepwell.x", InvalidInput),
            (harness.run_id, "t", RefusedByState),
        ):
            with pytest.raises(expected):
                harness.there.send(run_id, topic, 1)
