"""Steps that an operator holds individually."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import NotFound, RefusedByState
from stepwell.engine.events import EventType
from stepwell.engine.model import Operator, StepFilter
from stepwell.engine.states import RunStatus, StepStatus
from stepwell.testing.builders import (
    completed,
    failed,
    new_message,
    new_step,
    released,
    suspended,
)
from stepwell.testing.run_store.case import (
    OPERATOR,
    SECOND,
    Bench,
    RunStoreCase,
    check_counts,
)


class HoldTests(RunStoreCase):
    """`hold_step` and `release_step`."""

    def test_ready_step_is_held_alone(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))

        bench.store.hold_step("r", "a", OPERATOR)

        assert bench.statuses() == {"a": "held", "b": "ready"}
        assert bench.work_off() == ["b"]
        bench.store.release_step("r", "a", OPERATOR)
        assert bench.work_off() == ["a"]
        assert bench.run_status() is RunStatus.SUCCEEDED
        check_counts(bench)

    def test_pending_step_is_held_when_it_gets_ready(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", "a"))
        bench.store.hold_step("r", "b", OPERATOR)
        assert bench.statuses()["b"] == "pending"

        assert bench.work_off() == ["a", "c"]

        assert bench.statuses()["b"] == "held"
        bench.store.release_step("r", "b", OPERATOR)
        assert bench.work_off() == ["b"]

    def test_pending_step_released_before_it_gets_ready(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.store.hold_step("r", "b", OPERATOR)
        bench.store.release_step("r", "b", OPERATOR)

        assert bench.work_off() == ["a", "b"]

    def test_waiting_step_stands_still(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), new_step("b"))
        until = clock.micros() + 10_000_000
        bench.settle(*(suspended(step, until=until) for step in bench.claim()))
        bench.store.hold_step("r", "a", OPERATOR)
        clock.advance(10 * SECOND)
        assert bench.store.reap(3) == 1
        assert bench.statuses() == {"a": "waiting", "b": "ready"}

        bench.store.release_step("r", "a", OPERATOR)

        assert bench.store.next_due(bench.clock.micros()) == clock.micros() + 10_000_000

    def test_message_to_a_held_step(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), topic="mail"))
        bench.store.hold_step("r", "a", OPERATOR)

        bench.store.send(new_message("r", "mail", 1))

        assert bench.statuses() == {"a": "held"}
        bench.store.release_step("r", "a", OPERATOR)
        assert bench.statuses() == {"a": "ready"}

    def test_held_step_stays_held_when_its_run_is_resumed(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        bench.store.hold_step("r", "a", OPERATOR)
        bench.store.pause_run("r", OPERATOR)

        assert bench.store.resume_run("r", OPERATOR) == 1

        assert bench.statuses() == {"a": "held", "b": "ready"}

    def test_released_step_of_a_paused_run_waits_for_its_resumption(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.pause_run("r", OPERATOR)
        bench.store.hold_step("r", "a", OPERATOR)

        bench.store.release_step("r", "a", OPERATOR)

        assert bench.statuses() == {"a": "held"}
        bench.store.resume_run("r", OPERATOR)
        assert bench.statuses() == {"a": "ready"}

    def test_step_held_by_its_run_alone_is_not_released(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.pause_run("r", OPERATOR)

        with pytest.raises(RefusedByState, match="not held by itself; run 'r' is paused: resume"):
            bench.store.release_step("r", "a", OPERATOR)

    def test_step_that_is_not_held(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        with pytest.raises(RefusedByState, match="step 'a' is ready and not held by itself"):
            bench.store.release_step("r", "a", OPERATOR)

    def test_held_twice(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.hold_step("r", "a", OPERATOR)
        bench.store.hold_step("r", "a", OPERATOR)

        assert bench.event_types().count("step.held") == 1
        bench.store.release_step("r", "a", OPERATOR)
        assert bench.work_off() == ["a"]

    @pytest.mark.parametrize("status", ["running", "succeeded", "failed", "canceled"])
    def test_hold_is_refused_in_any_other_status(self, bench: Bench, status: str) -> None:
        bench.create(new_step("a"))
        if status == "canceled":
            bench.store.cancel_run("r", OPERATOR)
        else:
            step = bench.claim_one()
            if status != "running":
                bench.settle(completed(step) if status == "succeeded" else failed(step))

        with pytest.raises(RefusedByState, match=f"'a' is {status}; only pending, ready and"):
            bench.store.hold_step("r", "a", OPERATOR)

    def test_held_step_whose_dependency_is_retried_waits_again(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.store.hold_step("r", "b", OPERATOR)
        bench.work_off("a")
        assert bench.statuses() == {"a": "failed", "b": "canceled"}

        bench.store.retry_step("r", "a", OPERATOR)

        assert bench.work_off() == ["a", "b"]
        check_counts(bench)

    def test_held_step_is_canceled_with_its_run(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.hold_step("r", "a", OPERATOR)
        bench.store.cancel_run("r", OPERATOR)
        assert bench.statuses() == {"a": "canceled"}

        bench.store.retry_run("r", OPERATOR)

        assert bench.work_off() == ["a"]

    def test_hold_and_release_are_events_with_who_and_why(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.hold_step("r", "a", OPERATOR)
        bench.store.release_step("r", "a", OPERATOR)

        events = bench.store.events("r")[-2:]

        assert [event.type for event in events] == ["step.held", "step.unheld"]
        for event in events:
            assert event.step_id == "a"
            assert dict(event.data) == {"by": "ann", "reason": "because"}

    def test_all_that_is_held_is_found_whatever_it_waits_for(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        # given steps that are held while ready, waiting and pending, and others like them
        bench.create(*(new_step(name) for name in "abcd"), new_step("e", "a"), new_step("f", "a"))
        claimed = {step.id: step for step in bench.claim()}
        later = clock.micros() + 10_000_000
        bench.settle(*(suspended(claimed[name], until=later) for name in "cd"))
        bench.settle(released(claimed["a"]), released(claimed["b"]))
        for name in ("e", "c", "a"):
            bench.store.hold_step("r", name, OPERATOR)

        def held(**where: Any) -> list[tuple[str, str]]:
            found = bench.store.steps("r", StepFilter(status=StepStatus.HELD, **where))
            return [(step.id, step.status.value) for step in found]

        # then all of them are found, but only while they are held
        assert held() == [("a", "held"), ("c", "waiting"), ("e", "pending")]
        assert held(limit=1, after="a") == [("c", "waiting")]
        bench.store.release_step("r", "c", OPERATOR)
        bench.store.pause_run("r", OPERATOR)
        assert held() == [("a", "held"), ("b", "held"), ("e", "pending")]
        bench.store.cancel_run("r", OPERATOR)
        assert held() == []

    def test_last_event_of_a_type(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        store = bench.store
        store.hold_step("r", "a", Operator("ann", "first"))
        store.release_step("r", "a", OPERATOR)
        store.hold_step("r", "b", Operator("ben", "second"))
        store.hold_step("r", "a", Operator("cho", "third"))

        def told(step: str | None) -> tuple[Any, ...] | None:
            event = store.last_event("r", EventType.STEP_HELD, step)
            return None if event is None else (event.step_id, event.data["by"])

        assert [told("a"), told("b"), told(None)] == [("a", "cho"), ("b", "ben"), ("a", "cho")]
        assert store.last_event("r", EventType.RUN_PAUSED) is None
        assert store.last_event("r", EventType.RUN_CREATED) == store.events("r")[0]
        for run, step in (("q", None), ("r", "z")):
            with pytest.raises(NotFound):
                store.last_event(run, EventType.STEP_HELD, step)

    def test_hold_of_an_unknown_step(self, bench: Bench) -> None:
        bench.create(new_step("price"))

        with pytest.raises(NotFound, match="did you mean 'price'"):
            bench.store.hold_step("r", "prize", OPERATOR)
