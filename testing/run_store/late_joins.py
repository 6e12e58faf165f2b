"""Joins made after their targets have ended, if the targets had repeated a dedup key."""

from __future__ import annotations

import pytest

from stepwell.engine.exchange import ClaimedStep, Edge, NewStep
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import completed, new_step, on_failure, subtree
from stepwell.testing.run_store.case import Bench, RunStoreCase, check_counts
from stepwell.testing.run_store.repeats import of_any_end


class LateJoinTests(RunStoreCase):
    """`after_subtree` over steps that ended before, and had repeated a key."""

    def repeat(self, bench: Bench, *steps: NewStep) -> dict[str, ClaimedStep]:
        """Let `planner` repeat the key of `one`; returns the claims of the other ready steps."""
        bench.create(new_step("one", dedup_key="k"), new_step("planner"), *steps)
        claimed = bench.claim_by_id()
        bench.complete(claimed.pop("planner"), emitted=[new_step("two", dedup_key="k")])
        return claimed

    def test_join_waits_for_the_first_step_and_sees_its_result(self, bench: Bench) -> None:
        steps = self.repeat(bench, new_step("b"))

        bench.settle(bench.emit(steps["b"], new_step("join", subtree("planner"))))

        assert bench.pending()["join"] == 1
        assert bench.edges() == {("join", "planner"), ("join", "one")}
        check_counts(bench)
        bench.complete(steps["one"], "ONE")
        assert bench.store.dependency_values(bench.claim_one()) == [
            ("one", "work", "succeeded", '"ONE"'),
            ("planner", "work", "succeeded", "null"),
        ]

    def test_join_over_a_grandparent(self, bench: Bench) -> None:
        bench.create(new_step("one", dedup_key="k"), new_step("b"), new_step("top"))
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["top"], new_step("mid")))
        bench.settle(bench.emit(bench.claim_one(), new_step("planner"), new_step("beside")))
        below = bench.claim_by_id()
        bench.settle(bench.emit(below["planner"], new_step("two", dedup_key="k")))

        bench.settle(bench.emit(steps["b"], new_step("join", subtree("top"))))

        assert bench.pending()["join"] == 2
        bench.settle(completed(below["beside"]), completed(steps["one"]))
        assert bench.statuses()["join"] == "ready"
        check_counts(bench)

    def test_join_waits_for_what_the_first_step_emits_and_repeats_later(self, bench: Bench) -> None:
        steps = self.repeat(bench, new_step("b"), new_step("far", dedup_key="far"))
        bench.settle(bench.emit(steps["b"], new_step("join", subtree("planner"))))

        bench.settle(
            bench.emit(steps["one"], new_step("one/1"), new_step("again", dedup_key="far"))
        )

        assert bench.pending()["join"] == 2
        one_1 = bench.claim_one()
        bench.settle(completed(steps["far"]), bench.emit(one_1, new_step("one/1/1")))
        assert bench.pending()["join"] == 1
        check_counts(bench)
        bench.complete(bench.claim_one())
        assert bench.statuses()["join"] == "ready"

    def test_join_covers_what_the_first_step_has_emitted_and_repeated(self, bench: Bench) -> None:
        steps = self.repeat(bench, new_step("b"), new_step("far", dedup_key="far"))
        again = new_step("again", dedup_key="far")
        bench.settle(bench.emit(steps["one"], new_step("one/1"), again))

        bench.settle(bench.emit(steps["b"], new_step("join", subtree("planner"))))

        targets = ("planner", "one", "one/1", "far")
        assert bench.edges() == {("join", target) for target in targets}
        assert bench.pending()["join"] == 2
        check_counts(bench)

    def test_join_made_before_covers_what_the_first_step_had_repeated(self, bench: Bench) -> None:
        bench.create(
            new_step("far", dedup_key="far"),
            new_step("one", dedup_key="k"),
            new_step("b"),
            new_step("join", subtree("b")),
        )
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["one"], new_step("x", dedup_key="far")))

        bench.settle(bench.emit(steps["b"], new_step("y", dedup_key="k")))

        assert bench.edges() == {("join", "b"), ("join", "one"), ("join", "far")}
        check_counts(bench)
        bench.complete(steps["far"])
        assert bench.statuses()["join"] == "ready"

    def test_repeats_in_a_circle_end(self, bench: Bench) -> None:
        """Three pages that link to each other, and another one that joins one of them."""
        pages = ("p1", "p2", "p3")
        bench.create(*(new_step(page, dedup_key=page) for page in pages), new_step("b"))
        steps = bench.claim_by_id()
        for page, link in zip(pages, ("p2", "p3", "p1"), strict=True):
            emitted = [new_step(f"{page}>", dedup_key=link), new_step(page * 2)]
            bench.complete(steps[page], emitted=emitted)

        bench.settle(bench.emit(steps["b"], new_step("join", subtree("p2"))))

        assert bench.pending()["join"] == 3
        assert {target for _, target in bench.edges()} == {*pages, *(page * 2 for page in pages)}
        check_counts(bench)
        assert bench.work_off()[-1] == "join"

    def test_first_step_that_emits_the_join(self, bench: Bench) -> None:
        """It waits for its siblings, but neither for itself nor for its dependents."""
        steps = self.repeat(bench)

        exchange = bench.settle(
            bench.emit(
                steps["one"],
                new_step("join", subtree("planner")),
                new_step("beside"),
                new_step("after", "join"),
            )
        )

        assert exchange.refused == []
        assert bench.pending()["join"] == 1
        check_counts(bench)
        assert bench.edges() == {
            ("after", "join"),
            *(("join", target) for target in ("planner", "one", "beside")),
        }
        assert bench.work_off() == ["beside", "join", "after"]
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_first_step_above_the_one_that_emits_the_join(self, bench: Bench) -> None:
        steps = self.repeat(bench)
        over_all = new_step("over", subtree("mid"))
        bench.settle(bench.emit(steps["one"], new_step("mid"), over_all, new_step("beside")))
        steps = bench.claim_by_id()

        exchange = bench.settle(bench.emit(steps["mid"], new_step("join", subtree("planner"))))

        assert exchange.refused == []
        assert bench.pending()["join"] == 1
        check_counts(bench)
        bench.settle(bench.emit(steps["beside"], new_step("beside/1")))
        assert bench.work_off() == ["beside/1", "join", "over"]
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_two_joins_that_repeats_lead_to_each_other(self, bench: Bench) -> None:
        """Only one of them waits for the other."""
        steps = self.repeat(bench)

        bench.settle(
            bench.emit(
                steps["one"],
                new_step("j1", subtree("planner")),
                new_step("j2", subtree("planner")),
            )
        )

        assert sorted(bench.pending()[name] for name in ("j1", "j2")) == [0, 1]
        check_counts(bench)
        assert len(bench.work_off()) == 2
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_first_step_that_waits_for_a_join_of_the_emitter(self, bench: Bench) -> None:
        """It follows everything that `b` emits, and so the join, which does not wait for it."""
        bench.create(
            new_step("planner"),
            new_step("b"),
            new_step("all", subtree("b")),
            new_step("last", "all", dedup_key="k"),
        )
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["planner"], new_step("two", dedup_key="k")))

        exchange = bench.settle(bench.emit(steps["b"], new_step("join", subtree("planner"))))

        assert exchange.refused == []
        assert bench.statuses()["join"] == "ready"
        assert bench.work_off() == ["join", "all", "last"]

    def test_first_step_that_has_ended(self, bench: Bench) -> None:
        steps = self.repeat(bench, new_step("b"))
        bench.complete(steps["one"], "ONE")

        exchange = bench.exchange(bench.emit(steps["b"], new_step("join", subtree("planner"))))

        (join,) = exchange.claimed
        values = bench.store.dependency_values(join)
        assert [(step, value) for step, _, _, value in values] == [
            ("one", '"ONE"'),
            ("planner", "null"),
        ]
        check_counts(bench)

    @pytest.mark.parametrize(
        ("edge", "expected"),
        [
            (subtree("planner"), "canceled"),
            (of_any_end("planner"), "ready"),
            (subtree("planner", on_failure("planner").condition), "skipped"),
        ],
    )
    def test_first_step_that_has_failed(self, bench: Bench, edge: Edge, expected: str) -> None:
        steps = self.repeat(bench, new_step("b"))
        bench.fail(steps["one"])

        bench.settle(bench.emit(steps["b"], new_step("join", edge), new_step("other")))

        assert bench.statuses()["join"] == expected
        assert ("join", "one") in bench.edges()
        check_counts(bench)

    def test_first_step_that_fails_later(self, bench: Bench) -> None:
        steps = self.repeat(bench, new_step("b"))
        bench.settle(bench.emit(steps["b"], new_step("join", subtree("planner"))))

        bench.fail(steps["one"])

        assert bench.statuses()["join"] == "canceled"
        assert bench.run_status() is RunStatus.FAILED
        check_counts(bench)

    @pytest.mark.parametrize("order", [1, -1])
    def test_join_and_repetition_in_one_exchange(self, bench: Bench, order: int) -> None:
        bench.create(new_step("one", dedup_key="k"), new_step("planner"), new_step("b"))
        steps = bench.claim_by_id()
        outcomes = [
            bench.emit(steps["planner"], new_step("two", dedup_key="k")),
            bench.emit(steps["one"], new_step("one/1")),
            bench.emit(steps["b"], new_step("join", subtree("planner"))),
        ]

        bench.settle(*outcomes[::order])

        assert bench.pending()["join"] == 1
        assert bench.edges() == {("join", name) for name in ("planner", "one", "one/1")}
        check_counts(bench)
        assert bench.work_off() == ["one/1", "join"]

    def test_plain_dependency_of_the_join_becomes_one_on_the_subtree(self, bench: Bench) -> None:
        steps = self.repeat(bench, new_step("b"))
        bench.settle(bench.emit(steps["b"], new_step("join", "one", subtree("planner"))))
        assert bench.pending()["join"] == 1

        bench.settle(bench.emit(steps["one"], new_step("one/1")))

        assert bench.pending()["join"] == 1
        bench.complete(bench.claim_one())
        assert bench.statuses()["join"] == "ready"

    def test_join_over_the_name_of_a_repeated_step(self, bench: Bench) -> None:
        """Its handle is that of the first step, which has repeated another one."""
        bench.create(
            new_step("far", dedup_key="far"), new_step("one", dedup_key="k"), new_step("b")
        )
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["one"], new_step("x", dedup_key="far")))

        bench.settle(
            bench.emit(steps["b"], new_step("two", dedup_key="k"), new_step("join", subtree("two")))
        )

        assert bench.edges() == {("join", "one"), ("join", "far")}
        assert bench.pending()["join"] == 1
        check_counts(bench)
