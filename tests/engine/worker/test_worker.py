"""Workers, through runtimes on stores in memory."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from stepwell.composition import connect
from stepwell.engine.clock import SystemClock, VirtualClock
from stepwell.engine.errors import NotFound, Retryable, StoreError, WaitTimeout
from stepwell.engine.events import Event
from stepwell.engine.exchange import Outcome
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.model import CycleResult, Queue, RunFilter
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.step.context import StepContext
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import claim_request
from tests.engine.worker.worker_by_hand import FlakyStore, Shop
from tests.executors.fakes import make_pool

PATIENCE = 20.0
NEVER = 3_600.0


class Signal(threading.Event):
    """An event that fails the test when it does not come."""

    def await_it(self) -> None:
        assert self.wait(PATIENCE)


@pytest.fixture
def package() -> Package:
    package = Package("p")

    @package.entrypoint
    def start(run: RunBuilder, kinds: list[str]) -> None:
        for number, kind in enumerate(kinds):
            run.step(kind, id=f"{kind}{number}")

    @package.executor("ok")
    def ok() -> str:
        return "ok"

    return package


Open = Callable[..., Runtime]


@pytest.fixture
def open_runtime(package: Package) -> Iterator[Open]:
    opened: list[Runtime] = []

    def open_it(store: Any = "memory://", clock: Any = None, **settings: Any) -> Runtime:
        opened.append(connect(store, packages=[package], clock=clock, settings=settings))
        return opened[-1]

    yield open_it
    for runtime in opened:
        runtime.close()


@pytest.fixture
def flaky() -> Iterator[Any]:
    store = open_run_store("memory://", clock=SystemClock())
    yield FlakyStore(store)
    store.close()


class TestPools:
    @pytest.mark.parametrize("pool", ["inline", "thread", "asyncio"])
    def test_steps_run_in_their_pool(self, package: Package, open_runtime: Open, pool: str) -> None:
        @package.executor("where", pool=pool)
        def where() -> str:
            return threading.current_thread().name

        runtime = open_runtime()
        run = runtime.start_run("p", ["where", "where"])
        runtime.drain(run.id, timeout=PATIENCE)

        name = runtime.result(run.id, "where0").value
        if pool == "inline":
            assert name == threading.current_thread().name
        else:
            assert name.startswith(f"stepwell-{pool}")

    def test_pools_side_by_side(self, package: Package, open_runtime: Open) -> None:
        @package.executor("async")
        async def coroutine() -> str:
            await asyncio.sleep(0)
            return "async"

        @package.executor("inline", pool="inline")
        def inline() -> str:
            return "inline"

        runtime = open_runtime()
        run = runtime.start_run("p", ["ok", "async", "inline"] * 20)
        runtime.drain(run.id, timeout=PATIENCE)

        assert runtime.run(run.id).status == "succeeded"
        assert {step.status for step in runtime.steps(run.id)} == {"succeeded"}

    def test_more_steps_than_slots(self, open_runtime: Open) -> None:
        runtime = open_runtime(threads=2, claim_limit=7)
        run = runtime.start_run("p", ["ok"] * 300)

        runtime.drain(run.id, timeout=PATIENCE)

        assert runtime.run(run.id).status == "succeeded"
        assert {step.attempt for step in runtime.steps(run.id)} == {1}


class TestTimeouts:
    def test_thread_is_told_and_its_late_result_dropped(
        self, package: Package, open_runtime: Open
    ) -> None:
        told = Signal()

        @package.executor("slow", timeout=0.02)
        def slow(step: StepContext) -> str:
            step.on_cancel(told.set)
            told.await_it()
            return "late"

        runtime = open_runtime()
        run = runtime.start_run("p", ["slow"])
        runtime.drain(run.id, timeout=PATIENCE)

        error = runtime.result(run.id, "slow0").error
        assert error is not None
        assert (error.code, error.message) == ("timeout", "ran longer than its timeout of 0.02 s")
        told.await_it()
        assert runtime.step(run.id, "slow0").status == "failed"

    def test_coroutine_is_canceled(self, package: Package, open_runtime: Open) -> None:
        unwound = Signal()

        @package.executor("slow", timeout=0.02)
        async def slow() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                unwound.set()

        runtime = open_runtime()
        run = runtime.start_run("p", ["slow"])
        runtime.drain(run.id, timeout=PATIENCE)

        unwound.await_it()
        assert runtime.step(run.id, "slow0").status == "failed"

    def test_timeout_is_retried_by_the_policy(self, package: Package, open_runtime: Open) -> None:
        attempts: list[int] = []

        @package.executor("slow", timeout=0.02, retry=Retry(max_attempts=2, initial=0, jitter=0))
        def slow(step: StepContext) -> int:
            attempts.append(step.attempt)
            if step.attempt == 1:
                done = Signal()
                step.on_cancel(done.set)
                done.await_it()
            return step.attempt

        runtime = open_runtime()
        run = runtime.start_run("p", ["slow"])
        runtime.drain(run.id, timeout=PATIENCE)

        assert runtime.result(run.id, "slow0").value == 2
        assert attempts == [1, 2]


class TestCancel:
    def test_running_step_is_told_and_what_it_makes_is_refused(
        self, package: Package, open_runtime: Open
    ) -> None:
        begun, told, seen = Signal(), Signal(), []

        @package.executor("long")
        def long(step: StepContext) -> str:
            begun.set()
            step.on_cancel(told.set)
            told.await_it()
            seen.append(step.cancelled)
            step.record("c", "k", "late")
            return "late"

        # It would hear of it when it renews the lease, too.
        runtime = open_runtime(poll_interval=NEVER, lease=3 * NEVER)
        with runtime.worker():
            run = runtime.start_run("p", ["long"])
            begun.await_it()
            assert run.cancel(reason="enough", by="ann") == 1
            told.await_it()

        assert seen == [True]
        assert run.status() == "canceled"
        assert runtime.records("p", "c") == {}

    def test_lost_lease_stops_the_step(self, package: Package, flaky: Any) -> None:
        begun, told = Signal(), Signal()

        @package.executor("long")
        def long(step: StepContext) -> None:
            if step.attempt > 1:
                return
            begun.set()
            step.on_cancel(told.set)
            told.await_it()

        flaky.fails = set()
        runtime = connect(flaky, packages=[package], settings={"lease": 0.2})
        lapse = threading.Event()
        renew = flaky._store.renew

        def renew_nothing(worker: str, steps: Sequence[Any], lease: int) -> Any:
            if steps and not lapse.is_set():
                lapse.set()
                with flaky._store.database.read() as tx:
                    now = tx.now
                flaky._store.database.write(
                    lambda tx: (
                        tx.cursor.execute("UPDATE steps SET expires_at = ?", (now,))
                        if tx.cursor.execute(
                            "SELECT 1 FROM steps WHERE status = 'running'"
                        ).fetchone()
                        else None
                    )
                )
                flaky._store.reap(9)
            return renew(worker, steps, lease)

        flaky.renew = renew_nothing
        with runtime.worker():
            run = runtime.start_run("p", ["long"])
            begun.await_it()
            told.await_it()
            run.wait(PATIENCE)

        assert runtime.step(run.id, "long0").attempt == 2
        assert "step.lapsed" in [event.type for event in runtime.events(run.id)]
        runtime.close()


class TestStopping:
    def test_running_steps_finish_within_the_grace(
        self, package: Package, open_runtime: Open
    ) -> None:
        begun, go_on = Signal(), Signal()

        @package.executor("long")
        def long() -> str:
            begun.set()
            go_on.await_it()
            return "finished"

        runtime = open_runtime()
        with runtime.worker(grace=PATIENCE) as worker:
            run = runtime.start_run("p", ["long"])
            begun.await_it()
            worker.stop(PATIENCE)
            assert worker.draining
            later = runtime.start_run("p", ["ok"])
            go_on.set()

        assert runtime.result(run.id, "long0").value == "finished"
        assert later.status() == "pending"
        assert runtime.workers() == []

    def test_what_runs_longer_is_given_back_uncharged(
        self, package: Package, open_runtime: Open
    ) -> None:
        begun, told = Signal(), Signal()

        @package.executor("long")
        def long(step: StepContext) -> None:
            step.on_cancel(told.set)
            begun.set()
            told.await_it()

        runtime = open_runtime(kill_grace=0)
        with runtime.worker(grace=0):
            run = runtime.start_run("p", ["long"])
            begun.await_it()

        told.await_it()
        step = runtime.step(run.id, "long0")
        assert (step.status, step.attempt) == ("ready", 0)

    def test_the_shorter_grace_holds(self, open_runtime: Open) -> None:
        runtime = open_runtime()
        with runtime.worker() as worker:
            worker.stop(PATIENCE)
            worker.stop(0)
            worker.stop(PATIENCE)

            assert worker._lifecycle.grace == 0

    def test_all_workers_of_a_runtime(self, open_runtime: Open) -> None:
        runtime = open_runtime()
        with runtime.worker() as one, runtime.worker() as two:
            assert runtime.stop_workers() == 2
            assert (one.draining, two.draining) == (True, True)


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
                    shop.worker._deliver(task, task.completed("ok"))
            shop.worker.cycle()
            ahead = shop.statuses().count(("running", 1))

        for _ in range(9):
            shop.clock.advance(timedelta(seconds=10))
            shop.worker._duties.tend(shop.clock.monotonic())
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
        monkeypatch.setattr(shop.worker._workload.windows, "requests", tuple)
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

    def test_late_outcome_of_a_dropped_step_is_dropped(self, package: Package) -> None:
        shop = Shop(package)
        shop.start(["ok"])
        shop.worker.cycle()
        (task,) = shop.pool.tasks
        task.begin()
        shop.clock.advance(timedelta(seconds=31))
        shop.store._store.reap(9)
        shop.worker.cycle()
        assert shop.pool.canceled == [task]

        shop.worker._deliver(task, task.completed("late"))
        shop.worker.cycle()

        assert shop.statuses() == [("running", 2)]

    def test_a_lapsed_step_that_comes_back_before_it_is_missed(self, package: Package) -> None:
        # given a step whose lease lapses before the worker renews again
        shop = Shop(package)
        shop.start(["ok"] * 4)
        shop.worker.cycle()
        old = shop.pool.tasks[0]
        old.begin()
        shop.worker._duties.next = inf
        shop.clock.advance(timedelta(seconds=31))
        shop.store._store.reap(9)

        # when the worker itself claims it again
        shop.worker.wake()
        shop.worker._workload.drop(shop.pool.tasks[1])  # which makes room
        shop.worker.cycle()

        # then the execution of before is stopped, and takes no slot any more
        again = [task for task in shop.pool.tasks[4:] if task.step.key == old.step.key]
        assert again
        assert old in shop.pool.canceled
        claimed = sum(window.claimed for window in shop.worker._workload.windows._windows.values())
        assert claimed == len(shop.worker._workload.in_flight)

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
        exchange, get, waited = shop.store.exchange, shop.worker._workload.outcomes.get, []

        def slow_exchange(*given: Any) -> Any:
            shop.clock.advance(timedelta(milliseconds=1))
            return exchange(*given)

        def wait(block: bool, timeout: float | None = None) -> Any:
            if timeout:
                waited.append(timeout)
                shop.clock.advance(timedelta(seconds=timeout))
            return get(False)

        monkeypatch.setattr(shop.worker._link.store, "exchange", slow_exchange)
        monkeypatch.setattr(shop.worker._workload.outcomes, "get", wait)
        shop.worker.cycle()
        for task in shop.pool.tasks:
            task.begin()
            shop.worker._deliver(task, task.completed("ok"))

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

        monkeypatch.setattr(shop.worker._link.store, "exchange", watched)
        for task, outcome in ended:
            shop.worker._deliver(task, outcome)

        # when
        while shop.worker.cycle():
            pass

        # then they were settled in order, as many at a time as fit
        assert [sizes for sizes in given if sizes] == [[3, 2], [4, 1]]
        assert shop.statuses().count(("succeeded", 1)) == 4
        assert len(shop.statuses()) == 4 + 10

    def test_a_worker_that_stops_settles_all_that_was_emitted(self, package: Package) -> None:
        shop = Shop(package, emit_limit=5)
        shop.worker._workload.take(shop.bodies_that_emitted([5, 5, 5, 5]))

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


class TestWakeUps:
    def test_new_run_wakes_an_idle_worker(self, open_runtime: Open) -> None:
        runtime = open_runtime(poll_interval=NEVER, lease=3 * NEVER)
        with runtime.worker():
            for _ in range(5):
                runtime.start_run("p", ["ok"]).wait(PATIENCE)

    def test_due_retry_wakes_an_idle_worker(self, package: Package, open_runtime: Open) -> None:
        @package.executor("flaky", retry=Retry(initial=0.02, wait="fixed"))
        def flaky(step: StepContext) -> int:
            if step.attempt < 3:
                raise ValueError(step.attempt)
            return step.attempt

        runtime = open_runtime(poll_interval=NEVER, lease=3 * NEVER)
        with runtime.worker():
            run = runtime.start_run("p", ["flaky"])
            run.wait(PATIENCE)

        assert runtime.result(run.id, "flaky0").value == 3

    def test_operators_retry_wakes_an_idle_worker(
        self, package: Package, open_runtime: Open
    ) -> None:
        broken = [True]

        @package.executor("mended")
        def mended() -> None:
            if broken.pop():
                broken.append(False)
                raise ValueError

        runtime = open_runtime(poll_interval=NEVER, lease=3 * NEVER)
        with runtime.worker():
            run = runtime.start_run("p", ["mended"])
            assert run.wait(PATIENCE).status == "failed"
            runtime.retry_step(run.id, "mended0")
            assert run.wait(PATIENCE).status == "succeeded"

    def test_what_falls_due_while_something_runs_is_not_late(
        self, package: Package, open_runtime: Open
    ) -> None:
        # given a step that runs for long
        begun, go_on = Signal(), Signal()

        @package.executor("long")
        def long() -> None:
            begun.set()
            go_on.await_it()

        @package.executor("sleeper")
        def sleeper(step: StepContext) -> None:
            step.sleep(0.05)

        runtime = open_runtime(poll_interval=NEVER, lease=3 * NEVER)
        with runtime.worker():
            runtime.start_run("p", ["long"])
            begun.await_it()

            # when another one sleeps, then it wakes meanwhile
            assert runtime.start_run("p", ["sleeper"]).wait(PATIENCE).status == "succeeded"
            go_on.set()

    @pytest.mark.parametrize("store", ["memory://", "sqlite"])
    def test_workers_of_one_runtime_hear_of_each_other(
        self, package: Package, open_runtime: Open, tmp_path: Path, store: str
    ) -> None:
        # given two workers that look for themselves only once in an hour
        package.add_queue(Queue("a"))
        package.add_queue(Queue("b"))
        package.executor("first", queue="a")(lambda: 1)
        package.executor("second", queue="b")(lambda: 2)

        @package.entrypoint(name="relay")
        def relay(run: RunBuilder) -> None:
            run.step("second", id="then", after=[run.step("first", id="first")])

        url = store if store == "memory://" else f"sqlite:///{tmp_path}/engine.db"
        runtime = open_runtime(url, poll_interval=NEVER, lease=3 * NEVER)
        with runtime.worker(queues=["a"]), runtime.worker(queues=["b"]):
            # when what one does makes work for the other, then that begins at once
            for _ in range(3):
                run = runtime.start_run("p", entrypoint="relay")
                assert run.wait(PATIENCE).status == "succeeded"

    def test_value_that_a_body_sets_wakes_who_waits_for_it(
        self, package: Package, open_runtime: Open
    ) -> None:
        told, seen = Signal(), Signal()

        @package.executor("teller")
        def teller(step: StepContext) -> None:
            told.await_it()
            step.set_value("ready", True)
            seen.await_it()  # its end is not what the other one hears of

        @package.executor("listener")
        def listener(step: StepContext) -> None:
            step.wait_for_value(step.run.id, "ready", bool)
            seen.set()

        runtime = open_runtime(poll_interval=NEVER, lease=3 * NEVER)
        with runtime.worker():
            run = runtime.start_run("p", ["teller", "listener"])
            runtime.observe(lambda event: told.set() if event.type == "step.waiting" else None)
            if runtime.step(run.id, "listener1").status == "waiting":
                told.set()
            assert run.wait(PATIENCE).status == "succeeded"

    def test_token_bucket_wakes_the_worker(self, package: Package, open_runtime: Open) -> None:
        package.add_queue(Queue("q", rate_limit=50, burst=1))
        package.executor("limited", queue="q")(lambda: 1)

        runtime = open_runtime(poll_interval=NEVER, lease=3 * NEVER)
        with runtime.worker():
            assert runtime.start_run("p", ["limited"] * 4).wait(PATIENCE).status == "succeeded"


class TestRunOnce:
    def test_counts(self, package: Package, open_runtime: Open) -> None:
        @package.executor("bad")
        def bad() -> None:
            raise ValueError

        @package.executor("again", retry=Retry())
        def again() -> None:
            raise Retryable("busy")

        runtime = open_runtime()
        runtime.start_run("p", ["ok", "ok", "bad", "again"])

        assert runtime.run_once() == CycleResult(processed=4, succeeded=2, failed=1, retried=1)
        assert runtime.run_once() == CycleResult()

    def test_refreshed_by_time(self, package: Package, open_runtime: Open) -> None:
        clock = VirtualClock()

        @package.executor("again", pool="inline", retry=Retry(initial=60, jitter=0))
        def again(step: StepContext) -> int:
            if step.attempt == 1:
                raise ValueError
            return step.attempt

        runtime = open_runtime(clock=clock)
        run = runtime.start_run("p", ["again"])
        assert runtime.run_once().retried == 1
        assert runtime.run_once().processed == 0
        clock.advance(timedelta(seconds=60))

        assert runtime.run_once().succeeded == 1
        assert runtime.result(run.id, "again0").completed_at == runtime.run(run.id).ended_at

    def test_lapsed_steps_are_refreshed(self, package: Package, open_runtime: Open) -> None:
        clock = VirtualClock()
        runtime = open_runtime(clock=clock)
        run = runtime.start_run("p", ["ok"])
        runtime._store.exchange((), claim_request(kinds=("ok",), worker="dead"))
        clock.advance(timedelta(seconds=30))

        assert runtime.run_once() == CycleResult(refreshed=1, processed=1, succeeded=1)
        assert run.status() == "succeeded"

    def test_what_has_ended_is_settled_while_its_neighbour_runs(
        self, package: Package, open_runtime: Open
    ) -> None:
        # given two steps that are claimed together
        settled = Signal()

        @package.executor("long")
        def long() -> None:
            settled.await_it()

        runtime = open_runtime()
        runtime.observe(lambda event: settled.set() if event.type == "step.succeeded" else None)
        runtime.start_run("p", ["long", "ok"])

        # when one of them waits for the other one's commit, then it comes
        assert runtime.run_once() == CycleResult(processed=2, succeeded=2)

    def test_store_out_of_reach_is_an_error(self, package: Package, flaky: Any) -> None:
        runtime = connect(flaky, packages=[package])
        run = runtime.start_run("p", ["ok"])
        flaky.fails, flaky.down = {"exchange"}, 1

        with pytest.raises(StoreError, match="the disk is gone"):
            runtime.run_once()

        assert flaky._store.run_status(run.id) == "pending"
        assert runtime.run_once().succeeded == 1
        runtime.close()

    def test_waiting_for_a_child_run(self, package: Package, open_runtime: Open) -> None:
        @package.entrypoint(name="parent")
        def parent(run: RunBuilder) -> None:
            run.step("run.start", {"package": "p", "entrypoint": "start", "input": ["ok"]}, id="c")

        runtime = open_runtime()
        run = runtime.start_run("p", entrypoint="parent")

        assert runtime.run_once() == CycleResult(processed=1, waiting=1)
        runtime.drain(run.id, timeout=PATIENCE)

        assert run.status() == "succeeded"


class TestRefusals:
    def test_bad_emission_fails_the_attempt_and_commits_nothing(
        self, package: Package, open_runtime: Open
    ) -> None:
        @package.executor("emits")
        def emits(step: StepContext) -> str:
            step.record("c", "k", 1)
            step.emit("ok", id="fine")
            step.emit("ok", id="lost", after="nowhere")
            return "never stored"

        runtime = open_runtime()
        run = runtime.start_run("p", ["emits", "ok"])
        runtime.drain(run.id, timeout=PATIENCE)

        result = runtime.result(run.id, "emits0")
        assert result.error is not None
        assert result.error.code == "invalid_graph"
        assert "there is no step 'nowhere' in the run" in result.error.message
        assert [step.id for step in runtime.steps(run.id)] == ["emits0", "ok1"]
        assert runtime.records("p", "c") == {}
        assert runtime.step(run.id, "ok1").status == "succeeded"

    def test_own_policy_of_the_step_decides_on_another_try(
        self, package: Package, open_runtime: Open
    ) -> None:
        @package.executor("emits")
        def emits(step: StepContext) -> None:
            step.emit("ok", id="child", after="nowhere" if step.attempt == 1 else ())

        @package.entrypoint(name="own")
        def own(run: RunBuilder) -> None:
            run.step(emits, id="e", retry=Retry(max_attempts=2, initial=0, jitter=0))

        runtime = open_runtime()
        run = runtime.start_run("p", entrypoint="own")
        runtime.drain(run.id, timeout=PATIENCE)

        assert runtime.step(run.id, "e").attempt == 2
        assert run.status() == "succeeded"


class TestStoreTrouble:
    def test_store_that_fails_for_a_while_loses_nothing(
        self, package: Package, flaky: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        ran: list[str] = []
        begun, recovered = Signal(), Signal()
        flaky.on_failure = lambda: recovered.set() if flaky.down == 0 else None

        @package.executor("noted")
        def noted(step: StepContext) -> str:
            ran.append(step.step.id)
            if not begun.is_set():
                flaky.down = 3
                begun.set()
            return step.step.id

        runtime = connect(flaky, packages=[package], settings={"threads": 2})
        with runtime.worker():
            run = runtime.start_run("p", ["noted"] * 20)
            recovered.await_it()
            runtime.wait(run.id, PATIENCE)

        assert len(flaky.failed) == 3
        assert sorted(ran) == sorted(f"noted{number}" for number in range(20))
        assert runtime.run(run.id).status == "succeeded"
        assert caplog.text.count("the disk is gone; trying again") >= 1
        runtime.close()

    def test_drain_goes_on_when_the_store_is_back(self, package: Package, flaky: Any) -> None:
        @package.executor("breaks")
        def breaks() -> None:
            flaky.down = 4

        runtime = connect(flaky, packages=[package])
        run = runtime.start_run("p", ["breaks", "ok", "ok"])

        runtime.drain(run.id, timeout=PATIENCE)
        runtime.drain(timeout=PATIENCE)

        assert len(flaky.failed) == 4
        assert flaky._store.run_status(run.id) == "succeeded"
        runtime.close()

    def test_worker_that_cannot_begin_gives_back_its_watch(
        self, package: Package, flaky: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watches: list[Any] = []
        watch = flaky._store.watch

        def watching() -> Any:
            watches.append(mock.Mock(wraps=watch()))
            return watches[-1]

        monkeypatch.setattr(flaky._store, "watch", watching)
        runtime = connect(flaky, packages=[package])
        flaky.fails, flaky.down = {"record_worker", "reap"}, 2

        with pytest.raises(StoreError):
            runtime.drain()
        with pytest.raises(StoreError):
            runtime.run_once()

        assert [each.close.call_count for each in watches] == [1, 1]
        runtime.close()


class TestDraining:
    def test_until_there_is_nothing_left(self, open_runtime: Open) -> None:
        runtime = open_runtime()
        runs = [runtime.start_run("p", ["ok"] * 3) for _ in range(4)]

        runtime.drain(timeout=PATIENCE)

        assert {run.status() for run in runs} == {"succeeded"}

    def test_timeout(self, package: Package, open_runtime: Open) -> None:
        go_on = Signal()
        package.executor("stuck")(go_on.await_it)
        runtime = open_runtime(grace=0, kill_grace=0)
        run = runtime.start_run("p", ["stuck"])

        with pytest.raises(WaitTimeout, match=rf"run '{run.id}' did not end within 0.05 s"):
            runtime.drain(run.id, timeout=0.05)
        with pytest.raises(WaitTimeout, match=r"the work did not end within 0.05 s"):
            runtime.drain(timeout=0.05)
        with pytest.raises(WaitTimeout, match=r"did not end within 0 s"):
            run.wait(timeout=0)

        go_on.set()
        assert runtime.step(run.id, "stuck0").attempt == 0

    def test_unknown_run(self, open_runtime: Open) -> None:
        with pytest.raises(NotFound, match="no run 'x'"):
            open_runtime().drain("x")


class TestStartWorkers:
    def test_for_some_cycles(self, open_runtime: Open) -> None:
        runtime = open_runtime()
        run = runtime.start_run("p", ["ok"])

        runtime.start_workers(max_cycles=1)

        assert run.status() in ("running", "succeeded")
        assert runtime.workers() == []
        assert "running" not in {step.status for step in runtime.steps(run.id)}

    def test_until_told_to_stop(self, package: Package, open_runtime: Open) -> None:
        stop = threading.Event()
        package.executor("last")(stop.set)
        runtime = open_runtime()
        run = runtime.start_run("p", ["ok", "last"])

        runtime.start_workers(stop=stop, poll_interval=0.01)

        assert run.status() == "succeeded"

    def test_only_some_queues(self, package: Package, open_runtime: Open) -> None:
        package.add_queue(Queue("q"))
        package.executor("queued", queue="q")(lambda: 1)
        runtime = open_runtime()
        run = runtime.start_run("p", ["ok", "queued"])

        with runtime.worker(queues=["q"]):
            ended = Signal()
            runtime.observe(lambda event: ended.set() if event.step_id == "queued1" else None)
            if runtime.step(run.id, "queued1").status != "succeeded":
                ended.await_it()

        assert runtime.step(run.id, "ok0").status == "ready"
        with pytest.raises(NotFound, match="no queue 'w'"):
            runtime.start_workers(queues=["w"])

    def test_error_of_a_background_worker_is_raised_at_the_end(
        self, package: Package, flaky: Any
    ) -> None:
        runtime = connect(flaky, packages=[package])
        flaky.fails = {"record_worker"}
        flaky.down = 1
        flaky.on_failure = lambda: 1 / 0  # no trouble of the store, which is waited for

        with pytest.raises(ZeroDivisionError), runtime.worker():
            pass
        runtime.close()


class TestObservers:
    def test_events_of_a_worker_and_its_steps(self, open_runtime: Open) -> None:
        runtime = open_runtime()
        seen: list[Event] = []
        stop = runtime.observe(seen.append)
        run = runtime.start_run("p", ["ok"])
        runtime.drain(run.id, timeout=PATIENCE)

        assert [str(event.type) for event in seen] == [
            "run.created",
            "worker.started",
            "run.started",
            "step.started",
            "step.succeeded",
            "run.succeeded",
            "worker.stopped",
        ]
        begun = next(event for event in seen if event.type == "step.started")
        assert (begun.run_id, begun.step_id, begun.attempt, begun.seq) == (run.id, "ok0", 1, None)
        stored = [event for event in seen if event.seq is not None]
        assert stored == runtime.events(run.id)
        stop()
        runtime.start_run("p", ["ok"])
        assert len(seen) == 7

    def test_observer_that_raises_harms_nobody(
        self, open_runtime: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        runtime = open_runtime()
        seen: list[Event] = []

        def broken(event: Event) -> None:
            raise ValueError("observer")

        runtime.observe(broken)
        runtime.observe(seen.append)
        run = runtime.start_run("p", ["ok"])
        runtime.drain(run.id, timeout=PATIENCE)

        assert run.status() == "succeeded"
        assert len(seen) == 7
        assert "observer failed" in caplog.text

    def test_log_has_a_line_with_a_stable_action(
        self, package: Package, open_runtime: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        @package.executor("bad")
        def bad() -> None:
            raise ValueError("no ink")

        with caplog.at_level(logging.DEBUG, "stepwell"):
            runtime = open_runtime()
            run = runtime.start_run("p", ["bad"])
            runtime.drain(run.id, timeout=PATIENCE)

        (record,) = [r for r in caplog.records if getattr(r, "action", "") == "step.failed"]
        assert record.levelname == "ERROR"
        assert f"step.failed {run.id}/bad0 code=ValueError message=no ink" in record.getMessage()
        assert record.__dict__["step_id"] == "bad0"


def outcomes_of(pool: str) -> list[Outcome]:
    delivered: list[Outcome] = []
    services: Any = None
    made = make_pool(pool, 1, lambda task, outcome: delivered.append(outcome), services)
    made.shutdown(0)
    return delivered


@pytest.mark.parametrize("pool", ["inline", "thread", "asyncio", "process"])
def test_pool_that_never_had_a_step_stops(pool: str) -> None:
    assert outcomes_of(pool) == []
