"""Invalid emissions: refused as a whole, without harm to others."""

from __future__ import annotations

from stepwell.engine.errors import InvalidGraph
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    completed,
    new_record,
    new_step,
    subtree,
)
from stepwell.testing.run_store.case import OPERATOR, Bench, RunStoreCase, check_counts


class RefusedEmissionTests(RunStoreCase):
    """An invalid emission is refused as a whole, and its neighbours are settled."""

    def refused(self, bench: Bench, emission: object, *others: object) -> str:
        exchange = bench.settle(emission, *others)  # type: ignore[arg-type]  # outcomes
        (refusal,) = exchange.refused
        assert exchange.lost == []
        assert isinstance(refusal.error, InvalidGraph)
        return str(refusal.error)

    def test_taken_id(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, _ = bench.claim()

        message = self.refused(bench, bench.emit(a, new_step("ok"), new_step("b")))

        assert message == "emit.step('b'): the run has a step with this id"
        assert bench.statuses() == {"a": "running", "b": "running"}

    def test_id_taken_in_the_same_exchange(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        message = self.refused(
            bench, bench.emit(a, new_step("x")), bench.emit(b, new_step("x"), new_step("y"))
        )

        assert "'x'" in message
        assert bench.statuses() == {"a": "succeeded", "b": "running", "x": "ready"}

    def test_missing_target_names_the_nearest(self, bench: Bench) -> None:
        bench.create(new_step("price:pen"), new_step("a"))
        steps = bench.claim_by_id()

        message = self.refused(bench, bench.emit(steps["a"], new_step("x", "price:pem")))

        assert message == (
            "emit.step('x').after: there is no step 'price:pem' in the run; "
            "did you mean 'price:pen'?"
        )

    def test_target_in_another_run_is_missing(self, bench: Bench) -> None:
        bench.create(new_step("elsewhere"), id="r2")
        bench.create(new_step("a"))
        steps = bench.claim_by_id()

        message = self.refused(bench, bench.emit(steps["a"], new_step("x", "elsewhere")))

        assert "no step 'elsewhere'" in message

    def test_cycle_through_a_join(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("join", subtree("a")), new_step("last", "join"))

        for target in ("join", "last"):
            message = self.refused(bench, bench.emit(bench.claim_one(), new_step("x", target)))
            assert "cycle" in message
            assert repr(target) in message
            bench.lapse(max_lost_leases=9)

    def test_subtree_of_an_ancestor(self, bench: Bench) -> None:
        bench.create(new_step("top"))
        bench.settle(bench.emit(bench.claim_one(), new_step("mid")))
        mid = bench.claim_one()

        for target in ("mid", "top"):
            message = self.refused(bench, bench.emit(mid, new_step("x", subtree(target))))
            assert f"{target!r} is above the step itself" in message

    def test_cycle_through_the_joins_of_two_emissions_of_one_exchange(self, bench: Bench) -> None:
        bench.create(
            new_step("a"), new_step("b"), new_step("ja", subtree("a")), new_step("jb", subtree("b"))
        )
        a, b = bench.claim()

        message = self.refused(
            bench, bench.emit(a, new_step("x", "jb")), bench.emit(b, new_step("y", "ja"))
        )

        assert "cycle" in message
        bench.complete(b)
        bench.work_off()
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_cycle_through_the_subtree_of_another_step(self, bench: Bench) -> None:
        bench.create(new_step("t"), new_step("p"), new_step("join", subtree("p")))
        steps = bench.claim_by_id()
        bench.settle(bench.emit(steps["t"], new_step("d", "join")))

        message = self.refused(bench, bench.emit(steps["p"], new_step("x", subtree("t"))))

        assert "cycle" in message

    def test_nothing_of_the_refused_is_kept_and_all_of_the_others(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("c", "b"))
        a, b = bench.claim()
        bad = completed(a, 1, emitted=[new_step("x", "nowhere")], records=[new_record("c", "a", 1)])
        good = completed(b, 2, emitted=[new_step("y")], records=[new_record("c", "b", 2)])

        exchange = bench.exchange(bad, good)

        assert [refusal.step for refusal in exchange.refused] == [a]
        assert sorted(step.id for step in exchange.claimed) == ["c", "y"]
        assert bench.statuses()["a"] == "running"
        assert [record.key for record in bench.store.records("tests", "c")] == ["b"]
        check_counts(bench)
        bench.fail(a)
        assert bench.statuses()["a"] == "failed"

    def test_refused_step_is_still_leased(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        a = bench.claim_one()
        bench.settle(bench.emit(a, new_step("x", "nowhere")))

        assert bench.store.renew("w1", [a], 1_000_000) == []

    def test_stale_bad_emission_is_lost_and_not_refused(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        a = bench.claim_one()
        bench.store.cancel_run("r", OPERATOR)

        exchange = bench.settle(bench.emit(a, new_step("x", "nowhere")))

        assert [lease.reason for lease in exchange.lost] == ["canceled"]
        assert exchange.refused == []


class UnfitOutcomeTests(RunStoreCase):
    """What no database can store fails only its own step, even if no check caught it."""

    def test_a_text_that_is_none_is_refused_alone(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        steps = bench.claim_by_id()
        unfit = completed(steps["a"], records=[new_record("things", "a\ud800b", 1)])

        exchange = bench.settle(unfit, completed(steps["b"]))

        (refusal,) = exchange.refused
        assert refusal.step.id == "a"
        assert exchange.lost == []
        assert bench.statuses() == {"a": "running", "b": "succeeded"}
        check_counts(bench)
