"""Feature T2, through the public surface: what a run is given when it starts, and what it does."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stepwell import (
    Conflict,
    InvalidInput,
    NotFound,
    Package,
    Queue,
    RefusedByState,
    RunBuilder,
    Runtime,
    StepContext,
    StepError,
    VirtualClock,
    connect,
)
from tests.features.shop import TIMEOUT

shop = Package("shop", queues=[Queue("slow")])


@shop.executor("shop.step")
def act(step: StepContext, number: int) -> int:
    if number < 0:
        step.emit(act, -number, id="more")
    return number


@shop.executor("shop.urgent", priority=-5, queue="slow")
def urgent(step: StepContext) -> str:
    return step.step.queue


@shop.entrypoint(summary=lambda number: f"number {number}")
def start(run: RunBuilder, number: int) -> None:
    first = run.step(act, number, id="first")
    run.step(act, abs(number), id="second", after=first)


@shop.entrypoint(name="raises")
def raises(run: RunBuilder, number: int) -> None:
    run.step(act, number, id="first")
    if number == 13:
        raise ValueError("no thirteen")


@shop.entrypoint(name="own")
def own(run: RunBuilder) -> None:
    run.step(urgent, id="urgent")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'engine.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def runtime(tmp_path: Path, clock: VirtualClock) -> Any:
    with connect("memory://", packages=[shop], home=tmp_path, clock=clock) as runtime:
        yield runtime


def now(clock: VirtualClock) -> datetime:
    return datetime.fromtimestamp(clock.micros() / 1e6, UTC)


def work(runtime: Runtime) -> None:
    while runtime.run_once().processed:
        pass


def start_one(runtime: Runtime, number: int = 1, **options: Any) -> Any:
    return runtime.start_run(shop, number, entrypoint="start", **options)


def test_t2_start_with_options(runtime: Runtime, clock: VirtualClock) -> None:
    # when
    run = start_one(
        runtime,
        -1,
        queue="slow",
        priority=7,
        partition_key="tenant",
        dedup_key="k",
        version="3",
        timeout=timedelta(minutes=5),
        deadline=now(clock) + timedelta(hours=1),
        tags=["x"],
        metadata={"m": 1},
        name="night",
    )
    work(runtime)

    # then: also what it emits has its queue and priority
    found = runtime.run(run.id)
    assert (run.started, run.replaced) == (True, False)
    assert (found.queue, found.priority, found.partition_key) == ("slow", 7, "tenant")
    assert (found.dedup_key, found.version, found.name) == ("k", "3", "night")
    assert (found.summary, found.error) == ("number -1", None)
    assert found.timeout == timedelta(minutes=5)
    steps = {step.id: (step.queue, step.priority, step.status) for step in runtime.steps(run.id)}
    assert set(steps) == {"first", "second", "more"}
    assert set(steps.values()) == {("slow", 7, "succeeded")}


def test_executor_that_names_queue_and_priority_keeps_them(runtime: Runtime) -> None:
    run = runtime.start_run(shop, entrypoint="own", queue="default", priority=9)

    (step,) = runtime.steps(run.id)
    assert (step.queue, step.priority) == ("slow", -5)


def test_delayed_run_wakes_an_idle_worker_in_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'engine.db'}"
    with connect(url, packages=[shop], home=tmp_path) as runtime, runtime.worker():
        run = start_one(runtime, delay=0.3)

        ended = run.wait(TIMEOUT, poll=0.01)

        assert ended.started_at is not None
        assert ended.start_at is not None
        assert timedelta(0) <= ended.started_at - ended.start_at < timedelta(seconds=5)


def test_deadline_ends_a_run_that_nobody_else_wakes(tmp_path: Path) -> None:
    waits = Package("waits")

    @waits.workflow
    def wait(step: StepContext) -> None:
        step.receive("never")

    url = f"sqlite:///{tmp_path / 'engine.db'}"
    with connect(url, packages=[waits], home=tmp_path) as runtime, runtime.worker():
        deadline = datetime.now(UTC) + timedelta(seconds=0.5)
        run = runtime.start_run(wait, deadline=deadline)

        with pytest.raises(StepError) as failure:
            run.result(TIMEOUT)

    assert failure.value.code == "deadline_exceeded"


def at(door: str, options: Any) -> Any:
    """The options, with the entrypoint where it is not named otherwise."""
    return options if door == "trigger" else {"entrypoint": "start", **options}


MESSAGES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"queue": "slwo"}, InvalidInput, "queue: there is no queue 'slwo'; did you mean 'slow'"),
    ({"priority": True}, InvalidInput, "priority: must be a whole number"),
    ({"priority": 10**9}, InvalidInput, "priority: must be a whole number from -1000000"),
    ({"partition_key": ""}, InvalidInput, "partition_key: must have 1 to 200 bytes"),
    ({"partition_key": "a\0"}, InvalidInput, "partition_key: .* unprintable"),
    ({"dedup_key": "k" * 201}, InvalidInput, "dedup_key: must have 1 to 200 bytes, got 201"),
    ({"dedup_key": "\ud800"}, InvalidInput, "dedup_key: .* lone surrogate"),
    ({"dedup_key": 3}, InvalidInput, "dedup_key: must be a string, got int"),
    ({"on_duplicate": "return"}, InvalidInput, "on_duplicate: needs a dedup_key"),
    ({"dedup_for": 3}, InvalidInput, "dedup_for: needs a dedup_key"),
    (
        {"dedup_key": "k", "on_duplicate": "replce"},
        InvalidInput,
        "on_duplicate: must be one of .*, got 'replce'; did you mean 'replace'",
    ),
    ({"delay": 1, "start_at": datetime.max.replace(tzinfo=UTC)}, InvalidInput, "not both"),
    ({"delay": -1}, InvalidInput, "delay: must be"),
    ({"delay": "soon"}, InvalidInput, "delay: must be"),
    ({"start_at": datetime(2030, 1, 2)}, InvalidInput, "start_at: must be a datetime with a zone"),  # noqa: DTZ001
    ({"max_delay": 9, "delay": 1}, InvalidInput, "max_delay: needs a delay and on_duplicate"),
    (
        {"max_delay": 5, "delay": 5, "dedup_key": "k", "on_duplicate": "replace"},
        InvalidInput,
        "max_delay: must be longer than delay, got 5s and a delay of 5s",
    ),
    ({"timeout": 0}, InvalidInput, "timeout: must be"),
    ({"timeout": float("nan")}, InvalidInput, "timeout: must be"),
    (
        {"deadline": datetime(2000, 1, 1, tzinfo=UTC)},
        InvalidInput,
        "deadline: must be later than now",
    ),
    ({"start_by": 1, "delay": 2}, InvalidInput, "start_by: must be later than the start"),
    ({"version": ""}, InvalidInput, "version: must have 1 to 100 bytes"),
    ({"timout": 3}, InvalidInput, "unknown option 'timout'; did you mean 'timeout'"),
]


@pytest.mark.parametrize(("options", "error", "message"), MESSAGES)
@pytest.mark.parametrize("door", ["start_run", "trigger"])
def test_wrong_options_are_refused_and_nothing_is_stored(
    runtime: Runtime, door: str, options: Any, error: type[Exception], message: str
) -> None:
    start_it = runtime.trigger if door == "trigger" else runtime.start_run

    with pytest.raises(error, match=message):
        start_it("shop:start" if door == "trigger" else "shop", 1, **at(door, options))

    assert runtime.runs() == []


def test_keys_of_two_hundred_bytes(runtime: Runtime) -> None:
    key = "ä" * 100

    run = start_one(runtime, dedup_key=key, partition_key=key)

    assert start_one(runtime, dedup_key=key).id == run.id
    assert runtime.run(run.id).partition_key == key


def test_duplicate_says_which_it_was(runtime: Runtime) -> None:
    first = start_one(runtime, dedup_key="k")
    again = start_one(runtime, 2, dedup_key="k")
    replaced = start_one(runtime, 3, dedup_key="k", on_duplicate="replace")

    assert {first.id, again.id, replaced.id} == {first.id}
    assert [handle.started for handle in (first, again, replaced)] == [True, False, False]
    assert [handle.replaced for handle in (first, again, replaced)] == [False, False, True]
    with pytest.raises(Conflict, match="holds the dedup key 'k'"):
        start_one(runtime, dedup_key="k", on_duplicate="refuse")
    work(runtime)
    assert runtime.result(first.id, "first").value == 3


def test_entrypoint_that_raises_leaves_the_waiting_run_as_it_was(runtime: Runtime) -> None:
    options: dict[str, Any] = {"dedup_key": "k", "on_duplicate": "replace", "entrypoint": "raises"}
    first = runtime.start_run(shop, 1, **options)

    with pytest.raises(ValueError, match="no thirteen"):
        runtime.start_run(shop, 13, **options)

    assert (runtime.run(first.id).input, runtime.run(first.id).replaced) == (1, 0)


def test_replacing_run_is_built_with_the_id_that_it_has(tmp_path: Path) -> None:
    seen: list[str] = []
    noting = Package("noting")

    @noting.executor("noting.step")
    def note(step: StepContext, run_id: str) -> None:
        seen.append(f"{run_id} {step.run.id}")

    @noting.entrypoint
    def begin(run: RunBuilder) -> None:
        run.step(note, run.id)

    with connect("memory://", packages=[noting], home=tmp_path) as runtime:
        first = runtime.start_run(noting, dedup_key="k", on_duplicate="replace")
        runtime.start_run(noting, dedup_key="k", on_duplicate="replace")
        runtime.drain(timeout=TIMEOUT)

    assert seen == [f"{first.id} {first.id}"]


def test_retry_options(runtime: Runtime, clock: VirtualClock) -> None:
    run = start_one(runtime, deadline=now(clock) + timedelta(seconds=5), dedup_key="k")
    clock.advance(6)
    runtime.run_once()
    other = start_one(runtime, dedup_key="k")

    with pytest.raises(RefusedByState, match="give it a later deadline"):
        runtime.retry_run(run.id)
    later = now(clock) + timedelta(seconds=5)
    with pytest.raises(Conflict, match=other.id):
        runtime.retry_run(run.id, deadline=later)
    with pytest.raises(InvalidInput, match="unknown option 'deadlin'; did you mean 'deadline'"):
        runtime.retry_run(run.id, deadlin=later)  # type: ignore[call-arg]
    runtime.retry_run(run.id, deadline=later, dedup_key=None)

    work(runtime)
    assert runtime.run(run.id).status == "succeeded"


STARTER = """
import sys
from stepwell import connect
from tests.features.test_run_options import shop
url, home, on = sys.argv[1:]
with connect(url, packages=[shop], home=home) as runtime:
    sys.stdin.readline()
    run = runtime.start_run(
        shop, 1, entrypoint="start", dedup_key="same", on_duplicate=on, delay=60
    )
    print(run.id, run.started, run.replaced)
