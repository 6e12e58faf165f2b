"""Several users of one store: threads of one object, and objects over the same data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import Conflict
from stepwell.engine.model import Queue, Run, RunFilter
from stepwell.engine.ports import RunStore
from stepwell.testing.builders import completed, new_run, new_step
from stepwell.testing.run_store.case import (
    OPERATOR,
    SECOND,
    Bench,
    OpenStore,
    RunStoreCase,
    check_counts,
)

THREADS = 24
# More than any store commits in one group.
CROWD = 400


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """The results, or errors, of `work(number)` in `count` threads that begin together."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> object:
        barrier.wait()
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


class ThreadTests(RunStoreCase):
    """One store object, many threads."""

    def test_many_threads_create_runs_and_one_of_them_in_conflict(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="run-7", name="first", input="other")

        results = at_once(
            THREADS, lambda n: bench.create(new_step("a"), new_step("b", "a"), id=f"run-{n}")
        )

        assert isinstance(results[7], Conflict)
        made = [result for result in results if isinstance(result, Run)]
        assert [run.id for run in made] == [f"run-{n}" for n in range(THREADS) if n != 7]
        assert bench.store.run("run-7").name == "first"
        for run in made:
            assert bench.statuses(run.id) == {"a": "ready", "b": "pending"}
            check_counts(bench, run.id)

    def test_crowd_of_threads_gets_all_its_results(self, bench: Bench) -> None:
        results = at_once(CROWD, lambda n: bench.create(new_step("a"), id=f"run-{n}").id)

        assert results == [f"run-{n}" for n in range(CROWD)]
        assert len(bench.store.runs(RunFilter(limit=2 * CROWD))) == CROWD

    def test_many_threads_claim_each_step_once(self, bench: Bench) -> None:
        bench.create(*(new_step(f"s{n}") for n in range(200)))

        claimed = at_once(8, lambda n: [s.id for s in bench.claim(25, worker=f"w{n}")])

        names = [name for part in claimed if isinstance(part, list) for name in part]
        assert sorted(names) == sorted(f"s{n}" for n in range(200))

    def test_many_threads_settle_one_fan_in(self, bench: Bench) -> None:
        names = [f"s{n}" for n in range(40)]
        bench.create(*(new_step(name) for name in names), new_step("join", *names))
        steps = bench.claim()

        at_once(40, lambda n: bench.complete(steps[n], n))

        assert bench.pending()["join"] == 0
        assert bench.statuses()["join"] == "ready"
        check_counts(bench)

    def test_one_step_settled_by_many_threads_counts_once(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        step = bench.claim_one()

        exchanges = at_once(16, lambda n: bench.settle(completed(step, n)).lost)

        assert sorted(len(lost) for lost in exchanges if isinstance(lost, list)) == [0, *[1] * 15]
        check_counts(bench)


class SharedStoreTests(RunStoreCase):
    """Several store objects over the same data, as in several processes."""

    @pytest.fixture
    def other(
        self,
        store: RunStore,
        open_store: OpenStore,
        clock: VirtualClock,
    ) -> Iterator[Bench]:
        """A second store object, opened while the first is in use."""
        assert store.now() == clock.micros()
        second = open_store(clock)
        yield Bench(second, clock)
        second.close()

    def test_what_one_commits_the_other_sees(self, bench: Bench, other: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))

        other.complete(other.claim_one(worker="w2"), 1)

        assert bench.store.result("r", "a").value == 1
        assert bench.claim_one().id == "b"

    def test_claimed_by_one_of_them(self, bench: Bench, other: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))

        assert [step.id for step in bench.claim(1)] == ["a"]
        assert [step.id for step in other.claim()] == ["b"]

    def test_fence_holds_between_them(self, bench: Bench, other: Bench) -> None:
        bench.create(new_step("a"))
        stale = bench.claim_one(worker="w1")
        other.lapse()
        held = other.claim_one(worker="w2")
        other.complete(held, "w2")

        assert len(bench.settle(completed(stale, "w1")).lost) == 1
        assert bench.store.result("r", "a").value == "w2"

    def test_max_in_flight_counts_over_both(self, bench: Bench, other: Bench) -> None:
        bench.store.define_queues([Queue("q", max_in_flight=3)])
        bench.create(*(new_step(f"s{n}", queue="q") for n in range(9)))

        assert len(bench.claim(2)) == 2
        assert len(other.claim()) == 1
        assert bench.claim() == other.claim() == []

    def test_rate_limit_counts_over_both_and_outlives_them(
        self, bench: Bench, other: Bench, open_store: OpenStore, clock: VirtualClock
    ) -> None:
        bench.store.define_queues(
            [Queue("q", rate_limit=1, rate_period=timedelta(minutes=1), burst=3)]
        )
        bench.create(*(new_step(f"s{n}", queue="q") for n in range(9)))
        assert len(bench.claim(2)) == 2
        assert len(other.claim()) == 1
        bench.store.close()

        again = Bench(open_store(clock), clock)
        try:
            assert again.claim() == []
            clock.advance(timedelta(minutes=2))
            assert len(again.claim()) == 2
        finally:
            again.store.close()

    def test_cancel_by_one_stops_the_other(self, bench: Bench, other: Bench) -> None:
        bench.create(new_step("a"))
        step = other.claim_one()
        control = other.settle().control

        bench.store.cancel_run("r", OPERATOR)

        assert other.settle().control != control
        assert [lease.reason for lease in other.store.renew("w1", [step], 1)] == ["canceled"]

    def test_watch_notices_the_other(self, bench: Bench, other: Bench) -> None:
        watch, pause = bench.store.watch(), threading.Event()
        assert not watch.changed()

        other.create(new_step("a"))

        # A hint may take a moment to arrive.
        assert any(watch.changed() or pause.wait(0.01) for _ in range(1_000))
        assert not watch.changed()
        watch.close()

    def test_what_a_claim_leaves_is_told_to_who_could_not_see_it(
        self, bench: Bench, other: Bench
    ) -> None:
        # given: more is ready than one claim takes, of two kinds
        bench.create(*(new_step(f"{kind}{n}", kind=kind) for kind in "xy" for n in range(4)))
        watch, pause = other.store.watch(), threading.Event()
        while watch.changed():
            pass

        assert len(bench.claim(4, kinds=("x", "y"))) == 4

        assert any(watch.changed() or pause.wait(0.01) for _ in range(1_000))
        watch.close()

    def test_everything_is_there_after_reopening(
        self, bench: Bench, open_store: OpenStore, clock: VirtualClock
    ) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", "b"))
        bench.complete(bench.claim_one(), {"v": 1})
        held = bench.claim_one()
        before = (bench.steps(), bench.store.events("r"), bench.store.run("r"))
        bench.store.close()

        again = Bench(open_store(clock), clock)
        try:
            assert (again.steps(), again.store.events("r"), again.store.run("r")) == before
            again.complete(held)
            assert again.claim_one().id == "c"
        finally:
            again.store.close()

    def test_threads_of_both_work_one_graph_off(self, bench: Bench, other: Bench) -> None:
        for run in range(4):
            bench.store.create_run(
                new_run(
                    f"r{run}",
                    *(new_step(f"s{n}") for n in range(30)),
                    new_step("join", *(f"s{n}" for n in range(30))),
                )
            )

        def work(number: int) -> int:
            mine, done = (bench, other)[number % 2], 0
            while claimed := mine.claim(4, worker=f"w{number}"):
                exchange = mine.settle(*(completed(step) for step in claimed))
                assert (exchange.lost, exchange.refused) == ([], [])
                done += len(claimed)
            return done

        results = at_once(6, work)
        rest = work(0)

        assert sum(count for count in results if isinstance(count, int)) + rest == 124
        assert {run.status for run in bench.store.runs(RunFilter())} == {"succeeded"}
        for run in range(4):
            check_counts(other, f"r{run}")

    def test_time_passes_for_both(self, bench: Bench, other: Bench, clock: VirtualClock) -> None:
        clock.advance(SECOND)

        assert bench.store.now() == other.store.now()
