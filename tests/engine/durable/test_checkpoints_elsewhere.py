"""Operations that are recorded elsewhere than in the store are never done again by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepwell import Package, RunBuilder, Runtime, StepContext, connect

package = Package("p")
done: list[str] = []


@package.workflow
def pay(step: StepContext) -> int:
    step.do("pay", done.append, "paid")
    return step.receive("go", int)


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def opened(folder: Path, checkpoints: Any) -> Runtime:
    url = f"sqlite:///{folder}/engine.db"
    return connect(url, home=folder, packages=[package], checkpoints=checkpoints)


def begin(folder: Path, checkpoints: Any) -> str:
    with opened(folder, checkpoints) as runtime:
        run = runtime.start_run(pay)
        runtime.run_once()
        runtime.send(run.id, "go", 1)
        return run.id


@pytest.mark.parametrize("other", [None, "memory://"])
def test_refused_where_they_are_not(tmp_path: Path, other: str | None) -> None:
    # given: a workflow that recorded an operation in files
    place = f"file://{tmp_path}/checkpoints"
    run_id = begin(tmp_path, place)

    # when: it goes on without them
    with opened(tmp_path, other) as runtime:
        runtime.drain(run_id, timeout=30)
        error = runtime.step(run_id, "pay").error

        # then: nothing is done, and the error says where they are
        assert error is not None
        assert error.code == "replay_mismatch"
        assert f"its operations are recorded in {place}; open the store with" in error.message
        assert done == ["paid"]
        runtime.retry_run(run_id)

    # and: where they are, it goes on as if nothing had happened
    with opened(tmp_path, place) as runtime:
        runtime.drain(run_id, timeout=30)
        assert runtime.handle(run_id, pay).result() == 1
        assert done == ["paid"]


def test_recorded_in_the_store_itself(tmp_path: Path) -> None:
    run_id = begin(tmp_path, None)

    with opened(tmp_path, f"file://{tmp_path}/checkpoints") as runtime:
        runtime.drain(run_id, timeout=30)
        error = runtime.step(run_id, "pay").error

    assert error is not None
    assert "its operations are recorded in the store itself" in error.message
    assert done == ["paid"]


def test_no_two_steps_share_their_records(tmp_path: Path) -> None:
    # given: ids that are the same when they are put together
    log = Package("log")

    @log.executor("log.once")
    def once(step: StepContext, text: str) -> str:
        step.do("note", done.append, text)
        return step.idempotency_key

    @log.entrypoint
    def start(run: RunBuilder, step_id: str) -> None:
        run.step(once, "same", id=step_id)

    with connect("memory://", packages=[log]) as runtime:
        runtime.start_run("log", "y/z", run_id="x")
        runtime.start_run("log", "z", run_id="x/y")
        runtime.drain()

        assert done == ["same", "same"]
        keys = {runtime.result("x", "y/z").value, runtime.result("x/y", "z").value}
        assert keys == {"x/y/z", "x%2Fy/z"}
