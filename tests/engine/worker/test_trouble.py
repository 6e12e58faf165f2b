"""What a worker does when the store refuses what a step made, or is out of reach."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from stepwell.composition import connect
from stepwell.engine.errors import StoreError
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.step.context import StepContext
from tests.engine.worker.runtimes import PATIENCE, Open, Signal


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
        assert flaky.inner.run_status(run.id) == "succeeded"
        runtime.close()

    def test_worker_that_cannot_begin_gives_back_its_watch(
        self, package: Package, flaky: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watches: list[Any] = []
        watch = flaky.inner.watch

        def watching() -> Any:
            watches.append(mock.Mock(wraps=watch()))
            return watches[-1]

        monkeypatch.setattr(flaky.inner, "watch", watching)
        runtime = connect(flaky, packages=[package])
        flaky.fails, flaky.down = {"record_worker", "reap"}, 2

        with pytest.raises(StoreError):
            runtime.drain()
        with pytest.raises(StoreError):
            runtime.run_once()

        assert [each.close.call_count for each in watches] == [1, 1]
        runtime.close()
