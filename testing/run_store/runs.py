"""Runs: stored completely or not at all, and read back unchanged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepwell.engine.clock import VirtualClock, to_datetime
from stepwell.engine.errors import Conflict, NotFound, RefusedByState
from stepwell.engine.model import RunFilter, StepFilter
from stepwell.engine.ports import RunStore
from stepwell.engine.run_options import Start
from stepwell.engine.states import Condition, RunStatus, StepStatus
from stepwell.testing.builders import completed, finished, new_run, new_step, subtree
from stepwell.testing.run_store.case import SECOND, Bench, RunStoreCase


class RunTests(RunStoreCase):
    """`ports.Runs`."""

    def test_run_is_read_as_it_was_given(self, store: RunStore, clock: VirtualClock) -> None:
        new = new_run(
            "r", new_step("a"), name="nightly", input={"n": 1}, metadata={"m": 2}, tags=["x", "y"]
        )

        made, start = store.create_run(new)

        assert start is Start.STARTED
        assert made == store.run("r")
        assert (made.id, made.package, made.entrypoint) == ("r", "tests", "start")
        assert (made.name, made.input, made.metadata) == ("nightly", {"n": 1}, {"m": 2})
        assert made.tags == ("x", "y")
        assert made.status is RunStatus.PENDING
        assert (made.total_steps, made.open_steps) == (1, 1)
        assert made.created_at == to_datetime(clock.micros())
        assert (made.started_at, made.ended_at) == (None, None)
        assert (made.parent_run, made.parent_step) == (None, None)

    def test_step_is_read_as_it_was_given(self, bench: Bench) -> None:
        bench.create(
            new_step(
                "a",
                priority=-7,
                input='{"x":[1,"ä"]}',
                max_attempts=4,
                timeout=1_500_000,
                dedup_key="once",
                metadata='{"k":1}',
                package="elsewhere",
                allow_failure=True,
            )
        )

        step = bench.step("a")

        assert (step.id, step.run_id, step.kind, step.queue) == ("a", "r", "work", "default")
        assert (step.priority, step.input, step.metadata) == (-7, {"x": [1, "ä"]}, {"k": 1})
        assert (step.max_attempts, step.timeout) == (4, timedelta(seconds=1.5))
        assert (step.dedup_key, step.package, step.parent) == ("once", "elsewhere", None)
        assert step.allow_failure
        assert step.status is StepStatus.READY
        assert (step.attempt, step.failures, step.pending) == (0, 0, 0)
        assert (step.worker, step.error, step.started_at, step.ended_at) == (None,) * 4

    def test_run_without_steps_ends_at_once(self, bench: Bench) -> None:
        bench.create()

        run = bench.store.run("r")
        assert run.status is RunStatus.SUCCEEDED
        assert [event.type for event in bench.store.events("r")] == ["run.created", "run.succeeded"]

    def test_site_defaults_to_the_package_of_the_run(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        assert bench.step("a").package == "tests"

    def test_steps_without_dependencies_are_ready_and_the_others_pending(
        self, bench: Bench
    ) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c"))

        assert bench.statuses() == {"a": "ready", "b": "pending", "c": "ready"}

    def test_steps_come_in_order_of_creation(self, bench: Bench) -> None:
        names = [f"s{number}" for number in (3, 1, 2, 10)]
        bench.create(*(new_step(name) for name in names))

        assert [step.id for step in bench.steps()] == names

    def test_dependency_may_point_to_a_later_step(self, bench: Bench) -> None:
        bench.create(new_step("b", "a"), new_step("a"))

        assert bench.work_off() == ["a", "b"]

    def test_edges_are_read_as_given(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("c", finished("a"), subtree("b")))

        rows = {(row.step, row.target): row for row in bench.edge_rows()}

        assert set(rows) == {("c", "a"), ("c", "b")}
        assert rows["c", "a"].condition is Condition.FINISHED
        assert (rows["c", "a"].subtree, rows["c", "b"].subtree) == (False, True)

    def test_taken_id_is_refused_and_nothing_stored(self, bench: Bench) -> None:
        bench.create(new_step("a"), name="first", input=1)

        with pytest.raises(Conflict, match="'r' exists already"):
            bench.create(new_step("x"), new_step("y"), name="second", input=2)

        assert bench.store.run("r").name == "first"
        assert list(bench.statuses()) == ["a"]
        assert bench.event_types() == ["run.created"]
        assert [run.id for run in bench.store.runs(RunFilter())] == ["r"]

    def test_same_step_ids_in_two_runs_are_two_steps(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="r1")
        bench.create(new_step("a"), id="r2")

        first, second = bench.claim()
        bench.complete(first, 1)
        bench.fail(second)

        assert bench.run_status("r1") is RunStatus.SUCCEEDED
        assert bench.run_status("r2") is RunStatus.FAILED

    def test_unknown_run_is_not_found_with_the_nearest_id(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="nightly-1")

        for read in (bench.store.run, bench.store.progress, bench.store.edges):
            with pytest.raises(NotFound, match=r"no run 'nightly-2'; did you mean 'nightly-1'\?"):
                read("nightly-2")
        with pytest.raises(NotFound, match="nightly-1"):
            bench.store.steps("nightly-2", StepFilter())
        with pytest.raises(NotFound, match="nightly-1"):
            bench.store.events("nightly-2")

    def test_unknown_step_is_not_found_with_the_nearest_id(self, bench: Bench) -> None:
        bench.create(new_step("price:pen"))

        for read in (bench.store.step, bench.store.result, bench.store.artifacts):
            with pytest.raises(NotFound, match=r"no step 'price:pem'; did you mean 'price:pen'"):
                read("r", "price:pem")

    def test_status_of_any_run_or_none(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        assert bench.store.run_status("r") == "pending"
        assert bench.store.run_status("other") is None

    def test_which_of_some_runs_are_open(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="r1")
        bench.create(new_step("a"), id="r2")
        first, _ = bench.claim()
        bench.complete(first)

        assert bench.store.open_runs(["r1", "r2", "none", 'a"b']) == {"r2"}
        assert bench.store.open_runs([]) == set()

    def test_run_starts_with_its_first_claim(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        clock.advance(SECOND)
        started = to_datetime(clock.micros())

        step = bench.claim_one()
        clock.advance(SECOND)
        bench.complete(step)
        bench.claim_one()

        run = bench.store.run("r")
        assert run.status is RunStatus.RUNNING
        assert run.started_at == started

    def test_run_ends_when_its_last_step_does(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        clock.advance(SECOND)

        exchange = bench.settle(completed(step))

        assert exchange.ended_runs == ["r"]
        run = bench.store.run("r")
        assert run.status is RunStatus.SUCCEEDED
        assert run.ended_at == to_datetime(clock.micros())
        assert run.open_steps == 0

    def test_no_result_before_the_end(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        with pytest.raises(RefusedByState, match="'a' is ready; it has no result yet"):
            bench.store.result("r", "a")

    def test_result_of_a_success(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        bench.complete(bench.claim_one(), {"n": [1, None, "ß"]})

        result = bench.store.result("r", "a")

        assert (result.run_id, result.step_id, result.status) == ("r", "a", "succeeded")
        assert result.value == {"n": [1, None, "ß"]}
        assert (result.records, result.artifacts, result.emitted) == ((), (), ())
        assert result.error is None
        assert result.completed_at == to_datetime(clock.micros())

    def test_result_of_a_failure(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.fail(bench.claim_one(), "no_paper")

        result = bench.store.result("r", "a")

        assert (result.status, result.value) == ("failed", None)
        assert result.error is not None
        assert (result.error.code, result.error.message) == ("no_paper", "it is no_paper")

    def test_steps_by_status_kind_and_limit(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", kind="other"), new_step("d"))

        def ids(where: StepFilter) -> list[str]:
            return [step.id for step in bench.store.steps("r", where)]

        assert ids(StepFilter(status=StepStatus.READY)) == ["a", "c", "d"]
        assert ids(StepFilter(kind="other")) == ["c"]
        assert ids(StepFilter(status=StepStatus.READY, kind="work", limit=1)) == ["a"]

    def test_steps_page_by_page(self, bench: Bench) -> None:
        bench.create(*(new_step(name) for name in "abcd"), new_step("o", kind="other"))

        def page(after: str | None, **where: Any) -> list[str]:
            found = bench.store.steps("r", StepFilter(limit=2, after=after, **where))
            return [step.id for step in found]

        assert [page(after) for after in (None, "b", "d", "o")] == [
            ["a", "b"],
            ["c", "d"],
            ["o"],
            [],
        ]
        assert page("a", kind="other") == ["o"]
        with pytest.raises(NotFound, match="run 'r' has no step 'z'"):
            page("z")


class RunListTests(RunStoreCase):
    """`ports.Runs.runs`."""

    @pytest.fixture
    def four(self, bench: Bench) -> Bench:
        """Four runs: r1 and r2 ended, r3 and r4 pending."""
        bench.create(new_step("a"), id="r1", package="p", tags=["x"])
        bench.create(new_step("a"), id="r2", package="q", tags=["x", "y"])
        bench.work_off("nothing")
        bench.create(new_step("a"), id="r3", package="p", name="nightly", tags=["xy"])
        bench.create(new_step("a"), id="r4", package="p", tags=['quo"ted', 'a","b'])
        return bench

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            (RunFilter(), ["r4", "r3", "r2", "r1"]),
            (RunFilter(package="p"), ["r4", "r3", "r1"]),
            (RunFilter(status=RunStatus.SUCCEEDED), ["r2", "r1"]),
            (RunFilter(status=RunStatus.FAILED), []),
            (RunFilter(name="nightly"), ["r3"]),
            (RunFilter(tag="x"), ["r2", "r1"]),
            (RunFilter(tag='quo"ted'), ["r4"]),
            (RunFilter(tag='a","b'), ["r4"]),
            (RunFilter(tag="b"), []),
            (RunFilter(package="p", tag="x"), ["r1"]),
            (RunFilter(limit=2), ["r4", "r3"]),
            (RunFilter(limit=2, before="r3"), ["r2", "r1"]),
            (RunFilter(package="p", before="r3"), ["r1"]),
            (RunFilter(before="r1"), []),
        ],
    )
    def test_filter(self, four: Bench, where: RunFilter, expected: list[str]) -> None:
        assert [run.id for run in four.store.runs(where)] == expected

    def test_page_after_an_unknown_run_is_not_found(self, four: Bench) -> None:
        with pytest.raises(NotFound, match="no run 'r9'"):
            four.store.runs(RunFilter(before="r9"))
