"""Steps that are canceled, or lose their lease, and workers that are told to stop."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from stepwell.composition import connect
from stepwell.engine.package import Package
from stepwell.engine.step.context import StepContext
from stepwell.engine.worker.lifecycle import Lifecycle
from tests.engine.worker.runtimes import NEVER, PATIENCE, Open, Signal


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
        renew = flaky.inner.renew

        def renew_nothing(worker: str, steps: Sequence[Any], lease: int) -> Any:
            if steps and not lapse.is_set():
                lapse.set()
                with flaky.inner.database.read() as tx:
                    now = tx.now
                flaky.inner.database.write(
                    lambda tx: (
                        tx.cursor.execute("UPDATE steps SET expires_at = ?", (now,))
                        if tx.cursor.execute(
                            "SELECT 1 FROM steps WHERE status = 'running'"
                        ).fetchone()
                        else None
                    )
                )
                flaky.inner.reap(9)
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
        # A claim that was under way when it was told to stop is given back.
        (step,) = runtime.steps(later.id)
        assert (step.status, step.attempt) == ("ready", 0)
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

    def test_the_shorter_grace_holds(self) -> None:
        lifecycle = Lifecycle("w1", grace=10)
        for grace in (20, 5, None, 20):
            lifecycle.stop(grace)

        assert lifecycle.grace == 5

    def test_all_workers_of_a_runtime(self, open_runtime: Open) -> None:
        runtime = open_runtime()
        with runtime.worker() as one, runtime.worker() as two:
            assert runtime.stop_workers() == 2
            assert (one.draining, two.draining) == (True, True)
