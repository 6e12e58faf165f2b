"""Any of several waits, and all of them: one suspension, and the same answer on replay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import EventType, InvalidInput, NotFound, Permanent, Retry, StepContext, waits
from stepwell import WaitTimeout as TimedOut
from tests.engine.durable.lab import Lab


class Reply(BaseModel):
    text: str


def waiting_events(lab: Lab) -> int:
    return len([e for e in lab.there.events(lab.run_id) if e.type is EventType.STEP_WAITING])


def received(lab: Lab) -> list[str | None]:
    return [message.received_by for message in lab.there.messages(lab.run_id)]


class TestAny:
    def test_first_one_answers_with_its_name_and_typed(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(
                reply=waits.Message("reply", Reply), late=waits.Sleep(timedelta(hours=1))
            )
            assert isinstance(answer.value, Reply)
            return answer.name, answer.index, answer.value.text

        assert lab.go(flow).status == "waiting"
        lab.there.send(lab.run_id, "reply", {"text": "yes"})

        lab.execute()

        assert lab.value == ["reply", 0, "yes"]
        assert (waiting_events(lab), list(lab.operations)) == (1, ["wait_any"])

    def test_time_answers_when_nothing_came(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(
                waits.Message("a"), waits.Message("b"), waits.Sleep(60), waits.Sleep(30)
            )
            return answer.index, answer.name, answer.value

        lab.go(flow)
        assert lab.pass_time(29).status == "waiting"

        lab.pass_time(1)

        assert lab.value == [3, None, None]

    @pytest.mark.parametrize("first", ["b", "a"])
    def test_what_came_first_counts_however_late_somebody_looks(self, lab: Lab, first: str) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(a=waits.Message("a"), time=waits.Sleep(60), b=waits.Message("b"))
            return answer.name, answer.value, step.receive("b" if first == "a" else "a")

        lab.go(flow)
        for topic in (first, "b" if first == "a" else "a"):
            lab.clock.advance(timedelta(seconds=1))
            lab.there.send(lab.run_id, topic, topic * 2)

        lab.pass_time(1_000)

        other = "b" if first == "a" else "a"
        assert lab.value == [first, first * 2, other * 2]

    def test_time_that_was_over_first_counts_however_late_somebody_looks(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            return step.wait_any(a=waits.Message("a"), time=waits.Sleep(60)).name

        lab.go(flow)
        lab.clock.advance(timedelta(seconds=61))
        lab.there.send(lab.run_id, "a", 1)

        lab.execute()

        assert lab.value == "time"
        assert received(lab) == [None]

    def test_answer_is_the_same_on_replay(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            first = step.wait_any(a=waits.Message("a"), b=waits.Message("b")).name
            step.sleep(10)
            lab.note("executed")
            return first, step.wait_any(a=waits.Message("a"), b=waits.Message("b")).name

        lab.go(flow)
        lab.there.send(lab.run_id, "b", 1)
        lab.execute()
        lab.there.send(lab.run_id, "a", 2)

        lab.pass_time(10)

        assert lab.value == ["b", "a"]
        assert [operation.kind for operation in lab.operations.values()] == ["any", "sleep", "any"]

    def test_other_waits_than_the_recorded_ones_are_a_mismatch(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            step.wait_any(a=waits.Message("a"), b=waits.Message("b"))
            step.sleep(10)

        def changed(step: StepContext) -> None:
            step.wait_any(a=waits.Message("a"), c=waits.Message("c"))
            step.sleep(10)

        lab.start(flow)
        lab.there.send(lab.run_id, "a", 1)
        lab.execute()
        lab.replace(changed)

        lab.pass_time(10)

        assert lab.error.startswith("replay_mismatch: step.wait_any('wait_any')")

    def test_decision_among_others(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(ok=waits.Approval(), stop=waits.Message("stop"))
            return answer.name, answer.value.approved, answer.value.by

        lab.go(flow)
        lab.there.approve(lab.run_id, by="ann")

        lab.execute()

        assert lab.value == ["ok", True, "ann"]

    def test_end_of_a_run_of_its_own_start(self, lab: Lab) -> None:
        def start(what: str) -> str:
            return lab.there.start_run("lab", what).id

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

        lab.go(flow)
        lab.execute()
        (child,) = [run for run in lab.there.runs() if run.id != lab.run_id][-1:]
        lab.there.send(child.id, "go", "done")
        for _ in range(6):
            lab.execute()

        assert lab.value == ["succeeded", "done", "failed", None, "broken"]

    def test_value_of_another_run(self, lab: Lab) -> None:
        def flow(step: StepContext, sets: bool | None = None) -> Any:
            if sets:
                step.set_value("k", "v")
                return None
            other = step.variables.setdefault("other", lab.there.start_run("lab", True).id)
            return step.wait_any(waits.Value(other, "k", str), waits.Message("a")).value

        lab.go(flow)
        lab.execute()
        lab.execute()

        assert lab.value == "v"

    def test_payload_that_does_not_fit_is_refused_and_the_next_one_taken(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(a=waits.Message("a", Reply), b=waits.Message("b"))
            return answer.name, answer.value.text

        lab.go(flow)
        lab.there.send(lab.run_id, "a", 1)
        lab.execute()
        assert lab.error.startswith("message_refused: message 1 on topic 'a'")
        lab.there.retry_run(lab.run_id)
        assert lab.execute().status == "waiting"
        lab.there.send(lab.run_id, "a", {"text": "good"})
        lab.execute()

        assert lab.value == ["a", "good"]

    def test_message_taken_by_an_execution_that_died_is_the_answer(
        self, lab: Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def flow(step: StepContext) -> Any:
            return step.wait_any(a=waits.Message("a"), b=waits.Message("b")).name

        lab.start(flow, retry=Retry(max_attempts=2, initial=0))
        store: Any = lab.there._store
        take = store.take

        def take_and_die(*arguments: Any) -> bool:
            monkeypatch.undo()
            take(*arguments)
            raise ConnectionError

        monkeypatch.setattr(store, "take", take_and_die)
        lab.there.send(lab.run_id, "b", 1)
        lab.execute()
        lab.execute()

        assert lab.value == "b"
        assert received(lab) == ["flow"]


class TestAll:
    def test_values_in_order_once_all_have_come(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            reply, nothing, number = step.wait_all(
                waits.Message("reply", Reply), waits.Sleep(10), waits.Message("number", int)
            )
            return reply.text, nothing, number

        lab.go(flow)
        lab.there.send(lab.run_id, "number", 7)
        assert lab.pass_time(10).status == "waiting"
        assert received(lab) == [None]
        lab.there.send(lab.run_id, "reply", {"text": "yes"})

        lab.execute()

        assert (lab.value, waiting_events(lab)) == (["yes", None, 7], 1)

    def test_by_name(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            return step.wait_all(a=waits.Message("a"), b=waits.Message("b"))

        lab.start(flow)
        for topic in ("b", "a"):
            lab.there.send(lab.run_id, topic, topic)
        lab.execute()

        assert (lab.value, waiting_events(lab)) == ({"a": "a", "b": "b"}, 0)

    def test_three_sleeps_take_as_long_as_the_longest(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            return step.wait_all(*(waits.Sleep(seconds) for seconds in (10, 30, 20)))

        lab.go(flow)
        assert lab.pass_time(29).status == "waiting"
        lab.pass_time(1)

        assert (lab.value, waiting_events(lab)) == ([None, None, None], 1)

    def test_nothing_is_taken_when_the_time_is_up(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            try:
                step.wait_all(waits.Message("a"), waits.Message("b"), timeout=60)
            except TimedOut as error:
                return str(error), step.receive("a")

        lab.go(flow)
        lab.there.send(lab.run_id, "a", 1)
        lab.pass_time(60)

        assert lab.value == [
            "step.wait_all('wait_all'): not all of its waits were over in time",
            1,
        ]

    def test_misfit_leaves_the_others(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            try:
                step.wait_all(waits.Message("a"), waits.Message("b", Reply))
            except Permanent:
                return step.receive("a")

        lab.start(flow)
        for topic in ("a", "b"):
            lab.there.send(lab.run_id, topic, topic)
        lab.execute()

        assert lab.value == "a"
        assert [m.refused for m in lab.there.messages(lab.run_id)] == [False, True]


class TestTimes:
    @pytest.mark.parametrize("call", ["wait_any", "wait_all"])
    def test_time_that_is_up_may_be_caught_or_waited_for_again(self, lab: Lab, call: str) -> None:
        def flow(step: StepContext) -> Any:
            wait: Any = getattr(step, call)
            return wait(waits.Message("a"), waits.Message("b"), timeout=60) and "came"

        lab.start(flow, retry=Retry(max_attempts=2, initial=0))
        lab.execute()
        lab.pass_time(60)
        lab.execute()
        assert lab.step.status == "waiting"

        lab.pass_time(59)
        for topic in ("a", "b"):
            lab.there.send(lab.run_id, topic, 1)
        lab.execute()

        assert lab.value == "came"

    def test_rest_of_the_time_stands_still_in_a_pause(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            answer = step.wait_any(a=waits.Message("a"), b=waits.Message("b"), c=waits.Sleep(60))
            return answer.name

        lab.go(flow)
        lab.pass_time(40)
        lab.there.pause_run(lab.run_id)
        lab.pass_time(10_000)
        lab.there.resume_run(lab.run_id)
        assert lab.pass_time(19).status == "waiting"

        lab.pass_time(1)

        assert lab.value == "c"

    def test_after_a_crash_only_what_is_left_is_waited_for(self, lab: Lab) -> None:
        def flow(step: StepContext) -> Any:
            waited = step.wait_all(waits.Sleep(100), waits.Message("a"), timeout=150)
            if lab.note("awake") or lab.ran["awake"] == 1:
                raise ConnectionError
            return waited

        lab.start(flow, retry=Retry(max_attempts=2, initial=1, jitter=0))
        lab.execute()
        lab.there.send(lab.run_id, "a", 1)
        lab.pass_time(100)
        assert lab.ran["awake"] == 1
        lab.pass_time(1)

        assert lab.value == [None, 1]


def test_other_step_may_take_a_message_first(lab: Lab) -> None:
    def flow(step: StepContext) -> Any:
        return step.wait_all(waits.Message("a"), waits.Message("b"))

    lab.go(flow)
    lab.there.send(lab.run_id, "a", 1)
    message = lab.there.messages(lab.run_id)[0]
    store: Any = lab.there._store
    store.database.write(
        lambda tx: tx.cursor.execute("DELETE FROM messages WHERE id = ?", (message.id,))
    )

    lab.there.send(lab.run_id, "b", 2)
    assert lab.execute().status == "waiting"
    lab.there.send(lab.run_id, "a", 3)
    lab.execute()

    assert lab.value == [3, 2]


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
            (lambda step: step.wait_all(waits.Sleep(-1)), r"step.wait_all\(0\): must be a timed"),
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
    def test_what_cannot_be_waited_for(self, lab: Lab, call: Any, message: str) -> None:
        def flow(step: StepContext) -> None:
            with pytest.raises(InvalidInput, match=message):
                call(step)

        lab.go(flow)

        assert lab.value is None

    def test_run_that_is_not_there(self, lab: Lab) -> None:
        def flow(step: StepContext) -> None:
            for wait in (waits.RunEnd("gone"), waits.Value("gone", "k")):
                with pytest.raises(NotFound, match="gone"):
                    step.wait_any(waits.Message("a"), wait)

        lab.go(flow)

        assert lab.value is None
