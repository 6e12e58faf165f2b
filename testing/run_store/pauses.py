"""Paused runs: their steps are not claimed, and their waits are frozen."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import NotFound, RefusedByState
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    completed,
    failed,
    new_message,
    new_run,
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

HOUR = timedelta(hours=1)


class PauseTests(RunStoreCase):
    """`pause_run` and `resume_run`."""

    def test_ready_steps_are_held_and_come_back(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("c", "a"))

        assert bench.store.pause_run("r", OPERATOR) == 2

        assert bench.run_status() is RunStatus.PAUSED
        assert bench.statuses() == {"a": "held", "b": "held", "c": "pending"}
        assert bench.claim() == []
        check_counts(bench)
        assert bench.store.resume_run("r", OPERATOR) == 2
        assert bench.run_status() is RunStatus.PENDING
        assert bench.work_off() == ["a", "b", "c"]
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_run_that_had_started_is_running_again(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.complete(bench.claim_one())
        bench.store.pause_run("r", OPERATOR)

        bench.store.resume_run("r", OPERATOR)

        assert bench.run_status() is RunStatus.RUNNING

    def test_other_runs_go_on(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.create(new_step("b"), id="other")

        bench.store.pause_run("r", OPERATOR)

        assert bench.work_off() == ["b"]

    def test_running_steps_finish_and_what_they_free_is_held(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        step = bench.claim_one()
        assert bench.store.pause_run("r", OPERATOR) == 0

        exchange = bench.exchange(completed(step, emitted=[new_step("c")]))

        assert (exchange.lost, exchange.claimed) == ([], [])
        assert bench.statuses() == {"a": "succeeded", "b": "held", "c": "held"}
        check_counts(bench)
        bench.store.resume_run("r", OPERATOR)
        assert sorted(bench.work_off()) == ["b", "c"]

    def test_released_retried_and_lapsed_steps_are_held(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", max_attempts=2), new_step("c"))
        steps = bench.claim_by_id()
        bench.store.pause_run("r", OPERATOR)

        bench.settle(released(steps["a"]), failed(steps["b"], retry_in=SECOND))
        bench.lapse()

        assert set(bench.statuses().values()) == {"held"}
        assert bench.claim() == []
        check_counts(bench)
        assert bench.store.resume_run("r", OPERATOR) == 3
        assert len(bench.work_off()) == 3

    def test_time_of_another_attempt_stays(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a", max_attempts=2))
        bench.settle(failed(bench.claim_one(), retry_in=HOUR))
        bench.store.pause_run("r", OPERATOR)
        bench.store.resume_run("r", OPERATOR)

        assert bench.claim() == []
        clock.advance(HOUR)
        assert [step.id for step in bench.claim()] == ["a"]

    def test_remaining_time_of_a_wait_is_frozen(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), until=clock.micros() + 10_000_000))
        clock.advance(4 * SECOND)
        bench.store.pause_run("r", OPERATOR)
        clock.advance(HOUR)
        assert bench.store.reap(3) == 0
        assert bench.store.next_due(bench.clock.micros()) is None
        assert bench.statuses() == {"a": "waiting"}
        wait = bench.store.step("r", "a").wait
        assert wait is not None
        assert (wait.until, wait.left) == (None, timedelta(seconds=6))

        assert bench.store.resume_run("r", OPERATOR) == 0

        assert bench.store.next_due(bench.clock.micros()) == clock.micros() + 6_000_000
        clock.advance(5 * SECOND)
        assert bench.store.reap(3) == 0
        clock.advance(SECOND)
        assert bench.store.reap(3) == 1
        assert bench.claim_one().wake_at == clock.micros()

    @pytest.mark.parametrize("how", ["pause", "hold"])
    def test_wait_that_was_overdue_has_nothing_left(
        self, bench: Bench, clock: VirtualClock, how: str
    ) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), until=clock.micros() + 10_000_000))
        clock.advance(HOUR)
        if how == "pause":
            bench.store.pause_run("r", OPERATOR)
        else:
            bench.store.hold_step("r", "a", OPERATOR)

        wait = bench.store.step("r", "a").wait

        assert wait is not None
        assert (wait.until, wait.left) == (None, timedelta(0))
        assert [step.wait for step in bench.steps()] == [wait]

    def test_two_pauses_freeze_twice(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), until=clock.micros() + 10_000_000))
        for _ in range(2):
            clock.advance(4 * SECOND)
            bench.store.pause_run("r", OPERATOR)
            clock.advance(HOUR)
            bench.store.resume_run("r", OPERATOR)

        assert bench.store.next_due(bench.clock.micros()) == clock.micros() + 2_000_000

    def test_step_that_suspends_during_a_pause_is_frozen_too(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        bench.store.pause_run("r", OPERATOR)
        bench.settle(suspended(step, until=clock.micros() + 1_000_000))
        clock.advance(HOUR)
        assert bench.store.reap(3) == 0

        bench.store.resume_run("r", OPERATOR)

        assert bench.store.next_due(bench.clock.micros()) == clock.micros() + 1_000_000

    def test_message_during_a_pause_does_not_run_the_step(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        bench.create(new_step("a"))
        until = clock.micros() + 10_000_000
        bench.settle(suspended(bench.claim_one(), topic="mail", until=until))
        bench.store.pause_run("r", OPERATOR)
        clock.advance(HOUR)

        assert bench.store.send(new_message("r", "mail", 1)) is True

        assert bench.statuses() == {"a": "held"}
        assert bench.claim() == []
        assert bench.store.resume_run("r", OPERATOR) == 1
        step = bench.claim_one()
        assert step.wake_at == clock.micros() + 10_000_000
        assert bench.store.receive(step, "mail", "receive") == "1"

    def test_end_of_a_child_during_a_pause_does_not_run_the_step(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), start=new_run("child", new_step("x"))))
        bench.store.pause_run("r", OPERATOR)

        bench.work_off()

        assert bench.run_status("child") is RunStatus.SUCCEEDED
        assert bench.statuses() == {"a": "held"}

    @pytest.mark.parametrize("end", ["succeeded", "failed"])
    def test_run_whose_last_step_ends_while_paused_ends(self, bench: Bench, end: str) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        bench.store.pause_run("r", OPERATOR)

        bench.settle(completed(step) if end == "succeeded" else failed(step))

        assert bench.run_status() == end
        with pytest.raises(RefusedByState, match=f"run 'r' is {end}, not paused"):
            bench.store.resume_run("r", OPERATOR)

    def test_retry_of_a_run_that_ended_while_paused(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        bench.store.pause_run("r", OPERATOR)
        bench.fail(step)

        bench.store.retry_run("r", OPERATOR)

        assert bench.run_status() is RunStatus.RUNNING
        assert bench.work_off() == ["a"]

    def test_retry_of_a_step_of_a_paused_run_is_held(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, _ = bench.claim()
        bench.fail(a)
        bench.store.pause_run("r", OPERATOR)

        bench.store.retry_step("r", "a", OPERATOR)

        assert bench.statuses() == {"a": "held", "b": "running"}
        bench.store.resume_run("r", OPERATOR)
        assert bench.statuses()["a"] == "ready"

    def test_cancel_of_a_paused_run(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("c", "a"))
        bench.settle(suspended(bench.claim(1)[0], until=clock.micros() + 1))
        bench.store.pause_run("r", OPERATOR)

        assert bench.store.cancel_run("r", OPERATOR) == 3

        assert set(bench.statuses().values()) == {"canceled"}
        check_counts(bench)
        bench.store.retry_run("r", OPERATOR)
        assert bench.work_off() == ["a", "b", "c"]

    def test_paused_twice_and_resumed_twice(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.pause_run("r", OPERATOR)

        assert bench.store.pause_run("r", OPERATOR) == 0

        assert bench.event_types().count("run.paused") == 1
        bench.store.resume_run("r", OPERATOR)
        with pytest.raises(RefusedByState, match="run 'r' is pending, not paused"):
            bench.store.resume_run("r", OPERATOR)
        assert bench.work_off() == ["a"]

    def test_run_that_has_ended_cannot_be_paused(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.work_off()

        with pytest.raises(RefusedByState, match="succeeded; it cannot be paused any more"):
            bench.store.pause_run("r", OPERATOR)
        with pytest.raises(NotFound, match="no run 'x'"):
            bench.store.pause_run("x", OPERATOR)

    def test_pause_and_resume_are_events_with_who_and_why(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.pause_run("r", OPERATOR)
        bench.store.resume_run("r", OPERATOR)

        paused, resumed = bench.store.events("r")[-2:]

        assert (paused.type, resumed.type) == ("run.paused", "run.resumed")
        for event in (paused, resumed):
            assert dict(event.data) == {"by": "ann", "reason": "because", "steps": 1}

    def test_pauses_are_told_by_the_control_number(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        before = bench.exchange().control
        bench.store.pause_run("r", OPERATOR)

        assert bench.exchange().control > before

    def test_open_steps_of_paused_runs_are_counted(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        bench.store.pause_run("r", OPERATOR)

        status = bench.store.status()

        assert (status.open_steps, dict(status.runs)) == (2, {"paused": 1})
