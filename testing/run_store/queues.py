"""Queues: limits of running steps and of their rate; and workers as all processes see them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.clock import VirtualClock, to_datetime
from stepwell.engine.errors import NotFound
from stepwell.engine.exchange import NewStep, Outcome
from stepwell.engine.model import Queue, WorkerRow
from stepwell.engine.ports import RunStore
from stepwell.engine.queue_rules import most_per_period
from stepwell.testing.builders import completed, failed, new_step, released
from stepwell.testing.run_store.case import OPERATOR, SECOND, Bench, RunStoreCase, WallClock


def many(count: int, queue: str = "q") -> list[NewStep]:
    """Steps of one queue."""
    return [new_step(f"s{number}", queue=queue) for number in range(count)]


class QueueTests(RunStoreCase):
    """Definitions, and the limit of running steps."""

    def test_queues_are_listed_by_name_with_their_limits(self, store: RunStore) -> None:
        store.define_queues([Queue("z", max_in_flight=3), Queue("a", rate_limit=2.5, burst=9)])

        first, _, last = store.queues()

        assert (first.name, last.name) == ("a", "z")
        assert (first.rate_limit, first.burst, first.max_in_flight) == (2.5, 9, None)
        assert first.rate_period == SECOND
        assert first.tokens == 9
        assert (last.max_in_flight, last.rate_limit, last.tokens) == (3, None, None)

    def test_queue_counts_ready_and_running(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q")])
        bench.create(*many(5))
        bench.claim(2)

        (status,) = [queue for queue in bench.store.queues() if queue.name == "q"]

        assert (status.ready, status.running) == (3, 2)

    def test_defined_again_with_other_limits(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q", max_in_flight=1)])
        bench.create(*many(5))
        assert len(bench.claim()) == 1

        bench.store.define_queues([Queue("q", max_in_flight=3)])
        assert len(bench.claim()) == 2
        bench.store.define_queues([Queue("q")])

        assert len(bench.claim()) == 2

    def test_unknown_queue_is_named_with_the_nearest(self, store: RunStore) -> None:
        store.define_queues([Queue("mail")])

        store.check_queues(None)
        store.check_queues(["mail", "default"])
        with pytest.raises(NotFound, match=r"no queue 'mial'; did you mean 'mail'\?"):
            store.check_queues(["mail", "mial"])

    def test_max_in_flight_bounds_running_steps(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q", max_in_flight=2)])
        bench.create(*many(5))

        first = bench.claim(worker="w1")
        assert [step.id for step in first] == ["s0", "s1"]
        assert bench.claim(worker="w2") == []
        freed = bench.exchange(completed(first[0]), worker="w2").claimed

        assert [step.id for step in freed] == ["s2"]

    @pytest.mark.parametrize("how", ["failed", "retried", "released", "lapsed", "canceled"])
    def test_every_way_out_frees_a_place(self, bench: Bench, how: str) -> None:
        bench.store.define_queues([Queue("q", max_in_flight=1)])
        bench.create(*many(1), id="r1")
        bench.create(*many(1), id="r2")
        step = bench.claim_one()
        assert bench.claim() == []

        if how == "lapsed":
            bench.lapse()
        elif how == "canceled":
            bench.store.cancel_run("r1", OPERATOR)
        else:
            outcomes: dict[str, Outcome] = {
                "failed": failed(step),
                "retried": failed(step, retry_in=SECOND),
                "released": released(step),
            }
            bench.settle(outcomes[how])

        assert len(bench.claim()) == 1

    def test_full_queue_does_not_stop_the_others(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q", max_in_flight=1)])
        bench.create(*many(3), new_step("free", priority=9))

        assert [step.id for step in bench.claim()] == ["s0", "free"]

    def test_bound_holds_over_lanes(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q", max_in_flight=2)])
        bench.create(
            *many(2),
            new_step("o1", queue="q", kind="other"),
            new_step("o2", queue="q", kind="other"),
        )

        assert len(bench.claim(kinds=("work", "other"))) == 2
        assert bench.claim(kinds=("other",)) == []


class RateTests(RunStoreCase):
    """A token bucket: steady refill, bursts up to its size."""

    def claims(self, bench: Bench) -> int:
        return len(bench.claim(queues=("q",)))

    def test_burst_then_one_by_one(self, bench: Bench, clock: VirtualClock) -> None:
        bench.store.define_queues([Queue("q", rate_limit=1, burst=3)])
        bench.create(*many(9))

        counts = [self.claims(bench), self.claims(bench)]
        for seconds in (0.5, 0.5, 1.0, 2.0):
            clock.advance(timedelta(seconds=seconds))
            counts.append(self.claims(bench))

        assert counts == [3, 0, 0, 1, 1, 2]

    def test_bucket_does_not_overflow(self, bench: Bench, clock: VirtualClock) -> None:
        bench.store.define_queues([Queue("q", rate_limit=10, burst=4)])
        bench.create(*many(9))

        clock.advance(timedelta(hours=1))

        assert self.claims(bench) == 4

    def test_burst_defaults_to_the_rate(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q", rate_limit=5)])
        bench.create(*many(9))

        assert self.claims(bench) == 5

    @pytest.mark.parametrize(
        ("rate", "burst", "most"),
        [(4, None, 7), (4, 1, 4), (4, 3, 6), (2.5, None, 4), (2.5, 1, 3), (0.5, None, 1)],
    )
    def test_no_period_sees_more_starts_than_the_most(
        self, bench: Bench, clock: VirtualClock, rate: float, burst: int | None, most: int
    ) -> None:
        # given a queue with a full bucket
        queue = Queue("q", rate_limit=rate, burst=burst)
        bench.store.define_queues([queue])
        bench.create(*many(60))
        clock.advance(timedelta(hours=1))

        # when everything is claimed as soon as the rate limit admits it
        starts: list[int] = []
        end = clock.micros() + 4_000_000
        while clock.micros() < end:
            exchange = bench.exchange(queues=("q",))
            starts += [clock.micros()] * len(exchange.claimed)
            assert exchange.wake_at is not None
            clock.advance(timedelta(microseconds=exchange.wake_at - clock.micros()))

        # then the busiest period has as many claims as `most_per_period` says
        seen = max(len([s for s in starts if first <= s < first + 1_000_000]) for first in starts)
        assert seen == most == most_per_period(queue)

    def test_slow_rate_lets_one_through(self, bench: Bench, clock: VirtualClock) -> None:
        bench.store.define_queues(
            [Queue("q", rate_limit=2, rate_period=timedelta(minutes=1), burst=1)]
        )
        bench.create(*many(3))

        assert self.claims(bench) == 1
        clock.advance(29 * SECOND)
        assert self.claims(bench) == 0
        clock.advance(SECOND)
        assert self.claims(bench) == 1

    def test_exchange_says_when_the_next_token_comes(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        bench.store.define_queues([Queue("q", rate_limit=2, burst=1)])
        bench.create(*many(3))

        exchange = bench.exchange()

        assert exchange.wake_at is not None
        wait = exchange.wake_at - clock.micros()
        assert 500_000 <= wait <= 500_010
        clock.advance(timedelta(microseconds=wait))
        assert self.claims(bench) == 1

    def test_releasing_gives_no_token_back(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q", rate_limit=1, burst=1)])
        bench.create(*many(2))

        bench.settle(released(bench.claim_one()))

        assert self.claims(bench) == 0

    def test_clock_that_goes_back_makes_no_tokens(self, bench: Bench, clock: WallClock) -> None:
        bench.store.define_queues(
            [Queue("q", rate_limit=1, rate_period=timedelta(hours=1), burst=2)]
        )
        bench.create(*many(9))
        clock.advance(timedelta(hours=5))
        assert len(bench.claim(1)) == 1

        clock.set_back(timedelta(hours=4))
        assert self.claims(bench) == 1
        clock.advance(timedelta(hours=4))

        assert self.claims(bench) == 0

    def test_status_shows_the_tokens(self, bench: Bench, clock: VirtualClock) -> None:
        bench.store.define_queues([Queue("q", rate_limit=1, burst=4)])
        bench.create(*many(9))
        bench.claim(3)

        def tokens() -> float | None:
            return next(queue.tokens for queue in bench.store.queues() if queue.name == "q")

        assert tokens() == 1
        clock.advance(SECOND)
        assert tokens() == 2

    def test_defined_again_keeps_what_was_spent(self, bench: Bench) -> None:
        bench.store.define_queues([Queue("q", rate_limit=1, burst=3)])
        bench.create(*many(9))
        assert self.claims(bench) == 3

        bench.store.define_queues([Queue("q", rate_limit=1, burst=5)])

        assert self.claims(bench) == 0


class WorkerRowTests(RunStoreCase):
    """Workers, and the overview of the store."""

    def row(self, id: str, clock: VirtualClock, queues: tuple[str, ...] | None) -> WorkerRow:
        now = to_datetime(clock.micros())
        return WorkerRow(id, "host", 42, "1.0", queues, now, now)

    def test_workers_are_listed_until_they_stop(self, store: RunStore, clock: VirtualClock) -> None:
        rows = [self.row("w2", clock, None), self.row("w1", clock, ("q", "default"))]
        for row in rows:
            store.record_worker(row)

        assert store.workers() == [rows[1], rows[0]]
        store.forget_worker("w2")
        store.forget_worker("unknown")

        assert store.workers() == [rows[1]]

    def test_worker_seen_again(self, store: RunStore, clock: VirtualClock) -> None:
        store.record_worker(self.row("w1", clock, None))
        clock.advance(SECOND)

        store.record_worker(self.row("w1", clock, None))

        (worker,) = store.workers()
        assert worker.seen_at == to_datetime(clock.micros())

    def test_silent_workers_are_forgotten(self, store: RunStore, clock: VirtualClock) -> None:
        store.record_worker(self.row("dead", clock, None))
        clock.advance(60 * SECOND)
        store.record_worker(self.row("alive", clock, None))

        store.forget_silent_workers(60_000_000 - 1)

        assert [worker.id for worker in store.workers()] == ["alive"]

    def test_status_at_a_glance(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), id="r1")
        bench.work_off()
        bench.create(new_step("a"), new_step("b"), id="r2")
        bench.claim(1)
        bench.store.record_worker(self.row("w1", clock, None))

        status = bench.store.status()

        assert dict(status.runs) == {"succeeded": 1, "running": 1}
        assert (status.open_steps, status.running_steps, status.workers) == (2, 1, 1)
        assert [queue.name for queue in status.queues] == ["default"]
        assert status.schema_version >= 1
        assert status.store

    def test_now_is_the_clock(self, store: RunStore, clock: VirtualClock) -> None:
        clock.advance(SECOND)

        assert store.now() == clock.micros()
