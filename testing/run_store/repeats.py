"""Joins over a step that emitted an existing step again: the first one stands for all."""

from __future__ import annotations

import pytest

from stepwell.engine.exchange import Edge
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import completed, finished, new_step, on_failure, subtree
from stepwell.testing.run_store.case import OPERATOR, Bench, RunStoreCase, check_counts


def of_any_end(id: str) -> Edge:
    """An edge to the target and everything below it, met by any end."""
    return subtree(id, finished(id).condition)


class RepeatTests(RunStoreCase):
    """`after_subtree` over emissions with a known dedup key."""

    def test_join_waits_for_the_first_step_of_the_key_and_sees_its_result(
        self, bench: Bench
    ) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("join", subtree("b")))
        a, b = bench.claim()
        bench.settle(bench.emit(a, new_step("one", dedup_key="k")))

        bench.settle(completed(b, "B", emitted=[new_step("two", dedup_key="k")]))

        assert bench.pending()["join"] == 1
        assert bench.edges() == {("join", "b"), ("join", "one")}
        check_counts(bench)
        bench.complete(bench.claim_one(), "ONE")
        join = bench.claim_one()
        assert join.id == "join"
        assert bench.store.dependency_values(join) == [
            ("b", "work", "succeeded", '"B"'),
            ("one", "work", "succeeded", '"ONE"'),
        ]

    def test_join_sees_a_first_step_that_has_ended(self, bench: Bench) -> None:
        bench.create(
            new_step("one", dedup_key="k"), new_step("b", "one"), new_step("join", subtree("b"))
        )
        bench.complete(bench.claim_one(), "ONE")

        bench.settle(bench.emit(bench.claim_one(), new_step("two", dedup_key="k")))

        assert bench.statuses()["join"] == "ready"
        values = bench.store.dependency_values(bench.claim_one())
        assert [(step, value) for step, _, _, value in values] == [("one", '"ONE"'), ("b", "null")]

    def test_join_waits_for_all_below_the_first_step_now_and_later(self, bench: Bench) -> None:
        bench.create(
            new_step("one", dedup_key="k"), new_step("b", "one"), new_step("join", subtree("b"))
        )
        bench.settle(bench.emit(bench.claim_one(), new_step("one/1"), new_step("one/2")))
        steps = bench.claim_by_id()
        bench.complete(steps["one/1"])

        bench.settle(bench.emit(steps["b"], new_step("two", dedup_key="k")))

        assert bench.pending()["join"] == 1
        bench.settle(bench.emit(steps["one/2"], new_step("one/2/1")))
        assert bench.statuses()["join"] == "pending"
        check_counts(bench)
        bench.complete(bench.claim_one())
        assert bench.statuses()["join"] == "ready"
        below = {"one", "one/1", "one/2", "one/2/1"}
        assert bench.edges() == {("b", "one"), *(("join", name) for name in {"b", *below})}

    def test_failure_of_the_first_step_cancels_the_join(self, bench: Bench) -> None:
        bench.create(new_step("one", dedup_key="k"), new_step("b"), new_step("join", subtree("b")))
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["b"], new_step("two", dedup_key="k")))

        bench.fail(steps["one"])

        assert bench.statuses()["join"] == "canceled"
        assert bench.run_status() is RunStatus.FAILED
        check_counts(bench)

    @pytest.mark.parametrize(
        ("edge", "expected"),
        [
            (subtree("b"), "canceled"),
            (of_any_end("b"), "ready"),
            (subtree("b", on_failure("b").condition), "skipped"),
        ],
    )
    def test_first_step_that_has_failed_counts_by_the_joins_condition(
        self, bench: Bench, edge: Edge, expected: str
    ) -> None:
        bench.create(
            new_step("one", dedup_key="k", allow_failure=True),
            new_step("b", finished("one")),
            new_step("join", edge),
        )
        bench.fail(bench.claim_one())

        bench.settle(bench.emit(bench.claim_one(), new_step("two", dedup_key="k")))

        assert bench.statuses()["join"] == expected
        check_counts(bench)

    def test_two_joins_and_two_keys(self, bench: Bench) -> None:
        bench.create(
            *(new_step(name, dedup_key=name) for name in ("k1", "k2")),
            new_step("b"),
            new_step("j1", subtree("b")),
            new_step("j2", subtree("b")),
        )
        steps = bench.claim_by_id()

        bench.settle(
            bench.emit(
                steps["b"],
                new_step("x1", dedup_key="k1"),
                new_step("new"),
                new_step("x2", dedup_key="k2"),
                new_step("x3", dedup_key="k1"),
            )
        )

        assert (bench.pending()["j1"], bench.pending()["j2"]) == (3, 3)
        check_counts(bench)
        bench.settle(completed(steps["k1"]), completed(steps["k2"]))
        bench.work_off()
        assert bench.run_status() is RunStatus.SUCCEEDED

    @pytest.mark.parametrize("order", [1, -1])
    def test_first_step_ends_in_the_same_exchange(self, bench: Bench, order: int) -> None:
        bench.create(new_step("one", dedup_key="k"), new_step("b"), new_step("join", subtree("b")))
        steps = bench.claim_by_id()
        outcomes = [
            completed(steps["one"], emitted=[new_step("one/1")]),
            bench.emit(steps["b"], new_step("two", dedup_key="k")),
        ]

        bench.settle(*outcomes[::order])

        assert bench.edges() == {("join", "b"), ("join", "one"), ("join", "one/1")}
        assert bench.pending()["join"] == 1
        check_counts(bench)
        assert bench.work_off() == ["one/1", "join"]

    @pytest.mark.parametrize("order", [1, -1])
    def test_first_step_repeats_another_in_the_same_exchange(
        self, bench: Bench, order: int
    ) -> None:
        bench.create(
            new_step("far", dedup_key="far"),
            new_step("one", dedup_key="k"),
            new_step("b"),
            new_step("join", subtree("b")),
        )
        steps = bench.claim_by_id()
        outcomes = [
            bench.emit(steps["one"], new_step("x", dedup_key="far")),
            bench.emit(steps["b"], new_step("y", dedup_key="k")),
        ]

        bench.settle(*outcomes[::order])

        assert bench.edges() == {("join", "b"), ("join", "one"), ("join", "far")}
        check_counts(bench)
        bench.complete(steps["far"])
        assert bench.statuses()["join"] == "ready"

    def test_repetition_within_the_subtree_changes_nothing(self, bench: Bench) -> None:
        """A crawler's pages, which link to each other: all of them are below the root already."""
        bench.create(new_step("root"), new_step("join", subtree("root")))
        bench.settle(
            bench.emit(bench.claim_one(), *(new_step(p, dedup_key=p) for p in ("p1", "p2")))
        )
        before = bench.edge_rows()
        p1, p2 = bench.claim()

        bench.settle(
            bench.emit(p1, new_step("x", dedup_key="p2")),
            bench.emit(p2, new_step("y", dedup_key="p1"), new_step("z", dedup_key="p2")),
        )

        assert bench.edge_rows() == before
        assert bench.statuses()["join"] == "ready"
        check_counts(bench)

    def test_plain_dependency_on_the_first_step_becomes_one_on_its_subtree(
        self, bench: Bench
    ) -> None:
        bench.create(
            new_step("one", dedup_key="k"), new_step("b"), new_step("join", "one", subtree("b"))
        )
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["b"], new_step("two", dedup_key="k")))
        assert bench.pending()["join"] == 1

        bench.settle(bench.emit(steps["one"], new_step("one/1")))

        assert bench.pending()["join"] == 1
        bench.complete(bench.claim_one())
        assert bench.statuses()["join"] == "ready"

    def test_what_waits_for_the_join_is_left_out(self, bench: Bench) -> None:
        """Neither the join itself nor a step after it counts: they can never come before it."""
        bench.create(
            new_step("b"),
            new_step("join", subtree("b"), dedup_key="join"),
            new_step("last", "join", dedup_key="last"),
        )

        exchange = bench.settle(
            bench.emit(
                bench.claim_one(),
                new_step("x", dedup_key="join"),
                new_step("y", dedup_key="last"),
            )
        )

        assert exchange.refused == []
        assert bench.edges() == {("join", "b"), ("last", "join")}
        assert bench.work_off() == ["join", "last"]

    def test_join_below_the_first_step_does_not_wait_for_itself(self, bench: Bench) -> None:
        """A page emits another page with a join over it, which links back to the first."""
        bench.create(new_step("p1", dedup_key="p1"))
        bench.settle(
            bench.emit(
                bench.claim_one(),
                new_step("p2", dedup_key="p2"),
                new_step("beside"),
                new_step("join", subtree("p2")),
                new_step("after", "join"),
            )
        )
        steps = bench.claim_by_id()

        bench.settle(bench.emit(steps["p2"], new_step("x", dedup_key="p1")))

        assert ("join", "p1") in bench.edges()
        assert ("join", "beside") in bench.edges()
        assert bench.pending()["join"] == 1
        check_counts(bench)
        bench.complete(steps["beside"])
        assert bench.work_off() == ["join", "after"]

    def test_first_step_that_is_retried_is_waited_for_with_what_it_emits(
        self, bench: Bench
    ) -> None:
        bench.create(
            new_step("one", dedup_key="k", allow_failure=True),
            new_step("b", finished("one")),
            new_step("join", subtree("b")),
        )
        bench.fail(bench.claim_one())
        bench.settle(bench.emit(bench.claim_one(), new_step("two", dedup_key="k")))
        assert bench.statuses()["join"] == "canceled"

        bench.store.retry_step("r", "one", OPERATOR)
        bench.settle(bench.emit(bench.claim_one(), new_step("one/1")))

        assert bench.statuses()["join"] == "pending"
        check_counts(bench)
        assert bench.work_off() == ["one/1", "join"]
