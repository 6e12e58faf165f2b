"""What the end of a step does to the steps that depend on it."""

from __future__ import annotations

import pytest

from stepwell.engine.exchange import Edge
from stepwell.engine.states import Condition, RunStatus
from stepwell.testing.builders import completed, failed, finished, new_step, on_failure
from stepwell.testing.run_store.case import Bench, RunStoreCase, check_counts


class CounterTests(RunStoreCase):
    """Pending counters: a step becomes ready once, when its last dependency is met."""

    def test_counter_falls_with_each_dependency(self, bench: Bench) -> None:
        bench.create(*(new_step(name) for name in "abc"), new_step("d", "a", "b", "c"))
        assert bench.pending()["d"] == 3
        left = []

        for step in bench.claim():
            bench.complete(step)
            left.append((bench.pending()["d"], bench.statuses()["d"]))

        assert left == [(2, "pending"), (1, "pending"), (0, "ready")]

    def test_dependencies_that_end_in_one_exchange_count_each(self, bench: Bench) -> None:
        bench.create(*(new_step(name) for name in "abc"), new_step("d", "a", "b", "c"))
        a, b, _ = bench.claim()

        bench.settle(completed(a), completed(b))

        assert bench.pending()["d"] == 1

    def test_different_conditions_met_in_one_exchange_count_each(self, bench: Bench) -> None:
        bench.create(
            *(new_step(name) for name in "abc"),
            new_step("d", "a", finished("b"), on_failure("c")),
        )
        a, b, c = bench.claim()

        bench.settle(completed(a), failed(b), failed(c))

        assert bench.statuses()["d"] == "ready"

    def test_diamond_runs_its_end_once(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", "a"), new_step("d", "b", "c"))

        assert bench.work_off() == ["a", "b", "c", "d"]
        assert bench.run_status() is RunStatus.SUCCEEDED
        check_counts(bench)

    def test_wide_fan_in(self, bench: Bench) -> None:
        names = [f"s{number}" for number in range(300)]
        bench.create(*(new_step(name) for name in names), new_step("join", *names))

        assert bench.work_off()[-1] == "join"
        check_counts(bench)

    def test_long_chain_runs_in_order(self, bench: Bench) -> None:
        bench.create(new_step("s0"), *(new_step(f"s{n}", f"s{n - 1}") for n in range(1, 40)))

        assert bench.work_off() == [f"s{number}" for number in range(40)]

    def test_claimable_only_after_the_dependency_committed(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        a = bench.claim_one()
        assert bench.claim() == []

        exchange = bench.exchange(completed(a))

        assert [step.id for step in exchange.claimed] == ["b"]

    def test_progress_counts_equal_a_recount_at_every_moment(self, bench: Bench) -> None:
        bench.create(
            *(new_step(name) for name in "abc"),
            new_step("after-a", "a"),
            new_step("after-b", "b"),
            new_step("far-b", "after-b"),
            new_step("catch-b", on_failure("b")),
            new_step("catch-c", on_failure("c")),
            new_step("last", finished("after-a"), finished("far-b"), finished("catch-c")),
        )
        check_counts(bench)

        while claimed := bench.claim(limit=1):
            check_counts(bench)
            (step,) = claimed
            bench.settle(failed(step) if step.id == "b" else completed(step))
            check_counts(bench)

        assert bench.store.progress("r").open == 0


class ConditionTests(RunStoreCase):
    """succeeded | finished | failed, and what follows from each end."""

    @pytest.mark.parametrize(
        ("condition", "end", "status"),
        [
            (Condition.SUCCEEDED, "succeeds", "ready"),
            (Condition.SUCCEEDED, "fails", "canceled"),
            (Condition.FINISHED, "succeeds", "ready"),
            (Condition.FINISHED, "fails", "ready"),
            (Condition.FAILED, "succeeds", "skipped"),
            (Condition.FAILED, "fails", "ready"),
        ],
    )
    def test_end_of_the_target(
        self, bench: Bench, condition: Condition, end: str, status: str
    ) -> None:
        bench.create(new_step("a"), new_step("b", Edge("a", condition)), new_step("other"))
        step = bench.claim_by_id()["a"]

        bench.settle(completed(step) if end == "succeeds" else failed(step))

        assert bench.statuses()["b"] == status

    @pytest.mark.parametrize(
        ("condition", "dropped", "status"),
        [
            (Condition.SUCCEEDED, "canceled", "canceled"),
            (Condition.FINISHED, "canceled", "ready"),
            (Condition.FAILED, "canceled", "skipped"),
            (Condition.SUCCEEDED, "skipped", "skipped"),
            (Condition.FINISHED, "skipped", "ready"),
            (Condition.FAILED, "skipped", "skipped"),
        ],
    )
    def test_target_that_never_ran(
        self, bench: Bench, condition: Condition, dropped: str, status: str
    ) -> None:
        first = "a" if dropped == "canceled" else on_failure("a")
        bench.create(
            new_step("a"), new_step("dropped", first), new_step("c", Edge("dropped", condition))
        )
        a = bench.claim_one()

        bench.settle(failed(a) if dropped == "canceled" else completed(a))

        assert bench.statuses()["dropped"] == dropped
        assert bench.statuses()["c"] == status

    def test_cancel_goes_all_the_way_and_names_the_root(self, bench: Bench) -> None:
        bench.create(
            new_step("root"), *(new_step(f"s{n}", f"s{n - 1}" if n else "root") for n in range(5))
        )

        bench.fail(bench.claim_one())

        for number in range(5):
            error = bench.step(f"s{number}").error
            assert error is not None
            assert (error.code, error.step) == ("upstream_failed", "root")
            assert "'root' failed" in error.message
        assert bench.run_status() is RunStatus.FAILED
        check_counts(bench)

    def test_skip_goes_all_the_way_and_names_the_root(self, bench: Bench) -> None:
        bench.create(
            new_step("a"),
            new_step("catch", on_failure("a")),
            new_step("clean", "catch"),
            new_step("report", "clean"),
        )

        bench.complete(bench.claim_one())

        for name in ("catch", "clean", "report"):
            step = bench.step(name)
            assert step.status == "skipped"
            assert step.error is not None
            assert (step.error.code, step.error.step) == ("branch_not_taken", "a")
        assert bench.run_status() is RunStatus.SUCCEEDED
        check_counts(bench)

    def test_dropped_step_ends_at_once_whatever_else_it_waits_for(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("slow"), new_step("b", "a", "slow"))
        steps = bench.claim_by_id()

        bench.fail(steps["a"])
        assert bench.statuses()["b"] == "canceled"
        bench.complete(steps["slow"])

        assert bench.statuses()["b"] == "canceled"
        assert bench.run_status() is RunStatus.FAILED
        check_counts(bench)

    def test_cancel_outweighs_skip_in_one_exchange(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("c", on_failure("a"), "b"))
        a, b = bench.claim()

        bench.settle(completed(a), failed(b))

        assert bench.statuses()["c"] == "canceled"
        assert bench.error_code("c") == "upstream_failed"

    def test_diamond_over_a_failure_cancels_its_end_once(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", "a"), new_step("d", "b", "c"))

        bench.fail(bench.claim_one())

        assert bench.event_types(step="d") == ["step.canceled"]
        check_counts(bench)

    def test_both_branches_of_a_catch_join_again(self, bench: Bench) -> None:
        bench.create(
            new_step("try"),
            new_step("then", "try"),
            new_step("catch", on_failure("try")),
            new_step("finally", finished("then"), finished("catch")),
        )

        assert bench.work_off("try") == ["try", "catch", "finally"]
        assert bench.statuses()["then"] == "canceled"


class RunEndTests(RunStoreCase):
    """The end of a run follows from its failures and which of them were handled."""

    def test_failure_fails_the_run_when_nothing_is_open(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        bench.fail(a)
        assert bench.run_status() is RunStatus.RUNNING
        bench.complete(b)

        assert bench.run_status() is RunStatus.FAILED

    def test_caught_failure_is_handled(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("catch", on_failure("a")))

        assert bench.work_off("a") == ["a", "catch"]
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_catch_that_fails_fails_the_run(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("catch", on_failure("a")))

        bench.work_off("a", "catch")

        assert bench.run_status() is RunStatus.FAILED

    def test_optional_dependent_does_not_handle_the_failure(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", finished("a")))

        bench.work_off("a")

        assert bench.run_status() is RunStatus.FAILED

    def test_allowed_failure_does_not_fail_the_run(self, bench: Bench) -> None:
        bench.create(new_step("a", allow_failure=True), new_step("b", "a"), new_step("c"))

        bench.work_off("a")

        assert bench.statuses() == {"a": "failed", "b": "canceled", "c": "succeeded"}
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_run_ends_once_when_its_last_steps_end_together(self, bench: Bench) -> None:
        bench.create(*(new_step(name) for name in "abc"))

        exchange = bench.settle(*(completed(step) for step in bench.claim()))

        assert exchange.ended_runs == ["r"]
        assert bench.event_types().count("run.succeeded") == 1

    def test_several_runs_end_in_one_exchange(self, bench: Bench) -> None:
        for run in ("r1", "r2", "r3"):
            bench.create(new_step("a"), id=run)

        exchange = bench.settle(*(completed(step) for step in bench.claim()))

        assert sorted(exchange.ended_runs) == ["r1", "r2", "r3"]
