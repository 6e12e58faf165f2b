"""Acts of operators: retry a step, retry a run, cancel a run."""

from __future__ import annotations

import pytest

from stepwell.engine.errors import NotFound, RefusedByState
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    finished,
    new_run,
    new_step,
    on_failure,
    subtree,
    suspended,
)
from stepwell.testing.run_store.case import OPERATOR, Bench, RunStoreCase, check_counts


class RetryStepTests(RunStoreCase):
    """`retry_step`."""

    def test_reopens_the_step_with_what_its_end_canceled(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", "b"), new_step("d"))
        bench.work_off("a")
        assert bench.run_status() is RunStatus.FAILED

        assert bench.store.retry_step("r", "a", OPERATOR) == 3

        assert bench.statuses() == {
            "a": "ready",
            "b": "pending",
            "c": "pending",
            "d": "succeeded",
        }
        assert bench.pending() == {"a": 0, "b": 1, "c": 1, "d": 0}
        assert bench.step("a").error is None
        assert bench.store.run("r").ended_at is None
        check_counts(bench)
        assert bench.work_off() == ["a", "b", "c"]
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_failures_start_anew_and_attempts_go_on(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.work_off("a")

        bench.store.retry_step("r", "a", OPERATOR)

        step = bench.claim_one()
        assert (step.attempt, step.failures, step.lost_leases) == (2, 0, 0)

    def test_retry_is_an_event_with_who_and_why(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.work_off("a")

        bench.store.retry_step("r", "a", OPERATOR)

        event = bench.store.events("r")[-1]
        assert (event.type, event.step_id) == ("step.retried", "a")
        assert (event.data["by"], event.data["reason"]) == ("ann", "because")
        assert event.data["reopened"] == 2

    def test_optional_dependent_not_yet_started_waits_again(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", finished("a"), kind="later"))
        bench.work_off("a")
        assert bench.statuses()["b"] == "ready"

        bench.store.retry_step("r", "a", OPERATOR)

        assert bench.statuses()["b"] == "pending"
        check_counts(bench)
        bench.work_off()
        assert bench.statuses()["b"] == "ready"

    def test_dependent_that_has_started_is_left_alone(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", finished("a")))
        bench.fail(bench.claim_one())
        b = bench.claim_one()

        bench.store.retry_step("r", "a", OPERATOR)

        assert bench.statuses() == {"a": "ready", "b": "running"}
        bench.complete(b)
        bench.work_off()
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_two_roots_are_retried_one_after_the_other(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("c", "a", "b"))
        bench.work_off("a", "b")

        bench.store.retry_step("r", "a", OPERATOR)
        assert bench.statuses()["c"] == "canceled"
        bench.store.retry_step("r", "b", OPERATOR)

        assert bench.statuses()["c"] == "pending"
        check_counts(bench)
        assert bench.work_off() == ["a", "b", "c"]
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_catch_whose_failure_was_mended_is_skipped_and_ends_the_run(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("catch", on_failure("a")))
        bench.work_off("a", "catch")
        bench.store.retry_step("r", "a", OPERATOR)
        bench.work_off()

        bench.store.retry_step("r", "catch", OPERATOR)

        assert bench.statuses() == {"a": "succeeded", "catch": "skipped"}
        assert bench.run_status() is RunStatus.SUCCEEDED
        check_counts(bench)

    def test_join_over_a_subtree_waits_again(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("join", subtree("a")))
        bench.settle(bench.emit(bench.claim_one(), new_step("b")))
        bench.work_off("b")
        assert bench.statuses()["join"] == "canceled"

        bench.store.retry_step("r", "b", OPERATOR)

        assert bench.work_off() == ["b", "join"]
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_retried_step_may_fail_again(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        for _ in range(3):
            bench.work_off("a")
            assert bench.run_status() is RunStatus.FAILED
            assert bench.error_code("b") == "upstream_failed"
            check_counts(bench)
            bench.store.retry_step("r", "a", OPERATOR)

        assert bench.event_types().count("run.failed") == 3

    @pytest.mark.parametrize("status", ["pending", "ready", "running", "waiting", "succeeded"])
    def test_refused_in_any_other_status(self, bench: Bench, status: str) -> None:
        bench.create(new_step("first"), new_step("a", "first"))
        if status != "pending":
            bench.complete(bench.claim_one())
        if status in ("running", "waiting", "succeeded"):
            step = bench.claim_one()
            if status == "waiting":
                bench.settle(suspended(step, until=2**52))
            if status == "succeeded":
                bench.complete(step)
        before = bench.steps()

        with pytest.raises(RefusedByState, match=f"'a' is {status}; only failed and canceled"):
            bench.store.retry_step("r", "a", OPERATOR)

        assert bench.steps() == before

    def test_skipped_step_is_refused(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", on_failure("a")))
        bench.work_off()

        with pytest.raises(RefusedByState, match="'b' is skipped"):
            bench.store.retry_step("r", "b", OPERATOR)

    def test_canceled_dependent_is_refused_naming_the_root(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", "b"))
        bench.work_off("a")

        with pytest.raises(RefusedByState, match="retry 'a', and it comes along"):
            bench.store.retry_step("r", "c", OPERATOR)

        assert bench.run_status() is RunStatus.FAILED

    def test_step_retried_twice_is_refused(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.work_off("a")
        bench.store.retry_step("r", "a", OPERATOR)

        with pytest.raises(RefusedByState, match="'a' is ready"):
            bench.store.retry_step("r", "a", OPERATOR)

    def test_step_of_a_canceled_run_whose_dependency_is_canceled(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.store.cancel_run("r", OPERATOR)

        with pytest.raises(
            RefusedByState, match=r"'b' needs step 'a', which is canceled; retry 'a' first"
        ):
            bench.store.retry_step("r", "b", OPERATOR)

        assert bench.run_status() is RunStatus.CANCELED
        check_counts(bench)

    def test_unknown_step_and_run(self, bench: Bench) -> None:
        bench.create(new_step("price"))

        with pytest.raises(NotFound, match="did you mean 'price'"):
            bench.store.retry_step("r", "prize", OPERATOR)
        with pytest.raises(NotFound, match="no run 'x'"):
            bench.store.retry_step("x", "price", OPERATOR)


class RetryRunTests(RunStoreCase):
    """`retry_run`."""

    def test_reopens_all_failures_and_what_they_dropped(self, bench: Bench) -> None:
        bench.create(
            new_step("a"), new_step("b"), new_step("c", "a"), new_step("d", "b"), new_step("ok")
        )
        bench.work_off("a", "b")

        assert bench.store.retry_run("r", OPERATOR) == 4

        assert bench.run_status() is RunStatus.RUNNING
        check_counts(bench)
        assert sorted(bench.work_off()) == ["a", "b", "c", "d"]
        assert bench.run_status() is RunStatus.SUCCEEDED
        assert bench.event_types().count("run.retried") == 1

    def test_committed_steps_do_not_run_again(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.work_off("b")

        bench.store.retry_run("r", OPERATOR)

        assert bench.work_off() == ["b"]
        assert bench.event_types(step="a").count("step.succeeded") == 1

    def test_handled_failures_stay(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("catch", on_failure("a")), new_step("bad"))
        bench.work_off("a", "bad")

        assert bench.store.retry_run("r", OPERATOR) == 1

        assert bench.work_off() == ["bad"]
        assert bench.statuses()["a"] == "failed"
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_canceled_run_goes_on_with_all_it_had_open(self, bench: Bench) -> None:
        bench.create(new_step("done"), new_step("a"), new_step("b", "a"), new_step("c", "b"))
        steps = bench.claim_by_id()
        bench.complete(steps["done"])
        bench.store.cancel_run("r", OPERATOR)

        assert bench.store.retry_run("r", OPERATOR) == 3

        assert bench.pending() == {"done": 0, "a": 0, "b": 1, "c": 1}
        assert bench.work_off() == ["a", "b", "c"]
        assert bench.run_status() is RunStatus.SUCCEEDED
        check_counts(bench)

    def test_run_canceled_before_it_started_starts_when_retried(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.store.cancel_run("r", OPERATOR)
        bench.store.retry_run("r", OPERATOR)

        bench.work_off()

        run = bench.store.run("r")
        assert run.status is RunStatus.SUCCEEDED
        assert run.started_at is not None

    def test_refused_when_nothing_failed(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.work_off()

        with pytest.raises(RefusedByState, match="'r' is succeeded and has no failed or canceled"):
            bench.store.retry_run("r", OPERATOR)

        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_run_retried_twice_is_refused(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.work_off("a")
        bench.store.retry_run("r", OPERATOR)

        with pytest.raises(RefusedByState, match="'r' is running"):
            bench.store.retry_run("r", OPERATOR)

    def test_failed_step_of_a_run_that_goes_on(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()
        bench.fail(a)

        assert bench.store.retry_run("r", OPERATOR) == 1

        bench.complete(b)
        bench.work_off()
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_parent_is_woken_by_each_end_of_a_retried_child(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), start=new_run("child", new_step("x"))))
        bench.fail(bench.claim_one())
        parent = bench.claim_one()
        bench.store.retry_run("child", OPERATOR)

        bench.settle(suspended(parent, run_id="child"))
        assert bench.statuses() == {"a": "waiting"}
        bench.complete(bench.claim_one())

        assert bench.statuses() == {"a": "ready"}
