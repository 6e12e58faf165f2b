"""Stores at work: whatever is done to them, and at whatever moment they are looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepwell import (
    Dependency,
    Package,
    Permanent,
    Queue,
    Retry,
    Retryable,
    RunBuilder,
    Runtime,
    StepContext,
    connect,
)

PATIENCE = 60.0

works = Package("works", queues=[Queue("narrow", max_in_flight=2)])


@works.executor("works.plain")
def plain(step: StepContext, number: int) -> int:
    step.record("numbers", step.step.id, number)
    return number


@works.executor("works.flaky", retry=Retry(max_attempts=3, initial=0))
def flaky(step: StepContext) -> str:
    if step.attempt < 3:
        raise Retryable("not_yet")
    step.artifact("small.txt", "small\n")
    step.store_artifact("large.bin", b"large" * 1000)
    return "at last"


@works.executor("works.spread")
def spread(step: StepContext, width: int) -> None:
    before: Any = ()
    for number in range(width):
        before = [step.emit(plain, number, id=f"{step.step.id}:{number}", after=before)]
    if width > 1:
        step.emit(spread, width - 1, id=f"{step.step.id}/")


@works.executor("works.broken")
def broken(step: StepContext) -> str:
    if step.attempt == 1:
        raise Permanent("broken")
    return "mended"


@works.executor("works.durable")
def durable(step: StepContext) -> str:
    step.do("first", str.upper, "a")
    step.set_value("state", "asking")
    step.sleep(0.01)
    return str(step.receive("answers"))


@works.executor("works.slow", queue="narrow")
def slow(step: StepContext) -> None:
    step.record("slow", step.step.id, step.attempt)


@works.entrypoint(name="start")
def everything(run: RunBuilder, width: int) -> None:
    root = run.step(spread, width, id="spread")
    joined = run.step(plain, 1, id="joined", after_subtree=[root])
    run.step(flaky, id="flaky", after=[joined])
    bad = run.step(broken, id="broken")
    run.step(plain, 2, id="required", after=[bad])
    run.step(plain, 3, id="optional", after=[Dependency(bad, "finished")])
    run.step(durable, id="durable")
    run.step("run.start", {"package": "works", "entrypoint": "child"}, id="child")
    for number in range(width):
        run.step(slow, id=f"slow:{number}")


@works.entrypoint(name="child")
def child(run: RunBuilder) -> None:
    run.step(plain, 4, id="of-child")


@pytest.fixture(params=["sqlite", "postgres"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    url = (
        f"sqlite:///{tmp_path}/engine.db"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    with connect(url, home=tmp_path, packages=[works]) as runtime:
        yield runtime


def assert_right(runtime: Runtime) -> None:
    found = runtime.verify()
    assert [*map(str, found.violations)] == []
    assert found.ok


def test_every_sort_of_work_leaves_a_store_that_is_right(runtime: Runtime) -> None:
    run = runtime.start_run("works", entrypoint="start", input=3)
    runtime.start_run("works", entrypoint="start", input=2, run_id="canceled")
    runtime.start_run("works", entrypoint="start", input=2, run_id="paused")
    runtime.cancel_run("canceled")
    runtime.pause_run("paused")
    runtime.hold_step(run.id, "flaky")
    assert_right(runtime)

    runtime.send(run.id, "answers", "yes")
    runtime.drain(timeout=PATIENCE)
    assert_right(runtime)

    runtime.release_step(run.id, "flaky")
    runtime.drain(run.id, timeout=PATIENCE)
    assert runtime.run(run.id).status == "failed"
    assert_right(runtime)

    runtime.retry_run(run.id)
    runtime.retry_run("canceled")
    runtime.resume_run("paused")
    assert_right(runtime)

    for name in ("canceled", "paused"):
        runtime.send(name, "answers", "yes")
    runtime.drain(timeout=PATIENCE)
    assert runtime.run(run.id).status == "succeeded"
    assert_right(runtime)


def test_store_is_right_at_every_moment_of_its_work(runtime: Runtime, scale: float) -> None:
    found: list[str] = []
    looked = 0
    over = threading.Event()

    def look() -> None:
        nonlocal looked
        while not over.is_set():
            found.extend(map(str, runtime.verify().violations))
            looked += 1

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with runtime.worker():
            for number in range(round(6 * scale)):
                run = runtime.start_run(
                    "works", entrypoint="start", input=4, run_id=f"live{number}"
                )
                runtime.send(run.id, "answers", number)
                runtime.pause_run(run.id)
                runtime.resume_run(run.id)
                assert run.wait(timeout=PATIENCE).status == "failed"
                runtime.retry_run(run.id)
                assert run.wait(timeout=PATIENCE).status == "succeeded"
    finally:
        over.set()
        watcher.join()

    assert found == []
    assert looked > 0
    assert_right(runtime)


@pytest.mark.parametrize("damage", ["missing", "longer", "flipped"])
def test_damaged_artifact_is_named(damage: str, tmp_path: Path) -> None:
    # given
    with connect(f"sqlite:///{tmp_path}/engine.db", home=tmp_path, packages=[works]) as runtime:
        run = runtime.start_run("works", entrypoint="start", input=1)
        runtime.send(run.id, "answers", "yes")
        runtime.drain(timeout=PATIENCE)
        large = next(ref for ref in runtime.artifacts(run.id) if ref.name == "large.bin")
        (path,) = tmp_path.glob(f"artifacts/*/{large.sha256}")

        # when
        path.chmod(0o600)
        content = path.read_bytes()
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(content + b"x" if damage == "longer" else b"L" + content[1:])
        found = runtime.verify()

    # then
    (violation,) = found.violations
    assert (violation.check, violation.run_id, violation.step_id) == ("artifacts", run.id, "flaky")
    assert ("missing" if damage == "missing" else "damaged") in violation.message