"""


@pytest.mark.parametrize("on", ["return", "replace"])
def test_ten_processes_that_start_one_key_store_one_run(url: str, tmp_path: Path, on: str) -> None:
    # given
    with connect(url, packages=[shop], home=tmp_path) as runtime:
        command = [sys.executable, "-c", STARTER, url, str(tmp_path), on]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        starters: list[Any] = [subprocess.Popen(command, **pipes) for _ in range(10)]  # type: ignore[call-overload]

        # when
        said = [starter.communicate("go\n")[0].split() for starter in starters]

        # then
        assert [starter.returncode for starter in starters] == [0] * 10
        assert {run_id for run_id, *_ in said} == {run.id for run in runtime.runs()}
        assert Counter(started for _, started, _ in said) == {"True": 1, "False": 9}
        (run,) = runtime.runs()
        assert run.replaced == (9 if on == "replace" else 0)
        assert runtime.verify().ok


def test_the_last_input_is_executed_whatever_is_claimed_meanwhile(url: str, tmp_path: Path) -> None:
    """Debouncing loses no input: what comes while a run begins makes a run of its own."""
    done: list[int] = []
    told = Package("told")

    @told.executor("told.step")
    def tell(step: StepContext, number: int) -> None:
        done.append(number)

    @told.entrypoint
    def begin(run: RunBuilder, number: int) -> None:
        run.step(tell, number, id="tell")

    with connect(url, packages=[told], home=tmp_path) as runtime:
        with runtime.worker():

            def push(numbers: range, barrier: Callable[[], object]) -> None:
                barrier()
                for number in numbers:
                    runtime.start_run(told, number, dedup_key="k", on_duplicate="replace")

            barrier = threading.Barrier(3)
            threads = [
                threading.Thread(target=push, args=(range(first, 60, 3), barrier.wait))
                for first in range(3)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            last = runtime.start_run(told, 1_000, dedup_key="k", on_duplicate="replace")
            assert last.wait(TIMEOUT).status == "succeeded"
            for run in runtime.runs():
                runtime.wait(run.id, TIMEOUT)

        # then: each run was executed once, with the input that it has
        assert sorted(done) == sorted(run.input for run in runtime.runs())
        assert 1_000 in done
        assert runtime.verify().ok


def test_unknown_package_with_a_key(runtime: Runtime) -> None:
    with pytest.raises(NotFound, match="there is no package 'shopp'; did you mean 'shop'"):
        runtime.start_run("shopp", 1, dedup_key="k")
