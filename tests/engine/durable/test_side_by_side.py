"""Any of several waits, and all of them: one suspension, and the same answer on replay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import EventType, InvalidInput, NotFound, Permanent, Retry, StepContext, waits
from stepwell import WaitTimeout as TimedOut
from tests.engine.durable.workflow_harness import WorkflowHarness


class Reply(BaseModel):
    text: str


def waiting_events(harness: WorkflowHarness) -> int:
    return len(
        [e for e in harness.there.events(harness.run_id) if e.type is EventType.STEP_WAITING]
    )


def received(harness: WorkflowHarness) -> list[str | None]:
    return [message.received_by for message in harness.there.messages(harness.run_id)]


class TestAny:
    def test_first_one_answers_with_its_name_and_typed(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(
                reply=waits.Message("reply", Reply), late=waits.Sleep(timedelta(hours=1))
            )
            assert isinstance(answer.value, Reply)
            return answer.name, answer.index, answer.value.text

        assert harness.go(flow).status == "waiting"
        harness.there.send(harness.run_id, "reply", {"text": "yes"})

        harness.execute()

        assert harness.value == ["reply", 0, "yes"]
        assert (waiting_events(harness), list(harness.operations)) == (1, ["wait_any"])

    def test_time_answers_when_nothing_came(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(
                waits.Message("a"), waits.Message("b"), waits.Sleep(60), waits.Sleep(30)
            )
            return answer.index, answer.name, answer.value

        harness.go(flow)
        assert harness.pass_time(29).status == "waiting"

        harness.pass_time(1)

        assert harness.value == [3, None, None]

    @pytest.mark.parametrize("first", ["b", "a"])
    def test_what_came_first_counts_however_late_somebody_looks(
        self, harness: WorkflowHarness, first: str
    ) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(a=waits.Message("a"), time=waits.Sleep(60), b=waits.Message("b"))
            return answer.name, answer.value, step.receive("b" if first == "a" else "a")

        harness.go(flow)
        for topic in (first, "b" if first == "a" else "a"):
            harness.clock.advance(timedelta(seconds=1))
            harness.there.send(harness.run_id, topic, topic * 2)

        harness.pass_time(1_000)

        other = "b" if first == "a" else "a"
        assert harness.value == [first, first * 2, other * 2]

    def test_time_that_was_over_first_counts_however_late_somebody_looks(
        self, harness: WorkflowHarness
    ) -> None:
        def flow(step: StepContext) -> Any:
            return step.wait_any(a=waits.Message("a"), time=waits.Sleep(60)).name

        harness.go(flow)
        harness.clock.advance(timedelta(seconds=61))
        harness.there.send(harness.run_id, "a", 1)

        harness.execute()

        assert harness.value == "time"
        assert received(harness) == [None]

    def test_answer_is_the_same_on_replay(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            first = step.wait_any(a=waits.Message("a"), b=waits.Message("b")).name
            step.sleep(10)
            harness.note("executed")
            return first, step.wait_any(a=waits.Message("a"), b=waits.Message("b")).name

        harness.go(flow)
        harness.there.send(harness.run_id, "b", 1)
        harness.execute()
        harness.there.send(harness.run_id, "a", 2)

        harness.pass_time(10)

        assert harness.value == ["b", "a"]
        assert [operation.kind for operation in harness.operations.values()] == [
            "any",
            "sleep",
            "any",
        ]

    def test_other_waits_than_the_recorded_ones_are_a_mismatch(
        self, harness: WorkflowHarness
    ) -> None:
        def flow(step: StepContext) -> None:
            step.wait_any(a=waits.Message("a"), b=waits.Message("b"))
            step.sleep(10)

        def changed(step: StepContext) -> None:
            step.wait_any(a=waits.Message("a"), c=waits.Message("c"))
            step.sleep(10)

        harness.start(flow)
        harness.there.send(harness.run_id, "a", 1)
        harness.execute()
        harness.replace(changed)

        harness.pass_time(10)

        assert harness.error.startswith("replay_mismatch: step.wait_any('wait_any')")

    def test_decision_among_others(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(ok=waits.Approval(), stop=waits.Message("stop"))
            return answer.name, answer.value.approved, answer.value.by

        harness.go(flow)
        harness.there.approve(harness.run_id, by="ann")

        harness.execute()

        assert harness.value == ["ok", True, "ann"]

    def test_end_of_a_run_of_its_own_start(self, harness: WorkflowHarness) -> None:
        def start(what: str) -> str:
            return harness.there.start_run("harness", what).id

        def flow(step: StepContext, what: str | None = None) -> Any:
            if what == "child":
                return {"text": step.receive("go")}
            if what == "broken":
                raise Permanent("broken", "no")
            ended = []
            for other in ("child", "broken"):
                run_id = step.do(f"start {other}", start, other)
                answer = step.wait_any(waits.RunEnd(run_id, Reply), waits.Sleep(1_000))
                ended.append(answer.value)
            good, bad = ended
            assert isinstance(good, waits.Ended)
            assert isinstance(bad, waits.Ended)
            assert isinstance(good.result, Reply)
            assert bad.error is not None
            return good.status, good.result.text, bad.status, bad.result, bad.error.code

        harness.go(flow)
        harness.execute()
        (child,) = [run for run in harness.there.runs() if run.id != harness.run_id][-1:]
        harness.there.send(child.id, "go", "done")
        for _ in range(6):
            harness.execute()

        assert harness.value == ["succeeded", "done", "failed", None, "broken"]

    def test_value_of_another_run(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext, sets: bool | None = None) -> Any:
            if sets:
                step.set_value("k", "v")
                return None
            other = step.variables.setdefault("other", harness.there.start_run("harness", True).id)
            return step.wait_any(waits.Value(other, "k", str), waits.Message("a")).value

        harness.go(flow)
        harness.execute()
        harness.execute()

        assert harness.value == "v"

    def test_payload_that_does_not_fit_is_refused_and_the_next_one_taken(
        self, harness: WorkflowHarness
    ) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(a=waits.Message("a", Reply), b=waits.Message("b"))
            return answer.name, answer.value.text

        harness.go(flow)
        harness.there.send(harness.run_id, "a", 1)
        harness.execute()
        assert harness.error.startswith("message_refused: message 1 on topic 'a'")
        harness.there.retry_run(harness.run_id)
        assert harness.execute().status == "waiting"
        harness.there.send(harness.run_id, "a", {"text": "good"})
        harness.execute()

        assert harness.value == ["a", "good"]

    def test_message_taken_by_an_execution_that_died_is_the_answer(
        self, harness: WorkflowHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def flow(step: StepContext) -> Any:
            return step.wait_any(a=waits.Message("a"), b=waits.Message("b")).name

        harness.start(flow, retry=Retry(max_attempts=2, initial=0))
        store: Any = harness.there.internals.store
        take = store.take

        def take_and_die(*arguments: Any) -> bool:
            monkeypatch.undo()
            take(*arguments)
            raise ConnectionError

        monkeypatch.setattr(store, "take", take_and_die)
        harness.there.send(harness.run_id, "b", 1)
        harness.execute()
        harness.execute()

        assert harness.value == "b"
        assert received(harness) == ["flow"]


class TestAll:
    def test_values_in_order_once_all_have_come(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            reply, nothing, number = step.wait_all(
                waits.Message("reply", Reply), waits.Sleep(10), waits.Message("number", int)
            )
            return reply.text, nothing, number

        harness.go(flow)
        harness.there.send(harness.run_id, "number", 7)
        assert harness.pass_time(10).status == "waiting"
        assert received(harness) == [None]
        harness.there.send(harness.run_id, "reply", {"text": "yes"})

        harness.execute()

        assert (harness.value, waiting_events(harness)) == (["yes", None, 7], 1)

    def test_by_name(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            return step.wait_all(a=waits.Message("a"), b=waits.Message("b"))

        harness.start(flow)
        for topic in ("b", "a"):
            harness.there.send(harness.run_id, topic, topic)
        harness.execute()

        assert (harness.value, waiting_events(harness)) == ({"a": "a", "b": "b"}, 0)

    def test_three_sleeps_take_as_long_as_the_longest(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            return step.wait_all(*(waits.Sleep(seconds) for seconds in (10, 30, 20)))

        harness.go(flow)
        assert harness.pass_time(29).status == "waiting"
        harness.pass_time(1)

        assert (harness.value, waiting_events(harness)) == ([None, None, None], 1)

    def test_nothing_is_taken_when_the_time_is_up(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            try:
                step.wait_all(waits.Message("a"), waits.Message("b"), timeout=60)
            except TimedOut as error:
                return str(error), step.receive("a")

        harness.go(flow)
        harness.there.send(harness.run_id, "a", 1)
        harness.pass_time(60)

        assert harness.value == [
            "step.wait_all('wait_all'): not all of its waits were over in time",
            1,
        ]

    def test_misfit_leaves_the_others(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            try:
                step.wait_all(waits.Message("a"), waits.Message("b", Reply))
            except Permanent:
                return step.receive("a")

        harness.start(flow)
        for topic in ("a", "b"):
            harness.there.send(harness.run_id, topic, topic)
        harness.execute()

        assert harness.value == "a"
        assert [m.refused for m in harness.there.messages(harness.run_id)] == [False, True]


class TestTimes:
    @pytest.mark.parametrize("call", ["wait_any", "wait_all"])
    def test_time_that_is_up_may_be_caught_or_waited_for_again(
        self, harness: WorkflowHarness, call: str
    ) -> None:
        def flow(step: StepContext) -> Any:
            wait: Any = getattr(step, call)
            return wait(waits.Message("a"), waits.Message("b"), timeout=60) and "came"

        harness.start(flow, retry=Retry(max_attempts=2, initial=0))
        harness.execute()
        harness.pass_time(60)
        harness.execute()
        assert harness.step.status == "waiting"

        harness.pass_time(59)
        for topic in ("a", "b"):
            harness.there.send(harness.run_id, topic, 1)
        harness.execute()

        assert harness.value == "came"

    def test_rest_of_the_time_stands_still_in_a_pause(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(a=waits.Message("a"), b=waits.Message("b"), c=waits.Sleep(60))
            return answer.name

        harness.go(flow)
        harness.pass_time(40)
        harness.there.pause_run(harness.run_id)
        harness.pass_time(10_000)
        harness.there.resume_run(harness.run_id)
        assert harness.pass_time(19).status == "waiting"

        harness.pass_time(1)

        assert harness.value == "c"

    def test_after_a_crash_only_what_is_left_is_waited_for(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> Any:
            waited = step.wait_all(waits.Sleep(100), waits.Message("a"), timeout=150)
            if harness.note("awake") or harness.ran["awake"] == 1:
                raise ConnectionError
            return waited

        harness.start(flow, retry=Retry(max_attempts=2, initial=1, jitter=0))
        harness.execute()
        harness.there.send(harness.run_id, "a", 1)
        harness.pass_time(100)
        assert harness.ran["awake"] == 1
        harness.pass_time(1)

        assert harness.value == [None, 1]


def test_other_step_may_take_a_message_first(harness: WorkflowHarness) -> None:
    def flow(step: StepContext) -> Any:
        return step.wait_all(waits.Message("a"), waits.Message("b"))

    harness.go(flow)
    harness.there.send(harness.run_id, "a", 1)
    message = harness.there.messages(harness.run_id)[0]
    store: Any = harness.there.internals.store
    store.database.write(
        lambda tx: tx.cursor.execute("DELETE FROM messages WHERE id = ?", (message.id,))
    )

    harness.there.send(harness.run_id, "b", 2)
    assert harness.execute().status == "waiting"
    harness.there.send(harness.run_id, "a", 3)
    harness.execute()

    assert harness.value == [3, 2]


class TestRefused:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda step: step.wait_any(), r"step.wait_any: takes 1 to 100 waits, got 0"),
            (
                lambda step: step.wait_any(*[waits.Sleep(1)] * 101),
                r"takes 1 to 100 waits, got 101",
            ),
            (
                lambda step: step.wait_any(waits.Sleep(1), b=waits.Sleep(1)),
                r"name all of its waits or none",
            ),
            (lambda step: step.wait_any(a=5), r"step.wait_any\(a\): must be a description of a"),
            (lambda step: step.wait_all(waits.Sleep()), r"wait_all\(0\): needs either seconds"),
            (
                lambda step: step.wait_all(waits.Sleep(-1)),
                r"wait_all\(0\): must be a duration",
            ),
            (lambda step: step.wait_all(waits.Message("stepwell.x")), r"begins with 'stepwell.'"),
            (
                lambda step: step.wait_all(waits.Message("a"), waits.Message("a")),
                r"step.wait_all\(1\): another one waits for a message on topic 'a' already",
            ),
            (
                lambda step: step.wait_all(waits.Approval(), waits.Approval()),
                r"another one waits for a decision already",
            ),
            (
                lambda step: step.wait_any(waits.RunEnd(step.run.id)),
                r"a run cannot wait for its own end",
            ),
            (lambda step: step.wait_any(waits.Sleep(1), timeout=-1), r"wait_any.timeout: must be"),
        ],
    )
    def test_what_cannot_be_waited_for(
        self, harness: WorkflowHarness, call: Any, message: str
    ) -> None:
        def flow(step: StepContext) -> None:
            with pytest.raises(InvalidInput, match=message):
                call(step)

        harness.go(flow)

        assert harness.value is None

    def test_run_that_is_not_there(self, harness: WorkflowHarness) -> None:
        def flow(step: StepContext) -> None:
            for wait in (waits.RunEnd("gone"), waits.Value("gone", "k")):
                with pytest.raises(NotFound, match="gone"):
                    step.wait_any(waits.Message("a"), wait)

        harness.go(flow)

        assert harness.value is None
