"""Time limits of runs, and the error that a run ends with."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.errors import RefusedByState
from stepwell.engine.exchange import Reopening
from stepwell.engine.model import Operator, Run, RunFilter
from stepwell.engine.ports import RunStore
from stepwell.engine.run_options import RunOptions
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import completed, failed, new_run, new_step, on_failure, suspended
from stepwell.testing.run_store.case import Bench, RunStoreCase

BY = Operator("ann", "")
SECOND = 1_000_000
LONG = timedelta(hours=1)


def over(run: Run) -> tuple[RunStatus, str | None]:
    """How a run ended, and the code of its error."""
    return run.status, None if run.error is None else run.error.code


class TimeLimitTests(RunStoreCase):
    """Timeouts and deadlines of runs."""

    def test_deadline_ends_the_run_as_failed(self, store: RunStore, bench: Bench) -> None:
        # given: one step runs, one waits for it
        deadline = bench.clock.micros() + 5 * SECOND
        bench.create(new_step("a"), new_step("b", "a"), options=RunOptions(deadline=deadline))
        running = bench.claim_one()
        assert bench.store.next_due(bench.clock.micros()) == deadline

        # when
        bench.clock.advance(4)
        bench.store.reap(3)
        assert store.run("r").status is RunStatus.RUNNING
        bench.clock.advance(1)
        bench.store.reap(3)

        # then
        assert over(store.run("r")) == (RunStatus.FAILED, "deadline_exceeded")
        errors = [step.error.code for step in bench.steps() if step.error]
        assert errors == ["deadline_exceeded", "deadline_exceeded"]
        assert bench.exchange(completed(running)).lost[0].step.id == "a"
        assert store.renew("w1", [running], SECOND)[0].reason == "canceled"

    def test_timeout_counts_from_the_first_claim(self, store: RunStore, bench: Bench) -> None:
        bench.create(new_step("a"), options=RunOptions(timeout=5 * SECOND))
        bench.clock.advance(100)
        bench.store.reap(3)
        assert store.run("r").status is RunStatus.PENDING
        bench.claim_one(lease=LONG)

        bench.clock.advance(4)
        bench.store.reap(3)
        assert store.run("r").status is RunStatus.RUNNING
        bench.clock.advance(1)
        bench.store.reap(3)

        assert over(store.run("r")) == (RunStatus.FAILED, "deadline_exceeded")

    def test_paused_run_freezes_its_timeout_and_not_its_deadline(
        self, store: RunStore, bench: Bench
    ) -> None:
        # given
        now = bench.clock.micros()
        timeout, deadline = RunOptions(timeout=5 * SECOND), RunOptions(deadline=now + 20 * SECOND)
        bench.create(new_step("a"), id="t", options=timeout)
        bench.create(new_step("a"), id="d", options=deadline)
        bench.claim(lease=LONG)
        bench.clock.advance(3)
        for run in ("t", "d"):
            store.pause_run(run, BY)

        # when
        bench.clock.advance(100)
        bench.store.reap(3)

        # then
        assert store.run("t").status is RunStatus.PAUSED
        assert over(store.run("d")) == (RunStatus.FAILED, "deadline_exceeded")
        store.resume_run("t", BY)
        bench.clock.advance(1)
        bench.store.reap(3)
        assert store.run("t").status is RunStatus.RUNNING
        bench.clock.advance(1)
        bench.store.reap(3)
        assert over(store.run("t")) == (RunStatus.FAILED, "deadline_exceeded")

    def test_run_that_has_not_begun_in_time_is_canceled(
        self, store: RunStore, bench: Bench
    ) -> None:
        # given: one begins, one does not
        limit = RunOptions(start_within=5 * SECOND)
        bench.create(new_step("a", priority=-1), id="begun", options=limit)
        bench.create(new_step("a"), id="late", options=limit)
        bench.claim(1, lease=LONG)

        # when
        bench.clock.advance(6)
        bench.store.reap(3)

        # then
        assert store.run("begun").status is RunStatus.RUNNING
        assert store.run("late").status is RunStatus.CANCELED
        assert [step.error.code for step in bench.steps("late") if step.error] == ["expired"]

    def test_retry_counts_the_timeout_anew(self, store: RunStore, bench: Bench) -> None:
        bench.create(new_step("a"), options=RunOptions(timeout=5 * SECOND))
        bench.claim_one(lease=LONG)
        bench.clock.advance(6)
        bench.store.reap(3)

        store.retry_run("r", BY)

        assert over(store.run("r")) == (RunStatus.RUNNING, None)
        bench.clock.advance(4)
        bench.store.reap(3)
        assert store.run("r").status is RunStatus.RUNNING
        bench.exchange(completed(bench.claim_one()))
        assert over(store.run("r")) == (RunStatus.SUCCEEDED, None)

    def test_retry_after_the_deadline_needs_a_new_one(self, store: RunStore, bench: Bench) -> None:
        bench.create(new_step("a"), options=RunOptions(deadline=bench.clock.micros() + SECOND))
        bench.clock.advance(2)
        bench.store.reap(3)

        with pytest.raises(RefusedByState, match="give it a later deadline"):
            store.retry_run("r", BY)
        store.retry_run("r", BY, Reopening(deadline=bench.clock.micros() + SECOND))

        assert bench.claim_one().id == "a"

    def test_success_before_the_limit_is_looked_at_counts(
        self, store: RunStore, bench: Bench
    ) -> None:
        bench.create(new_step("a"), options=RunOptions(deadline=bench.clock.micros() + SECOND))
        step = bench.claim_one()
        bench.clock.advance(2)

        bench.exchange(completed(step))
        bench.store.reap(3)

        assert over(store.run("r")) == (RunStatus.SUCCEEDED, None)

    def test_runs_started_by_its_steps_end_with_it(self, store: RunStore, bench: Bench) -> None:
        bench.create(new_step("a"), options=RunOptions(deadline=bench.clock.micros() + SECOND))
        child = new_run("child", new_step("x"))
        bench.exchange(suspended(bench.claim_one(), start=child))
        bench.clock.advance(2)

        bench.store.reap(3)

        assert over(store.run("r")) == (RunStatus.FAILED, "deadline_exceeded")
        assert store.run("child").status is RunStatus.CANCELED

    def test_many_limits_at_once(self, store: RunStore, bench: Bench) -> None:
        deadline = bench.clock.micros() + SECOND
        for number in range(250):
            bench.create(new_step("a"), id=f"r{number}", options=RunOptions(deadline=deadline))
        bench.clock.advance(2)

        bench.store.reap(3)

        runs = store.runs(RunFilter(limit=300))
        assert {over(run) for run in runs} == {(RunStatus.FAILED, "deadline_exceeded")}


class RunErrorTests(RunStoreCase):
    """The first failure that nothing handled is a fact of the run."""

    def test_failed_run_tells_step_code_and_message(self, store: RunStore, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.exchange(failed(bench.claim_one()))

        error = store.run("r").error
        assert error is not None
        assert (error.step, error.code, error.message) == ("a", "broken", "it is broken")

    def test_the_first_failure_is_told(self, store: RunStore, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        first, second = bench.claim()
        bench.exchange(failed(second, code="second"))
        bench.clock.advance(1)
        bench.exchange(failed(first, code="first"))

        error = store.run("r").error
        assert error is not None
        assert (error.step, error.code) == ("b", "second")

    def test_handled_failure_is_no_error_of_the_run(self, store: RunStore, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", on_failure("a")))
        (catch,) = bench.exchange(failed(bench.claim_one())).claimed
        bench.exchange(completed(catch))

        assert over(store.run("r")) == (RunStatus.SUCCEEDED, None)

    def test_retry_takes_the_error_away(self, store: RunStore, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.exchange(failed(bench.claim_one()))
        assert store.run("r").error is not None

        store.retry_run("r", BY)

        assert store.run("r").error is None
