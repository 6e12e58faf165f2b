"""Decisions: a step's question is answered once, in time, and by a named operator."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import TypeAdapter

from stepwell.engine.clock import VirtualClock, to_datetime
from stepwell.engine.errors import Conflict, InvalidInput, NotFound, RefusedByState
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.model import Approval, Operator
from stepwell.testing.builders import new_step, suspended
from stepwell.testing.run_store.case import OPERATOR, SECOND, Bench, RunStoreCase


def topic_of(step: str, operation: str = "approval") -> str:
    """The reserved topic of a step's question."""
    return f"stepwell.approval:{step}:{operation}"


def ask(bench: Bench, step: ClaimedStep, until: int | None = None) -> None:
    """Suspend the step until it is decided."""
    topic = topic_of(step.id)
    bench.settle(suspended(step, topic=topic, kind="approval", operation="approval", until=until))


def answer(bench: Bench, step: ClaimedStep) -> Approval | None:
    """The answer that the step received."""
    text = bench.store.receive(step, topic_of(step.id), "approval")
    return None if text is None else TypeAdapter(Approval).validate_json(text)


class ApprovalTests(RunStoreCase):
    """`decide`."""

    @pytest.mark.parametrize("approved", [True, False])
    def test_answer_reaches_the_step(
        self, bench: Bench, clock: VirtualClock, approved: bool
    ) -> None:
        bench.create(new_step("a"))
        ask(bench, bench.claim_one())

        assert bench.store.decide("r", "a", approved, Operator("ann", "looks right")) == "a"

        step = bench.claim_one()
        assert answer(bench, step) == Approval(
            approved, "looks right", "ann", to_datetime(clock.micros())
        )
        assert step.attempt == 1

    def test_second_answer_to_one_question_is_refused(self, bench: Bench) -> None:
        # given: a step that asks again, in an operation that has not received the answer
        bench.create(new_step("a"))
        ask(bench, bench.claim_one())
        bench.store.decide("r", "a", True, OPERATOR)
        step = bench.claim_one()
        answer(bench, step)
        bench.settle(suspended(step, topic=topic_of("a"), kind="approval", operation="other"))

        with pytest.raises(Conflict, match="was decided before"):
            bench.store.decide("r", "a", False, OPERATOR)

    def test_only_one_that_waits_need_not_be_named(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()
        ask(bench, a)
        bench.settle(suspended(b, topic="mail"))

        assert bench.store.decide("r", None, True, OPERATOR) == "a"

        assert bench.statuses() == {"a": "ready", "b": "waiting"}

    def test_several_wait_and_none_is_named(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        for step in bench.claim():
            ask(bench, step)

        with pytest.raises(InvalidInput, match=r"2 steps of run 'r' .* \('a', 'b'\); name one"):
            bench.store.decide("r", None, True, OPERATOR)

        assert bench.statuses() == {"a": "waiting", "b": "waiting"}

    def test_answered_twice(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        ask(bench, bench.claim_one())
        bench.store.decide("r", "a", False, OPERATOR)

        with pytest.raises(Conflict, match="step 'a' was rejected by ann before"):
            bench.store.decide("r", "a", True, OPERATOR)
        with pytest.raises(Conflict, match="run 'r' was rejected by ann before"):
            bench.store.decide("r", None, True, OPERATOR)

        found = answer(bench, bench.claim_one())
        assert found is not None
        assert found.approved is False

    def test_answered_again_after_the_run_ended(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        ask(bench, bench.claim_one())
        bench.store.decide("r", "a", True, OPERATOR)
        bench.work_off()

        with pytest.raises(Conflict, match="was approved by ann"):
            bench.store.decide("r", "a", True, OPERATOR)

    def test_too_late(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        ask(bench, bench.claim_one(), until=clock.micros() + 1_000_000)
        clock.advance(SECOND)

        with pytest.raises(RefusedByState, match=r"'a' waited until .*Z; it is too late"):
            bench.store.decide("r", "a", True, OPERATOR)

        bench.store.reap(3)
        with pytest.raises(RefusedByState, match="'a' is ready and does not wait for a decision"):
            bench.store.decide("r", "a", True, OPERATOR)
        assert answer(bench, bench.claim_one()) is None

    @pytest.mark.parametrize("step", ["a", None])
    def test_nobody_asked(self, bench: Bench, step: str | None) -> None:
        bench.create(new_step("a"))

        with pytest.raises(RefusedByState, match="does not wait for a decision"):
            bench.store.decide("r", step, True, OPERATOR)

    def test_step_that_waits_for_something_else(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), topic="mail"))

        with pytest.raises(RefusedByState, match="'a' is waiting and does not wait for a decision"):
            bench.store.decide("r", "a", True, OPERATOR)

    def test_question_of_a_step_whose_id_begins_alike(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("a:b"))
        a, b = bench.claim()
        ask(bench, b)
        bench.store.decide("r", "a:b", True, OPERATOR)

        with pytest.raises(RefusedByState, match="'a' is running and does not wait"):
            bench.store.decide("r", "a", True, OPERATOR)
        assert answer(bench, a) is None

    def test_second_question_of_the_same_step(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        ask(bench, bench.claim_one())
        bench.store.decide("r", "a", True, OPERATOR)
        second = topic_of("a", "approval#2")
        bench.settle(suspended(bench.claim_one(), topic=second, operation="approval#2"))

        bench.store.decide("r", "a", False, OPERATOR)

        text = bench.store.receive(bench.claim_one(), second, "approval#2")
        assert text is not None
        assert TypeAdapter(Approval).validate_json(text).approved is False

    def test_unknown_run_and_step(self, bench: Bench) -> None:
        bench.create(new_step("review"))

        with pytest.raises(NotFound, match="no run 'x'"):
            bench.store.decide("x", None, True, OPERATOR)
        with pytest.raises(NotFound, match="did you mean 'review'"):
            bench.store.decide("r", "reviews", True, OPERATOR)

    def test_is_an_event_with_who_and_why(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        ask(bench, bench.claim_one())

        bench.store.decide("r", "a", True, OPERATOR)

        (event,) = (e for e in bench.store.events("r") if e.type == "approval.decided")
        assert event.step_id == "a"
        assert dict(event.data) == {"approved": True, "by": "ann", "reason": "because"}

    def test_decision_during_a_pause_is_acted_on_afterwards(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        bench.create(new_step("a"))
        ask(bench, bench.claim_one(), until=clock.micros() + 1_000_000)
        bench.store.pause_run("r", OPERATOR)
        clock.advance(timedelta(hours=1))

        bench.store.decide("r", "a", True, OPERATOR)

        assert bench.claim() == []
        bench.store.resume_run("r", OPERATOR)
        assert answer(bench, bench.claim_one()) is not None
