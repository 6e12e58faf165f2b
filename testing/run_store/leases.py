"""Leases: renewed, released, lapsed; and the fence against late holders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.engine.exchange import Outcome
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    LEASE,
    completed,
    failed,
    new_artifact,
    new_record,
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

MICROSECOND = timedelta(microseconds=1)


class LeaseTests(RunStoreCase):
    """Renewing and reaping."""

    def test_renew_extends_from_now(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one(lease=10 * SECOND)
        clock.advance(8 * SECOND)

        assert bench.store.renew("w1", [step], 10_000_000) == []
        assert step.expires_at == clock.micros() + 10_000_000
        clock.advance(9 * SECOND)

        assert bench.store.reap(3) == 0
        bench.complete(step)

    def test_renewing_nothing_is_no_loss(self, bench: Bench) -> None:
        assert bench.store.renew("w1", [], 1) == []

    def test_renew_reports_leases_that_are_gone(self, bench: Bench) -> None:
        bench.create(new_step("kept"), id="r1")
        bench.create(new_step("canceled"), id="r2")
        kept, canceled = bench.claim()
        bench.store.cancel_run("r2", OPERATOR)

        lost = bench.store.renew("w1", [kept, canceled], 1_000_000)

        assert [(lease.step, lease.reason) for lease in lost] == [(canceled, "canceled")]

    @pytest.mark.parametrize("worker", ["w1", "w2"])
    def test_renew_does_not_revive_a_lapsed_lease(self, bench: Bench, worker: str) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one(worker="w1")
        bench.lapse()
        held = bench.claim_one(worker=worker)
        expires = held.expires_at

        lost = bench.store.renew("w1", [stale], 99_000_000)

        assert [(lease.step, lease.reason) for lease in lost] == [(stale, "lapsed")]
        assert bench.store.next_due(bench.clock.micros()) == expires

    def test_renew_tells_two_leases_of_a_step_apart(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one(worker="w1")
        bench.lapse()
        held = bench.claim_one(worker="w1")

        lost = bench.store.renew("w1", [stale, held], 1_000_000)

        assert [lease.step for lease in lost] == [stale]

    def test_lease_holds_until_it_is_reaped(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        clock.advance(2 * LEASE)

        bench.complete(step)

        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_nothing_is_reaped_before_its_time(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        bench.claim_one()
        clock.advance(LEASE - MICROSECOND)

        assert bench.store.reap(3) == 0
        assert bench.statuses() == {"a": "running"}

    def test_lapsed_step_is_ready_again_at_once(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.claim_one(worker="dead")

        assert bench.lapse() == 1

        again = bench.claim_one(worker="w2")
        assert (again.id, again.attempt, again.lost_leases) == ("a", 2, 1)
        (event,) = [e for e in bench.store.events("r") if e.type == "step.lapsed"]
        assert (event.step_id, event.attempt) == ("a", 1)
        assert event.data == {"worker": "dead", "lost_leases": 1}
        check_counts(bench)

    def test_reap_takes_all_that_lapsed_and_only_those(self, bench: Bench) -> None:
        bench.create(*(new_step(name) for name in "abc"))
        bench.claim(2, lease=SECOND)
        bench.claim(1, lease=LEASE)

        assert bench.lapse(SECOND) == 2

        assert bench.statuses() == {"a": "ready", "b": "ready", "c": "running"}

    def test_step_that_loses_its_last_lease_fails(self, bench: Bench) -> None:
        bench.create(new_step("a", max_attempts=9), new_step("b", "a"))
        for _ in range(2):
            bench.claim_one()
            bench.lapse(max_lost_leases=3)
        bench.claim_one()
        assert bench.statuses()["a"] == "running"

        assert bench.lapse(max_lost_leases=3) == 1

        assert bench.statuses() == {"a": "failed", "b": "canceled"}
        assert bench.error_code("a") == "lease_lost"
        assert bench.run_status() is RunStatus.FAILED
        check_counts(bench)

    def test_one_lost_lease_can_be_enough(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.claim_one()

        bench.lapse(max_lost_leases=1)

        assert bench.error_code("a") == "lease_lost"

    def test_released_lease_is_not_lost(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(released(bench.claim_one()))

        assert bench.lapse() == 0
        assert bench.claim_one().lost_leases == 0


class SuspectTests(RunStoreCase):
    """A step that lost a lease may have killed its worker."""

    def lose(self, bench: Bench, *names: str) -> None:
        bench.create(*(new_step(name) for name in names))
        bench.claim()
        bench.lapse()

    def test_one_suspect_at_a_time(self, bench: Bench) -> None:
        self.lose(bench, "a", "b", "c")

        assert [step.id for step in bench.claim()] == ["a"]
        assert [step.id for step in bench.claim()] == ["b"]

    def test_no_suspect_when_none_is_allowed(self, bench: Bench) -> None:
        self.lose(bench, "a")
        bench.create(new_step("fresh"), id="r2")

        assert [step.id for step in bench.claim(suspects=False)] == ["fresh"]
        assert bench.statuses() == {"a": "ready"}

    def test_suspects_do_not_keep_others_waiting(self, bench: Bench) -> None:
        self.lose(bench, "a", "b", "c", "d")
        bench.create(new_step("x"), new_step("y"), id="r2")

        assert sorted(step.id for step in bench.claim(2)) == ["a", "x"]
        assert [step.id for step in bench.claim(1, suspects=False)] == ["y"]

    def test_a_crowd_of_suspects_does_not_keep_others_waiting(self, bench: Bench) -> None:
        bench.create(*(new_step(f"s{number}") for number in range(150)))
        bench.claim(150)
        bench.lapse()
        bench.create(new_step("x"), id="r2")

        assert sorted(step.id for step in bench.claim(2)) == ["s0", "x"]

    def test_one_suspect_over_all_lanes(self, bench: Bench) -> None:
        self.lose(bench, "a", "b")
        bench.create(new_step("x", kind="other"), id="r2")
        bench.claim(kinds=("other",))
        bench.lapse()

        claimed = bench.claim(kinds=("work", "other"))

        assert len(claimed) == 1


class FencingTests(RunStoreCase):
    """A stale holder leaves nothing but an event."""

    @pytest.mark.parametrize(
        "how", ["completed", "emitted", "failed", "retried", "released", "suspended"]
    )
    def test_late_outcome_after_another_claim_is_lost(self, bench: Bench, how: str) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        stale = bench.claim_one(worker="w1")
        bench.lapse()
        held = bench.claim_one(worker="w2")
        before = (bench.steps(), bench.edges(), bench.event_types())
        made: dict[str, Any] = {
            "records": [new_record("c", "k", "stale")],
            "artifacts": [new_artifact("stale")],
        }
        outcomes: dict[str, Outcome] = {
            "completed": completed(stale, "stale", **made),
            "emitted": completed(stale, "stale", **made, emitted=[new_step("child")]),
            "failed": failed(stale),
            "retried": failed(stale, retry_in=SECOND),
            "released": released(stale),
            "suspended": suspended(stale, until=0),
        }

        exchange = bench.settle(outcomes[how])

        assert [(lease.step, lease.reason) for lease in exchange.lost] == [(stale, "lapsed")]
        assert exchange.refused == []
        steps, edges, events = before
        assert (bench.steps(), bench.edges()) == (steps, edges)
        assert bench.event_types() == [*events, "step.refused"]
        assert bench.store.records("tests", "c") == []
        assert bench.store.artifacts("r") == []
        bench.complete(held, "held")
        assert bench.store.result("r", "a").value == "held"

    def test_late_outcome_before_another_claim_is_lost(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one()
        bench.lapse()

        exchange = bench.settle(completed(stale))

        assert [lease.reason for lease in exchange.lost] == ["lapsed"]
        assert bench.statuses() == {"a": "ready"}

    def test_settled_twice_is_lost(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        bench.complete(step, 1)

        exchange = bench.settle(completed(step, 2))

        assert [lease.step for lease in exchange.lost] == [step]
        assert bench.store.result("r", "a").value == 1
        assert bench.event_types().count("step.succeeded") == 1
        assert bench.event_types().count("run.succeeded") == 1
        check_counts(bench)

    def test_settled_twice_in_one_exchange_counts_once(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("c", "a", "b"))
        step = bench.claim(1)[0]

        exchange = bench.settle(completed(step, 1), completed(step, 2))

        assert [lease.reason for lease in exchange.lost] == ["superseded"]
        assert bench.store.result("r", "a").value == 1
        assert bench.pending()["c"] == 1
        check_counts(bench)

    def test_stale_and_held_outcome_in_one_exchange(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one()
        bench.lapse()
        held = bench.claim_one()

        exchange = bench.settle(completed(stale, "stale"), completed(held, "held"))

        assert [lease.step for lease in exchange.lost] == [stale]
        assert bench.store.result("r", "a").value == "held"

    def test_late_emission_of_a_committed_step_is_lost(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one()
        bench.lapse()
        bench.settle(bench.emit(bench.claim_one(), new_step("child")))

        exchange = bench.settle(bench.emit(stale, new_step("child")))

        assert [lease.step for lease in exchange.lost] == [stale]
        assert exchange.refused == []
        assert list(bench.statuses()) == ["a", "child"]

    def test_outcome_after_a_cancel_is_lost(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        bench.store.cancel_run("r", OPERATOR)

        exchange = bench.settle(completed(step, records=[new_record("c", "k", 1)]))

        assert [lease.reason for lease in exchange.lost] == ["canceled"]
        assert bench.statuses() == {"a": "canceled"}
        assert bench.store.records("tests", "c") == []

    def test_outcome_from_before_an_operators_retry_is_lost(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one()
        bench.store.cancel_run("r", OPERATOR)
        bench.store.retry_run("r", OPERATOR)

        assert len(bench.settle(completed(step)).lost) == 1
        bench.claim_one()
        assert len(bench.settle(completed(step)).lost) == 1
        assert bench.statuses() == {"a": "running"}

    def test_lost_outcome_leaves_its_neighbours_alone(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"), new_step("c", "b"))
        stale, _ = bench.claim()
        bench.lapse()
        b = bench.claim_by_id(suspects=True)
        held = {**b, **bench.claim_by_id()}

        exchange = bench.exchange(completed(stale), completed(held["b"], 2))

        assert [lease.step for lease in exchange.lost] == [stale]
        assert bench.store.result("r", "b").value == 2
        assert [step.id for step in exchange.claimed] == ["c"]

    def test_tokens_only_rise(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        tokens = []

        step = bench.claim_one()
        tokens.append(step.token)
        bench.settle(released(step))
        step = bench.claim_one()
        tokens.append(step.token)
        bench.settle(failed(step, retry_in=timedelta(0)))
        tokens.append(bench.claim_one().token)
        bench.lapse()
        step = bench.claim_one()
        tokens.append(step.token)
        bench.settle(suspended(step, until=clock.micros()))
        bench.store.reap(3)
        step = bench.claim_one()
        tokens.append(step.token)
        bench.fail(step)
        bench.store.retry_step("r", "a", OPERATOR)
        tokens.append(bench.claim_one().token)

        assert tokens == sorted(set(tokens))
        assert len(tokens) == 6
