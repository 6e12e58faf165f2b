"""Workers, through runtimes on stores in memory: how they are run, and what they tell."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any

import pytest

from stepwell.composition import connect
from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import NotFound, Retryable, StoreError, WaitTimeout
from stepwell.engine.events import Event
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.model import CycleResult, Queue
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.step.context import StepContext
from stepwell.testing.builders import claim_request
from tests.engine.worker.runtimes import PATIENCE, Open, Signal


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
        runtime.internals.store.exchange((), claim_request(kinds=("ok",), worker="dead"))
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

        assert flaky.inner.run_status(run.id) == "pending"
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
