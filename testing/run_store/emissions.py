"""Emitted steps: what they may depend on, which steps wait for them, what is refused."""

from __future__ import annotations

import pytest

from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    completed,
    failed,
    finished,
    new_step,
    on_failure,
    subtree,
)
from stepwell.testing.run_store.case import Bench, RunStoreCase, check_counts


class EmissionTests(RunStoreCase):
    """Emitted steps and their dependencies."""

    def test_emitted_steps_are_stored_with_the_emitters_end(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        a = bench.claim_one()

        exchange = bench.exchange(bench.emit(a, new_step("a/1"), new_step("a/2", "a/1")))

        assert [step.id for step in exchange.claimed] == ["a/1"]
        assert bench.statuses() == {"a": "succeeded", "a/1": "running", "a/2": "pending"}
        assert exchange.claimed[0].parent == "a"
        assert bench.step("a/2").parent == "a"
        assert bench.store.result("r", "a").emitted == ("a/1", "a/2")
        assert bench.run_status() is RunStatus.RUNNING
        check_counts(bench)

    def test_run_goes_on_until_what_was_emitted_has_ended(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(bench.emit(bench.claim_one(), new_step("b")))
        bench.settle(bench.emit(bench.claim_one(), new_step("c")))

        bench.complete(bench.claim_one())

        assert bench.run_status() is RunStatus.SUCCEEDED
        assert bench.event_types().count("run.succeeded") == 1
        assert bench.store.run("r").total_steps == 3

    def test_emission_may_depend_on_its_emitter(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        bench.settle(bench.emit(bench.claim_one(), new_step("b", "a")))

        assert bench.statuses()["b"] == "ready"

    def test_emission_may_depend_on_steps_of_the_run_in_any_state(self, bench: Bench) -> None:
        bench.create(
            new_step("done"), new_step("a", "done"), new_step("open", "done"), new_step("far", "a")
        )
        bench.complete(bench.claim_one())
        steps = bench.claim_by_id()

        bench.settle(
            bench.emit(
                steps["a"],
                new_step("on-done", "done"),
                new_step("on-open", "open"),
                new_step("on-far", "far"),
            )
        )

        statuses = bench.statuses()
        assert statuses["on-done"] == "ready"
        assert (statuses["on-open"], statuses["on-far"]) == ("pending", "pending")
        bench.complete(steps["open"])
        assert bench.statuses()["on-open"] == "ready"
        check_counts(bench)

    @pytest.mark.parametrize(
        ("end", "expected"),
        [
            ("completed", {"req": "ready", "opt": "ready", "catch": "skipped"}),
            ("failed", {"req": "canceled", "opt": "ready", "catch": "ready"}),
        ],
    )
    def test_emission_depends_on_a_step_that_ends_in_the_same_exchange(
        self, bench: Bench, end: str, expected: dict[str, str]
    ) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()
        emission = bench.emit(
            a,
            new_step("req", "b"),
            new_step("opt", finished("b")),
            new_step("catch", on_failure("b")),
        )

        bench.settle(emission, completed(b) if end == "completed" else failed(b))

        statuses = bench.statuses()
        assert {name: statuses[name] for name in expected} == expected
        check_counts(bench)

    def test_emission_depends_on_ended_steps(self, bench: Bench) -> None:
        bench.create(
            new_step("bad", allow_failure=True), new_step("canceled", "bad"), new_step("a")
        )
        steps = bench.claim_by_id()
        bench.fail(steps["bad"])

        bench.settle(
            bench.emit(
                steps["a"],
                new_step("x", "canceled"),
                new_step("y", finished("canceled")),
                new_step("z", on_failure("bad")),
                new_step("below-x", "x"),
            )
        )

        assert bench.statuses() == {
            "bad": "failed",
            "canceled": "canceled",
            "a": "succeeded",
            "x": "canceled",
            "y": "ready",
            "z": "ready",
            "below-x": "canceled",
        }
        error = bench.step("below-x").error
        assert error is not None
        assert error.step == "bad"
        check_counts(bench)

    def test_emission_that_is_dropped_whole_still_ends_the_run(self, bench: Bench) -> None:
        bench.create(new_step("ok"), new_step("a", "ok"))
        bench.complete(bench.claim_one())

        exchange = bench.settle(bench.emit(bench.claim_one(), new_step("x", on_failure("ok"))))

        assert bench.statuses()["x"] == "skipped"
        assert exchange.ended_runs == ["r"]
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_two_emissions_of_one_exchange(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        bench.settle(bench.emit(a, new_step("a/1")), bench.emit(b, new_step("b/1", "a")))

        assert bench.statuses() == dict.fromkeys(("a", "b"), "succeeded") | dict.fromkeys(
            ("a/1", "b/1"), "ready"
        )
        assert (bench.step("a/1").parent, bench.step("b/1").parent) == ("a", "b")
        check_counts(bench)


class SubtreeTests(RunStoreCase):
    """`after_subtree`: a join over everything a step emits, at any depth."""

    def test_join_waits_for_emissions_at_any_depth(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("join", subtree("a")))
        bench.settle(bench.emit(bench.claim_one(), new_step("b1"), new_step("b2")))
        assert bench.statuses()["join"] == "pending"
        b1, b2 = bench.claim()
        bench.settle(completed(b1))
        bench.settle(bench.emit(b2, new_step("c1")))
        assert bench.statuses()["join"] == "pending"
        check_counts(bench)

        bench.settle(bench.emit(bench.claim_one(), new_step("d1")))
        assert bench.statuses()["join"] == "pending"
        bench.complete(bench.claim_one())

        assert bench.statuses()["join"] == "ready"
        assert bench.edges() == {("join", name) for name in ("a", "b1", "b2", "c1", "d1")}
        check_counts(bench)

    def test_join_reads_the_values_of_the_whole_subtree(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("join", subtree("a")))
        bench.settle(completed(bench.claim_one(), "A", emitted=[new_step("b")]))
        bench.complete(bench.claim_one(), "B")

        values = bench.store.dependency_values(bench.claim_one())

        assert values == [("a", "work", "succeeded", '"A"'), ("b", "work", "succeeded", '"B"')]

    def test_failure_in_the_subtree_cancels_a_required_join(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("join", subtree("a")))
        bench.settle(bench.emit(bench.claim_one(), new_step("b"), new_step("c")))
        b, c = bench.claim()

        bench.fail(b)
        bench.complete(c)

        assert bench.statuses()["join"] == "canceled"
        assert bench.run_status() is RunStatus.FAILED

    def test_optional_join_waits_for_any_end(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("join", subtree("a", finished("a").condition)))
        bench.settle(bench.emit(bench.claim_one(), new_step("b"), new_step("c", "b")))

        bench.fail(bench.claim_one())

        assert bench.statuses()["join"] == "ready"

    def test_emitting_step_keeps_two_joins_waiting(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("j1", subtree("a")), new_step("j2", subtree("a")))

        bench.settle(bench.emit(bench.claim_one(), new_step("b")))

        assert bench.pending() == {"a": 0, "j1": 1, "j2": 1, "b": 0}

    def test_plain_dependent_does_not_wait_for_emissions(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))

        bench.settle(bench.emit(bench.claim_one(), new_step("a/1")))

        assert bench.statuses()["b"] == "ready"

    def test_emitted_join_covers_what_was_emitted_before(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["a"], new_step("a/1"), new_step("a/2")))
        bench.complete(bench.claim(1)[0])

        bench.settle(bench.emit(steps["b"], new_step("join", subtree("a"))))

        assert bench.edges() == {("join", "a"), ("join", "a/1"), ("join", "a/2")}
        assert bench.pending()["join"] == 1
        bench.settle(bench.emit(bench.claim_one(), new_step("a/2/1")))
        assert bench.statuses()["join"] == "pending"
        bench.complete(bench.claim_one())
        assert bench.statuses()["join"] == "ready"

    def test_join_that_also_depends_on_a_step_of_the_subtree(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["a"], new_step("a/1")))
        bench.settle(bench.emit(steps["b"], new_step("join", "a/1", subtree("a"))))

        bench.settle(bench.emit(bench.claim_one(), new_step("a/1/1")))

        assert bench.statuses()["join"] == "pending"
        bench.complete(bench.claim_one())
        assert bench.statuses()["join"] == "ready"

    def test_join_and_its_target_in_one_emission(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(bench.emit(bench.claim_one(), new_step("b"), new_step("join", subtree("b"))))

        bench.settle(bench.emit(bench.claim_one(), new_step("c")))
        assert bench.statuses()["join"] == "pending"

        bench.complete(bench.claim_one())
        assert bench.statuses()["join"] == "ready"

    def test_join_over_emitters_that_end_in_one_exchange(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("join", subtree("a"), subtree("b")))
        a, b = bench.claim()

        bench.settle(bench.emit(a, new_step("a/1")), bench.emit(b, new_step("b/1")))

        assert bench.pending()["join"] == 2
        bench.work_off()
        assert bench.statuses()["join"] == "succeeded"
        check_counts(bench)

    @pytest.mark.parametrize("first", [0, 1])
    def test_join_emitted_while_its_subtree_grows(self, bench: Bench, first: int) -> None:
        """A join over a stored step, and a new step below that one, in the same exchange."""
        bench.create(new_step("top"), new_step("other"))
        top, other = bench.claim(2)
        bench.settle(bench.emit(top, new_step("child")))
        child = bench.claim_one()
        outcomes = [
            bench.emit(other, new_step("join", subtree("top"))),
            bench.emit(child, new_step("grandchild")),
        ]

        bench.settle(outcomes[first], outcomes[1 - first])

        assert bench.statuses()["join"] == "pending"
        assert ("join", "grandchild") in bench.edges()
        check_counts(bench)
        bench.complete(bench.claim_one())
        assert bench.statuses()["join"] == "ready"

    def test_join_over_an_emission_that_is_dropped(self, bench: Bench) -> None:
        bench.create(
            new_step("ok"),
            new_step("a", "ok"),
            new_step("join", subtree("a", finished("a").condition)),
        )
        bench.complete(bench.claim_one())

        bench.settle(bench.emit(bench.claim_one(), new_step("x", on_failure("ok"))))

        assert bench.statuses() == {
            "ok": "succeeded",
            "a": "succeeded",
            "join": "ready",
            "x": "skipped",
        }


class DedupTests(RunStoreCase):
    """A dedup key names one step per run."""

    def test_known_key_makes_no_second_step(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("one", "a", dedup_key="k"), new_step("b", "a"))
        bench.complete(bench.claim_one())
        steps = bench.claim_by_id()

        bench.settle(
            bench.emit(steps["b"], new_step("two", dedup_key="k"), new_step("after-two", "two"))
        )

        assert list(bench.statuses()) == ["a", "one", "b", "after-two"]
        assert bench.edges() == {("one", "a"), ("b", "a"), ("after-two", "one")}
        bench.complete(steps["one"])
        assert bench.statuses()["after-two"] == "ready"
        check_counts(bench)

    def test_same_key_from_two_emissions(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        bench.settle(bench.emit(a, new_step("a/1", dedup_key="k")))
        exchange = bench.settle(bench.emit(b, new_step("b/1", dedup_key="k")))

        assert exchange.refused == []
        assert list(bench.statuses()) == ["a", "b", "a/1"]

    def test_same_key_from_two_emissions_of_one_exchange(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        exchange = bench.exchange(
            bench.emit(a, new_step("a/1", dedup_key="k")),
            bench.emit(b, new_step("b/1", dedup_key="k"), new_step("b/2", "b/1")),
        )

        assert exchange.refused == []
        assert bench.statuses() == {
            "a": "succeeded",
            "b": "succeeded",
            "a/1": "running",
            "b/2": "pending",
        }
        assert bench.edges() == {("b/2", "a/1")}
        check_counts(bench)

    def test_same_key_in_two_runs_is_two_steps(self, bench: Bench) -> None:
        bench.create(new_step("a", dedup_key="k"), id="r1")
        bench.create(new_step("a", dedup_key="k"), id="r2")

        assert len(bench.claim()) == 2

    def test_known_key_of_an_ended_step(self, bench: Bench) -> None:
        bench.create(new_step("one", dedup_key="k"), new_step("b", "one"))
        bench.complete(bench.claim_one())

        bench.settle(
            bench.emit(bench.claim_one(), new_step("x", dedup_key="k"), new_step("y", "x"))
        )

        assert bench.statuses()["y"] == "ready"
