"""Workers and the pools that their steps run in, with their timeouts."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from stepwell.engine.exchange import Outcome
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.step.context import StepContext
from tests.engine.worker.runtimes import PATIENCE, Open, Signal
from tests.executors.fakes import make_pool


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


def outcomes_of(pool: str) -> list[Outcome]:
    delivered: list[Outcome] = []
    services: Any = None
    made = make_pool(pool, 1, lambda task, outcome: delivered.append(outcome), services)
    made.shutdown(0)
    return delivered


@pytest.mark.parametrize("pool", ["inline", "thread", "asyncio", "process"])
def test_pool_that_never_had_a_step_stops(pool: str) -> None:
    assert outcomes_of(pool) == []
