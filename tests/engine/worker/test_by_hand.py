"""Workers made by hand: what they claim, renew, settle and give back, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from math import inf
from typing import Any

import pytest

from stepwell.engine.errors import RetryAfter, StoreError
from stepwell.engine.model import RunFilter
from stepwell.engine.package import Package
from stepwell.engine.worker.pacing import WATCH_IDLE
from tests.engine.worker.runtimes import NEVER
from tests.engine.worker.worker_by_hand import Shop


class TestByHand:
    @pytest.fixture(autouse=True)
    def _closed(self) -> Iterator[None]:
        yield
        while Shop.opened:
            Shop.opened.pop().store.close()

    def test_what_was_claimed_ahead_is_released_on_stop(self, package: Package) -> None:
        shop = Shop(package)
        shop.start(["ok"] * 6)

        shop.worker.run(max_cycles=1)

        assert len(shop.pool.tasks) == 4
        assert shop.statuses() == [("ready", 0)] * 6
        assert not any(task.begin() for task in shop.pool.tasks)

    def test_claims_no_more_than_it_has_slots_for(self, package: Package) -> None:
        shop = Shop(package)
        shop.start(["ok"] * 6)

        shop.worker.cycle()
        shop.worker.wake()
        shop.worker.cycle()

        assert len(shop.pool.tasks) == 4
        assert shop.statuses().count(("running", 1)) == 4

    def test_gives_back_what_it_claimed_ahead_when_the_work_turns_slow(
        self, package: Package
    ) -> None:
        shop = Shop(package, lease=30)
        shop.start(["ok"] * 2_000)
        ahead = 0
        while ahead <= 8:
            shop.clock.advance(timedelta(milliseconds=1))
            for task in shop.pool.tasks:
                if task.begin():
                    shop.pool.deliver(task, task.completed("ok"))
            shop.worker.cycle()
            ahead = shop.statuses().count(("running", 1))

        for _ in range(9):
            shop.clock.advance(timedelta(seconds=10))
            shop.worker.internals.duties.tend(shop.clock.monotonic())
        shop.worker.stop()
        shop.worker.cycle()

        assert shop.statuses().count(("running", 1)) < ahead

    def test_renews_in_time(self, package: Package) -> None:
        shop = Shop(package, lease=30)
        shop.start(["ok"])
        shop.worker.cycle()

        for _ in range(6):
            shop.clock.advance(timedelta(seconds=10))
            shop.worker.cycle()

        assert shop.statuses() == [("running", 1)]
        assert shop.store.next_due(shop.clock.micros()) == shop.clock.micros() + 30_000_000

    def test_an_impatient_one_without_steps_gives_up_when_it_can_claim_none(
        self, package: Package
    ) -> None:
        # given: claims fail, as on a disk that is full, and there is nothing to renew
        shop = Shop(package, lease=1)
        shop.start(["ok"])
        shop.store.fails, shop.store.down = {"exchange"}, 1_000
        shop.store.on_failure = lambda: shop.clock.advance(0.1)

        # when
        with pytest.raises(StoreError, match="the disk is gone"):
            shop.worker.run(until=lambda: len(shop.store.failed) > 50)

        # then: about as long as it would keep a step
        assert 9 <= len(shop.store.failed) <= 11

    def test_stops_its_steps_before_a_lease_that_it_cannot_renew_lapses(
        self, package: Package
    ) -> None:
        shop = Shop(package, lease=1)
        shop.start(["ok"])
        shop.worker.cycle()
        (task,) = shop.pool.tasks
        assert task.begin()
        shop.store.down = 10**6

        with pytest.raises(StoreError, match="the disk is gone"):
            shop.cycles(task)

        assert shop.pool.canceled == [task]
        assert shop.clock.monotonic() < 1

    def test_a_step_that_came_after_the_last_look_is_due(
        self, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # given a worker that has looked, and has no place for anything
        shop = Shop(package)
        monkeypatch.setattr(shop.worker.internals.workload.windows, "requests", tuple)
        shop.worker.cycle()
        assert shop.worker.due_in() == inf

        # when a step comes unheard, then it need not wait for the next poll
        shop.clock.advance(timedelta(seconds=1))
        shop.start(["ok"])
        shop.clock.advance(timedelta(seconds=1))
        assert shop.worker.due_in() == 0

        # when the worker has looked again, then the step waits for a place
        shop.worker.wake()
        shop.worker.cycle()
        assert shop.worker.due_in() == inf

    def test_nobody_else_settles_between_two_of_its_cycles(self, package: Package) -> None:
        # given a worker between two cycles, with one step in flight
        shop = Shop(package)
        shop.start(["ok"])
        shop.worker.cycle()
        (task,) = shop.pool.tasks
        assert task.begin()

        # when a thread of its pool brings the outcome
        shop.worker._deliver_in_turn(task, task.completed("ok"))

        # then that thread leaves it to the worker, which settles it in its next cycle
        assert shop.statuses() == [("running", 1)]
        shop.worker.cycle()
        assert shop.statuses() == [("succeeded", 1)]

    def test_asks_when_something_is_due_while_a_step_is_in_flight(
        self, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # given a worker that polls once an hour, with a body that runs for long, and another step
        # that is due in five seconds
        shop = Shop(package, poll_interval=NEVER, lease=3 * NEVER)
        shop.start(["ok", "ok"])
        shop.worker.cycle()
        running, failing = shop.pool.tasks
        assert running.begin()
        assert failing.begin()
        shop.worker._deliver(failing, failing.failed(RetryAfter(5, "later")))
        shop.worker.cycle()

        def collect(block: float = 0.0) -> list[Any]:
            shop.clock.advance(timedelta(seconds=block))
            return []

        monkeypatch.setattr(shop.worker._workload, "collect", collect)
        begun = shop.clock.monotonic()

        # when the worker goes on, cycle by cycle
        shop.worker._turn.take()
        while len(shop.pool.tasks) == 2:
            shop.worker._idle.wait()
            shop.worker.cycle()
        shop.worker._turn.release()

        # then it claims the other step as soon as that is due, and not with its next poll
        assert shop.clock.monotonic() - begun == pytest.approx(5, abs=2 * WATCH_IDLE)

    def test_late_outcome_of_a_dropped_step_is_dropped(self, package: Package) -> None:
        shop = Shop(package)
        shop.start(["ok"])
        shop.worker.cycle()
        (task,) = shop.pool.tasks
        task.begin()
        shop.clock.advance(timedelta(seconds=31))
        shop.store.inner.reap(9)
        shop.worker.cycle()
        assert shop.pool.canceled == [task]

        shop.pool.deliver(task, task.completed("late"))
        shop.worker.cycle()

        assert shop.statuses() == [("running", 2)]

    def test_a_lapsed_step_that_comes_back_before_it_is_missed(self, package: Package) -> None:
        # given a step whose lease lapses before the worker renews again
        shop = Shop(package)
        shop.start(["ok"] * 4)
        shop.worker.cycle()
        old = shop.pool.tasks[0]
        old.begin()
        shop.worker.internals.duties.next = inf
        shop.clock.advance(timedelta(seconds=31))
        shop.store.inner.reap(9)

        # when the worker itself claims it again
        shop.worker.wake()
        shop.worker.internals.workload.drop(shop.pool.tasks[1])  # which makes room
        shop.worker.cycle()

        # then the execution of before is stopped, and takes no slot any more
        again = [task for task in shop.pool.tasks[4:] if task.step.key == old.step.key]
        assert again
        assert old in shop.pool.canceled
        workload = shop.worker.internals.workload
        (free,) = (each.limit for each in workload.windows.requests() if "ok" in each.kinds)
        assert len(workload.in_flight) + free == 4

    @pytest.mark.parametrize(("runs", "steps", "waits"), [(10, 1, True), (1, 10, False)])
    def test_waits_for_more_than_is_there_if_it_comes_of_many_runs(
        self,
        package: Package,
        monkeypatch: pytest.MonkeyPatch,
        runs: int,
        steps: int,
        waits: bool,
    ) -> None:
        # given an exchange that has taken all there is, and bodies that have ended
        shop = Shop(package, threads=16)
        for number in range(runs):
            shop.start(["ok"] * steps, f"r{number}")
        exchange, get, waited = shop.store.exchange, shop.worker.internals.workload.outcomes.get, []

        def slow_exchange(*given: Any) -> Any:
            shop.clock.advance(timedelta(milliseconds=1))
            return exchange(*given)

        def wait(block: bool, timeout: float | None = None) -> Any:
            if timeout:
                waited.append(timeout)
                shop.clock.advance(timedelta(seconds=timeout))
            return get(False)

        monkeypatch.setattr(shop.store, "exchange", slow_exchange)
        monkeypatch.setattr(shop.worker.internals.workload.outcomes, "get", wait)
        shop.worker.cycle()
        for task in shop.pool.tasks:
            task.begin()
            shop.pool.deliver(task, task.completed("ok"))

        # when
        shop.worker.cycle()

        # then steps of many runs are settled with those that come meanwhile; a run's last ones
        # make nobody wait
        assert bool(waited) is waits
        assert {run.status for run in shop.store.runs(RunFilter())} == {"succeeded"}

    def test_what_is_settled_together_emits_no_more_than_one_step_may(
        self, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # given bodies that have ended, and emitted
        shop = Shop(package, emit_limit=5)
        ended = shop.bodies_that_emitted([3, 2, 4, 1])
        given: list[list[int]] = []
        exchange = shop.store.exchange

        def watched(settle: Sequence[Any], claim: Any) -> Any:
            given.append([len(outcome.emitted) for outcome in settle])
            return exchange(settle, claim)

        monkeypatch.setattr(shop.store, "exchange", watched)
        for task, outcome in ended:
            shop.pool.deliver(task, outcome)

        # when
        while shop.worker.cycle():
            pass

        # then they were settled in order, as many at a time as fit
        assert [sizes for sizes in given if sizes] == [[3, 2], [4, 1]]
        assert shop.statuses().count(("succeeded", 1)) == 4
        assert len(shop.statuses()) == 4 + 10

    def test_a_worker_that_stops_settles_all_that_was_emitted(self, package: Package) -> None:
        shop = Shop(package, emit_limit=5)
        shop.worker.internals.workload.take(shop.bodies_that_emitted([5, 5, 5, 5]))

        shop.worker.stop(0)
        shop.worker.run()

        assert shop.statuses().count(("succeeded", 1)) == 4
        assert len(shop.statuses()) == 4 + 20

    def test_executor_that_cannot_be_loaded_fails_its_step(
        self, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop = Shop(package)
        shop.start(["ok"])

        def broken(*parts: Any) -> Any:
            raise ImportError("No module named 'aiohttp'")

        monkeypatch.setattr("stepwell.engine.worker.dispatcher.Execution", broken)
        shop.worker.cycle()
        monkeypatch.undo()
        shop.worker.cycle()

        assert shop.statuses() == [("failed", 1)]
