"""Claiming: which steps, in which order, how many, and with what content."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import Conflict
from stepwell.engine.exchange import ClaimRequest, PoolRequest
from stepwell.engine.model import Queue
from stepwell.engine.ports import RunStore
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    claim_request,
    completed,
    failed,
    new_run,
    new_step,
    released,
)
from stepwell.testing.run_store.case import SECOND, Bench, RunStoreCase


class ClaimTests(RunStoreCase):
    """What a claim takes and returns."""

    def test_claimed_step_carries_what_an_execution_needs(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        bench.create(
            new_step("a", priority=3, input="[1]", timeout=5, metadata='{"m":1}', retry="{}"),
            input={"i": 1},
            metadata={"k": "v"},
            tags=["t"],
        )
        created = clock.micros()
        clock.advance(SECOND)

        step = bench.claim_one(worker="w7", lease=timedelta(seconds=9))

        assert (step.id, step.kind, step.queue, step.priority) == ("a", "work", "default", 3)
        assert (step.input, step.timeout, step.metadata, step.retry) == ("[1]", 5, '{"m":1}', "{}")
        assert (step.attempt, step.failures, step.lost_leases, step.max_attempts) == (1, 0, 0, 1)
        assert (step.package, step.parent, step.wait, step.dedup_key) == ("tests", None, None, None)
        assert (step.created_at, step.ready_at) == (created, created)
        assert (step.started_at, step.expires_at) == (clock.micros(), clock.micros() + 9_000_000)
        run = step.run
        assert (run.id, run.package, run.entrypoint, run.name) == ("r", "tests", "start", "r")
        assert (run.metadata, run.tags, run.raw_input) == ({"k": "v"}, ("t",), '{"i":1}')
        assert run.created_at == created
        stored = bench.step("a")
        assert (stored.status, stored.worker, stored.attempt) == ("running", "w7", 1)

    def test_run_is_created_and_claimed_at_once(self, bench: Bench, store: RunStore) -> None:
        bench.create(new_step("before"), id="other")
        steps = (new_step("a"), new_step("b"), new_step("c", "a"))
        run = new_run("r", *steps, input={"i": 1}, metadata={"k": "v"}, tags=("t",))

        created, exchanged = store.create_and_claim(run, claim_request(2))

        # Of this run and of others, in any order.
        assert (created.id, created.status, created.total_steps) == ("r", RunStatus.PENDING, 3)
        assert [step.id for step in exchanged.claimed] == ["before", "a"]
        known = exchanged.claimed[1].run
        assert (known.id, known.package, known.entrypoint) == ("r", run.package, run.entrypoint)
        assert (known.name, known.metadata, known.tags) == (run.name, {"k": "v"}, ("t",))
        assert (known.raw_input, known.created_at) == ('{"i":1}', exchanged.now)
        assert [step.run for step in bench.claim()] == [known]
        assert bench.statuses() == {"a": "running", "b": "running", "c": "pending"}
        assert bench.run_status() is RunStatus.RUNNING
        assert bench.event_types() == ["run.created", "run.started"]

    def test_run_whose_id_is_taken_is_neither_created_nor_claimed(
        self, bench: Bench, store: RunStore
    ) -> None:
        bench.create(new_step("a"))

        with pytest.raises(Conflict, match="'r'"):
            store.create_and_claim(new_run("r", new_step("b")), claim_request())

        assert bench.statuses() == {"a": "ready"}

    def test_claimed_step_is_claimed_once(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.claim_one()

        assert bench.claim(worker="w2") == []

    def test_claiming_nothing_claims_nothing(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        assert bench.settle().claimed == []
        assert bench.claim(limit=0) == []
        assert bench.statuses() == {"a": "ready"}

    def test_budget_of_a_queue_goes_to_steps_that_are_taken(
        self, bench: Bench, store: RunStore
    ) -> None:
        # given: a queue with a limit of two, and kinds that share a slot
        store.define_queues([Queue("narrow", max_in_flight=2)])
        bench.create(*(new_step(kind, kind=kind, queue="narrow") for kind in ("x", "y", "z")))
        pools = (PoolRequest(("x", "y"), 1), PoolRequest(("z",), 1))

        claimed = store.exchange((), ClaimRequest("w1", None, pools, 30_000_000)).claimed

        assert sorted(step.id for step in claimed) == ["x", "z"]

    def test_limit_holds(self, bench: Bench) -> None:
        bench.create(*(new_step(f"s{number}") for number in range(5)))

        assert [step.id for step in bench.claim(2)] == ["s0", "s1"]
        assert [step.id for step in bench.claim(2)] == ["s2", "s3"]
        assert [step.id for step in bench.claim(2)] == ["s4"]

    def test_only_the_kinds_asked_for(self, bench: Bench) -> None:
        bench.create(new_step("a", kind="x"), new_step("b", kind="y"), new_step("c", kind="z"))

        assert [step.id for step in bench.claim(kinds=("z", "x"))] == ["a", "c"]
        assert bench.statuses()["b"] == "ready"

    def test_each_lane_has_its_own_limit(self, bench: Bench) -> None:
        bench.create(
            *(new_step(f"x{number}", kind="x") for number in range(3)),
            *(new_step(f"y{number}", kind="y") for number in range(3)),
        )
        pools = (PoolRequest(("x",), 1), PoolRequest(("y",), 2))

        claimed = bench.store.exchange((), ClaimRequest("w1", None, pools, 1_000_000)).claimed

        assert sorted(step.id for step in claimed) == ["x0", "y0", "y1"]

    def test_only_the_queues_asked_for(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q1"), Queue("q2")])
        bench.create(new_step("a"), new_step("b", queue="q1"), new_step("c", queue="q2"))

        assert [step.id for step in bench.claim(queues=("q2",))] == ["c"]
        assert [step.id for step in bench.claim(queues=("q1", "default"))] == ["a", "b"]

    def test_attempts_are_counted_at_the_claim(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        attempts = []

        for _ in range(3):
            step = bench.claim_one()
            attempts.append((step.attempt, bench.step("a").attempt))
            bench.settle(failed(step, retry_in=timedelta(0)))

        assert attempts == [(1, 1), (2, 2), (3, 3)]

    def test_released_step_is_not_charged(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        bench.settle(released(bench.claim_one(), "draining"))

        step = bench.step("a")
        assert (step.status, step.attempt, step.failures) == ("ready", 0, 0)
        assert bench.claim_one().attempt == 1
        (event,) = [e for e in bench.store.events("r") if e.type == "step.released"]
        assert event.data == {"reason": "draining"}

    def test_settling_and_claiming_is_one_exchange(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", "b"))
        step = bench.claim_one()
        order = [step.id]

        while claimed := bench.exchange(completed(step)).claimed:
            (step,) = claimed
            order.append(step.id)

        assert order == ["a", "b", "c"]


class OrderTests(RunStoreCase):
    """Order: priority (smaller first), then ready time, then creation."""

    def claim_order(self, bench: Bench) -> list[str]:
        order = []
        while claimed := bench.claim(1):
            order += [step.id for step in claimed]
        return order

    def test_smaller_priority_first(self, bench: Bench) -> None:
        bench.create(
            new_step("p5", priority=5), new_step("p-1", priority=-1), new_step("p0", priority=0)
        )

        assert self.claim_order(bench) == ["p-1", "p0", "p5"]

    def test_then_ready_time(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), new_step("late", "a"), new_step("b"))
        a, b = bench.claim()
        bench.settle(released(b))
        clock.advance(SECOND)
        bench.complete(a)
        clock.advance(SECOND)
        bench.create(new_step("newest"), id="r2")

        assert self.claim_order(bench) == ["b", "late", "newest"]

    def test_then_creation(self, bench: Bench) -> None:
        names = [f"s{number}" for number in (9, 1, 5, 3)]
        bench.create(*(new_step(name) for name in names))

        assert self.claim_order(bench) == names

    def test_priority_outweighs_time_across_runs(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("old"), id="r1")
        clock.advance(SECOND)
        bench.create(new_step("urgent", priority=-1), id="r2")

        assert self.claim_order(bench) == ["urgent", "old"]

    def test_one_claim_is_in_order_too(self, bench: Bench) -> None:
        bench.create(*(new_step(f"p{number}", priority=number) for number in (2, 0, 1)))

        assert [step.id for step in bench.claim()] == ["p0", "p1", "p2"]

    def test_order_holds_across_queues(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q1"), Queue("q2")])
        bench.create(
            new_step("a", queue="q1", priority=1),
            new_step("b", queue="q2", priority=0),
            new_step("c", queue="q1", priority=2),
            new_step("d", queue="default", priority=0),
        )

        assert [step.id for step in bench.claim(3)] == ["b", "d", "a"]

    def test_retried_step_waits_for_its_time(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()
        bench.settle(failed(a, retry_in=2 * SECOND), released(b))
        assert self.claim_order(bench) == ["b"]

        clock.advance(2 * SECOND - timedelta(microseconds=1))
        assert bench.claim() == []
        clock.advance(timedelta(microseconds=1))

        assert bench.claim_one().id == "a"

    def test_released_step_keeps_its_place(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("first"), id="r1")
        clock.advance(SECOND)
        bench.create(new_step("second"), id="r2")
        clock.advance(SECOND)

        bench.settle(released(bench.claim(1)[0]))

        assert self.claim_order(bench) == ["first", "second"]

    def test_thousandth_step_is_claimed_in_order(self, store: RunStore, bench: Bench) -> None:
        store.create_run(new_run("r", *(new_step(f"s{number}") for number in range(2_000))))

        claimed = [step.id for step in bench.claim(1_500)] + [step.id for step in bench.claim()]

        assert claimed == [f"s{number}" for number in range(1_600)]


class DueTests(RunStoreCase):
    """`next_due`: when something happens by itself."""

    def test_nothing_is_due_in_an_idle_store(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        assert bench.store.next_due(bench.clock.micros()) is None

    def test_lease_retry_and_wait_fall_due(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        step = bench.claim_one(lease=5 * SECOND)
        assert bench.store.next_due(bench.clock.micros()) == clock.micros() + 5_000_000

        bench.settle(failed(step, retry_in=7 * SECOND))

        assert bench.store.next_due(bench.clock.micros()) == clock.micros() + 7_000_000

    def test_earliest_of_several(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, _ = bench.claim(lease=9 * SECOND)

        bench.settle(failed(a, retry_in=3 * SECOND))

        assert bench.store.next_due(bench.clock.micros()) == clock.micros() + 3_000_000

    def test_what_became_ready_since_the_last_look_is_due(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        looked_at = bench.store.exchange((), claim_request()).now
        clock.advance(SECOND)
        bench.create(new_step("a"))
        clock.advance(SECOND)

        assert bench.store.next_due(looked_at) == looked_at + 1_000_000
        assert bench.store.next_due(clock.micros()) is None
