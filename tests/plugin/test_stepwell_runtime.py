"""The fixture `stepwell_runtime`: everything runs here and now, and time is what a test says."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from stepwell import (
    InvalidSettings,
    Package,
    Queue,
    Retry,
    RunBuilder,
    RuntimeClosed,
    StepContext,
    WaitTimeout,
)
from stepwell.testing import MakeRuntime
from stepwell.testing.plugin import runtimes
from tests.plugin.packages import Order, ask, careful, patient

DAY = timedelta(days=1)


def test_packages_are_taken_as_by_connect(stepwell_runtime: MakeRuntime) -> None:
    package = Package("given")

    @package.entrypoint
    def start(run: RunBuilder) -> None:
        run.step("given.one")

    package.executor("given.one")(lambda: 1)

    runtime = stepwell_runtime(packages=[package])

    assert runtime.start_run("given").result() == 1


def test_a_run_ends_in_this_thread(stepwell_runtime: MakeRuntime) -> None:
    package, threads = Package("here"), []

    @package.executor("here.sync")
    def sync(step: StepContext) -> str:
        threads.append(threading.current_thread())
        return str(step.app)

    @package.executor("here.async")
    async def beside(step: StepContext) -> bool:
        threads.append(threading.current_thread())
        return step.dependency("sync", str) == "the app"

    @package.executor("here.process", pool="process")
    def process(step: StepContext) -> None:
        threads.append(threading.current_thread())

    @package.entrypoint
    def start(run: RunBuilder) -> None:
        first = run.step(sync, id="sync")
        run.step(process, id="last", after=run.step(beside, id="async", after=first))

    runtime = stepwell_runtime(package, app="the app", settings={"lease": 5})
    run = runtime.start_run(package)
    runtime.drain(run.id)

    assert run.status() == "succeeded"
    assert runtime.result(run.id, "async").value is True
    assert set(threads) == {threading.current_thread()}
    assert len(threads) == 3


def test_waits_and_retries_move_the_clock(stepwell_runtime: MakeRuntime) -> None:
    package = Package("slow")
    times: list[datetime] = []
    woken: list[int] = []

    def wake() -> None:
        woken.append(runtime.clock.micros())

    @package.workflow(retry=Retry(wait="fixed", initial=3600, maximum=3600, jitter=0))
    def slow(step: StepContext) -> None:
        times.append(step.now)
        if step.attempt == 1:
            raise ConnectionError
        step.sleep(DAY)
        step.do("wake", wake)

    runtime = stepwell_runtime(package)
    begun = runtime.clock.micros()
    runtime.start_run(slow).result()

    assert times[1] - times[0] == timedelta(hours=1)
    assert times[2] - times[1] == DAY
    passed = DAY + timedelta(hours=1)
    assert woken == [begun + passed // timedelta(microseconds=1)] == [runtime.clock.micros()]


def test_tries_of_an_operation_take_no_time(stepwell_runtime: MakeRuntime) -> None:
    package, tries = Package("trying"), []

    @package.workflow
    def trying(step: StepContext) -> int:
        def flaky() -> int:
            tries.append(step.kv is not None)
            if len(tries) < 3:
                raise ConnectionError
            return len(tries)

        return step.do("flaky", flaky, retry=Retry(max_attempts=3, initial=600))

    runtime = stepwell_runtime(package)
    begun = runtime.clock.monotonic()

    assert runtime.start_run(trying).result() == 3
    assert runtime.clock.monotonic() - begun > 600


def test_a_rate_limit_moves_the_clock(stepwell_runtime: MakeRuntime) -> None:
    hourly = Queue("hourly", rate_limit=1, rate_period=timedelta(hours=1), burst=1)
    package, times = Package("calm", queues=[hourly]), []

    @package.executor("calm.work", queue="hourly")
    def work(step: StepContext) -> None:
        times.append(step.now)

    @package.entrypoint
    def start(run: RunBuilder) -> None:
        for _ in range(3):
            run.step(work)

    runtime = stepwell_runtime(package)
    runtime.drain(runtime.start_run(package).id)

    assert times[2] - times[0] >= timedelta(hours=2)


def test_a_run_is_led_from_wait_to_wait(stepwell_runtime: MakeRuntime) -> None:
    runtime = stepwell_runtime(patient)
    run = runtime.start_run(ask, "bob")

    [sleeping] = runtime.work()
    assert sleeping.wait is not None
    assert sleeping.wait.kind == "sleep"
    runtime.clock.advance(DAY)
    [waiting] = runtime.work()
    assert waiting.wait is not None
    assert waiting.wait.topic == "word"
    runtime.send(run.id, "word", "hello")
    runtime.work()
    runtime.approve(run.id, by="ann")
    runtime.drain(run.id)

    assert run.result() == "hello yes by ann"
    assert runtime.get_value(run.id, "word") == "hello"


def test_a_drain_that_can_go_no_further_says_what_is_waited_for(
    stepwell_runtime: MakeRuntime,
) -> None:
    runtime = stepwell_runtime(patient)
    run = runtime.start_run(ask, "bob", run_id="r")

    with pytest.raises(WaitTimeout) as told:
        runtime.drain(run.id)

    assert str(told.value) == (
        "run 'r' goes no further by itself: step 'ask' waits for a message on topic 'word'"
    )
    runtime.drain()  # without a run there is nothing more to do


def test_other_ways_to_be_stuck_are_told(stepwell_runtime: MakeRuntime) -> None:
    runtime = stepwell_runtime(careful, patient)
    waiting = runtime.start_run(ask, "eve")
    held = runtime.start_run(careful, Order(id="o", cents=1))
    runtime.pause_run(held.id)

    with pytest.raises(WaitTimeout, match="did not end within 60 s of virtual time"):
        runtime.drain(waiting.id, timeout=60)
    with pytest.raises(WaitTimeout, match="step 'pay' is held back; resume the run"):
        runtime.drain(held.id)


def test_what_expires_does_so_in_virtual_time(stepwell_runtime: MakeRuntime) -> None:
    runtime = stepwell_runtime()
    runtime.kv.set("token", "t", expires_in=DAY)

    runtime.clock.advance(DAY - timedelta(seconds=1))
    assert runtime.kv.get("token") == "t"
    runtime.clock.advance(timedelta(seconds=1))

    assert runtime.kv.get("token") is None


def test_a_timeout_passes_at_once(stepwell_runtime: MakeRuntime) -> None:
    runtime = stepwell_runtime(patient)
    run = runtime.start_run(ask, "bob")
    runtime.send(run.id, "word", "hello")

    runtime.drain(run.id)

    error = runtime.result(run.id, "ask").error
    assert error is not None
    assert error.code == "wait_timeout"


def test_each_runtime_is_its_own_and_closed_at_the_end() -> None:
    with runtimes() as make:
        one, other = make(patient), make(patient)
        one.start_run(ask, "bob", run_id="r")

        assert other.runs() == []

    for runtime in (one, other):
        with pytest.raises(RuntimeClosed):
            runtime.start_run(ask, "bob")


def test_bad_options_are_refused(stepwell_runtime: MakeRuntime) -> None:
    wrong: dict[str, Any] = {"settings": {"leas": 1}}

    with pytest.raises(InvalidSettings, match=r"settings\.leas: unknown; did you mean 'lease'"):
        stepwell_runtime(patient, **wrong)
