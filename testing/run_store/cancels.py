"""An operator cancels a run."""

from __future__ import annotations

import pytest

from stepwell.engine.errors import NotFound, RefusedByState
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    completed,
    new_run,
    new_step,
    suspended,
)
from stepwell.testing.run_store.case import OPERATOR, Bench, RunStoreCase, check_counts


class CancelRunTests(RunStoreCase):
    """`cancel_run`."""

    def test_cancels_all_that_is_open(self, bench: Bench) -> None:
        bench.create(
            new_step("done"),
            new_step("running"),
            new_step("waiting"),
            new_step("ready", kind="later"),
            new_step("pending", "running"),
        )
        steps = bench.claim_by_id()
        bench.complete(steps["done"])
        bench.settle(suspended(steps["waiting"], until=2**52))

        assert bench.store.cancel_run("r", OPERATOR) == 4

        assert bench.statuses() == {
            "done": "succeeded",
            **dict.fromkeys(("running", "waiting", "ready", "pending"), "canceled"),
        }
        assert bench.run_status() is RunStatus.CANCELED
        assert bench.store.run("r").ended_at is not None
        check_counts(bench)

    def test_no_step_is_claimed_afterwards(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        bench.claim(1)

        bench.store.cancel_run("r", OPERATOR)

        assert bench.claim() == []
        assert bench.lapse() == 0
        assert bench.store.next_due(bench.clock.micros()) is None

    def test_cancel_is_an_event_with_who_and_why_and_ends_the_run_once(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.store.cancel_run("r", OPERATOR)

        ends = [event for event in bench.store.events("r") if event.type == "run.canceled"]

        assert [dict(event.data) for event in ends] == [
            {"by": "ann", "reason": "because", "steps": 2}
        ]
        assert bench.event_types().count("step.canceled") == 2
        error = bench.step("a").error
        assert error is not None
        assert (error.code, error.message) == ("canceled", "canceled by ann: because")

    def test_ends_of_the_steps_are_told_before_the_end_of_their_run(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.settle(suspended(bench.claim_one(), start=new_run("child", new_step("x"))))

        bench.store.cancel_run("r", OPERATOR)

        assert bench.event_types()[-3:] == ["step.canceled", "step.canceled", "run.canceled"]
        assert bench.event_types("child")[-2:] == ["step.canceled", "run.canceled"]
        ends = [e.data for id in ("r", "child") for e in bench.store.events(id)][-1]
        assert dict(ends) == {"by": "ann", "reason": "because", "steps": 1}

    def test_canceling_twice_does_nothing(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.cancel_run("r", OPERATOR)
        before = bench.event_types()

        assert bench.store.cancel_run("r", OPERATOR) == 0

        assert bench.event_types() == before

    @pytest.mark.parametrize("failing", [(), ("a",)], ids=["succeeded", "failed"])
    def test_ended_run_is_refused(self, bench: Bench, failing: tuple[str, ...]) -> None:
        bench.create(new_step("a"))
        bench.work_off(*failing)

        with pytest.raises(RefusedByState, match="cannot be canceled any more"):
            bench.store.cancel_run("r", OPERATOR)

    def test_goes_down_to_the_children_of_children_and_not_up(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="top")
        bench.settle(suspended(bench.claim_one(), start=new_run("mid", new_step("b"))))
        bench.settle(suspended(bench.claim_one(), start=new_run("low", new_step("c"))))
        bench.create(new_step("x"), id="other")

        assert bench.store.cancel_run("mid", OPERATOR) == 2

        assert bench.run_status("mid") is RunStatus.CANCELED
        assert bench.run_status("low") is RunStatus.CANCELED
        assert bench.run_status("other") is RunStatus.PENDING
        assert bench.statuses("top") == {"a": "ready"}

    def test_ended_children_stay_as_they_are(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), start=new_run("child", new_step("x"))))
        bench.complete(bench.claim_one())
        bench.claim_one()

        bench.store.cancel_run("r", OPERATOR)

        assert bench.run_status("child") is RunStatus.SUCCEEDED

    def test_unknown_run(self, bench: Bench) -> None:
        with pytest.raises(NotFound, match="no run 'x'"):
            bench.store.cancel_run("x", OPERATOR)

    def test_workers_see_a_control_number_change(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        before = bench.settle().control
        a = bench.claim(1)[0]
        bench.complete(a)
        assert bench.settle().control == before

        bench.store.cancel_run("r", OPERATOR)

        assert bench.settle().control != before

    def test_step_retried_out_of_a_canceled_run_does_not_make_it_succeed(
        self, bench: Bench
    ) -> None:
        bench.create(new_step("a"), new_step("b"))
        bench.store.cancel_run("r", OPERATOR)
        bench.store.retry_step("r", "a", OPERATOR)

        bench.settle(completed(bench.claim_one()))

        assert bench.statuses() == {"a": "succeeded", "b": "canceled"}
        assert bench.run_status() is RunStatus.CANCELED
