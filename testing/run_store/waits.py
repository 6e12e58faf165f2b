"""Suspended steps: waiting for a time, or for the end of a child run."""

from __future__ import annotations

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import Conflict
from stepwell.engine.payloads.payload import decode
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import completed, new_run, new_step, suspended
from stepwell.testing.run_store.case import (
    OPERATOR,
    SECOND,
    Bench,
    RunStoreCase,
    check_counts,
)


class WaitTests(RunStoreCase):
    """No slot and no lease while a step waits."""

    def test_waiting_step_holds_no_lease_and_is_not_charged(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        step = bench.claim_one()

        bench.settle(suspended(step, until=clock.micros() + 3_600_000_000))

        waiting = bench.step("a")
        assert (waiting.status, waiting.attempt) == ("waiting", 0)
        assert bench.claim() == []
        assert bench.lapse() == 0
        assert bench.store.renew("w1", [step], 1_000_000)[0].step is step
        assert bench.statuses()["b"] == "pending"
        check_counts(bench)

    def test_woken_by_time(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        until = clock.micros() + 5_000_000
        bench.settle(suspended(bench.claim_one(), until=until))
        assert bench.store.next_due(bench.clock.micros()) == until
        clock.advance(4 * SECOND)
        assert bench.store.reap(3) == 0
        clock.advance(SECOND)

        assert bench.store.reap(3) == 1

        step = bench.claim_one()
        assert (step.attempt, step.lost_leases) == (1, 0)
        assert step.wait is not None
        assert decode(step.wait)["until"] == until
        assert step.wake_at == until
        assert bench.event_types()[-2:] == ["step.waiting", "step.woken"]

    def test_started_run_is_a_child_and_wakes_its_parent(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        bench.settle(suspended(bench.claim_one(), start=new_run("child", new_step("x"))))

        child = bench.store.run("child")
        assert (child.parent_run, child.parent_step) == ("r", "a")
        assert bench.statuses() == {"a": "waiting"}
        x = bench.claim_one()
        assert (x.id, x.run.id) == ("x", "child")
        exchange = bench.exchange(completed(x))
        assert exchange.ended_runs == ["child"]
        (resumed,) = exchange.claimed
        assert (resumed.id, resumed.attempt) == ("a", 1)
        bench.complete(resumed)
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_failed_and_canceled_child_runs_wake_their_parents_too(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()
        bench.settle(suspended(a, start=new_run("c1", new_step("x"))))
        bench.settle(suspended(b, start=new_run("c2", new_step("x"))))

        bench.fail(bench.claim(1)[0])
        bench.store.cancel_run("c2", OPERATOR)

        assert bench.statuses() == {"a": "ready", "b": "ready"}

    def test_waiting_for_a_run_that_has_ended_is_over_at_once(self, bench: Bench) -> None:
        bench.create(new_step("x"), id="done")
        bench.work_off()
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        bench.settle(suspended(a, run_id="done"), suspended(b, run_id="never was"))
        bench.store.reap(3)

        assert bench.statuses() == {"a": "ready", "b": "ready"}

    def test_waiting_for_another_run(self, bench: Bench) -> None:
        bench.create(new_step("x"), id="other")
        x = bench.claim_one()
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), run_id="other"))
        assert bench.statuses() == {"a": "waiting"}

        bench.complete(x)

        assert bench.statuses() == {"a": "ready"}

    def test_time_limit_of_a_wait_for_a_run(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        child = new_run("child", new_step("x"))
        bench.settle(suspended(bench.claim_one(), start=child, until=clock.micros() + 1_000_000))
        clock.advance(SECOND)

        assert bench.store.reap(3) == 1

        assert bench.statuses() == {"a": "ready"}
        assert bench.run_status("child") is RunStatus.PENDING

    def test_child_run_with_a_taken_id_is_refused_alone(self, bench: Bench) -> None:
        bench.create(new_step("x", kind="later"), id="taken")
        bench.create(new_step("a"), new_step("b"), new_step("c"))
        a, b, c = bench.claim()

        exchange = bench.settle(
            suspended(a, start=new_run("taken", new_step("y"))),
            suspended(b, start=new_run("child", new_step("y"))),
            completed(c),
        )

        (refusal,) = exchange.refused
        assert refusal.step is a
        assert isinstance(refusal.error, Conflict)
        assert bench.statuses() == {"a": "running", "b": "waiting", "c": "succeeded"}
        assert list(bench.statuses("taken")) == ["x"]
        check_counts(bench)

    def test_two_child_runs_with_one_id_in_one_exchange(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        exchange = bench.settle(
            suspended(a, start=new_run("child", new_step("y"))),
            suspended(b, start=new_run("child", new_step("y"))),
        )

        assert [refusal.step for refusal in exchange.refused] == [b]
        assert bench.statuses() == {"a": "waiting", "b": "running"}

    def test_canceling_the_parent_cancels_the_child(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(suspended(bench.claim_one(), start=new_run("child", new_step("x"))))

        assert bench.store.cancel_run("r", OPERATOR) == 2

        assert bench.run_status("child") is RunStatus.CANCELED
        assert bench.statuses() == {"a": "canceled"}
