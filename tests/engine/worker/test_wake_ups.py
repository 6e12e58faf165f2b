"""What wakes a worker that looks for itself only once in an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.model import Queue
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.step.context import StepContext
from tests.engine.worker.runtimes import NEVER, PATIENCE, Open, Signal


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
