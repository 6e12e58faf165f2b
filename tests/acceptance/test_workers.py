"""Workers as real processes on one SQLite file: killed, stopped, and side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stepwell import EventType, RunHandle, RunStatus, Runtime, connect
from tests.acceptance.worker_program import sample

PROGRAM = Path(__file__).with_name("worker_program.py")
PATIENCE = 60


class WorkerProcess:
    """A worker in a process of its own, which says what it does line by line."""

    def __init__(self, home: Path, lease: float) -> None:
        url = f"sqlite:///{home / 'engine.db'}"
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), url, str(home), str(lease)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.process.pid, number)

    def close(self) -> None:
        """End it as it likes to be ended, or by force."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


Spawn = Callable[[float], WorkerProcess]


@pytest.fixture
def spawn(tmp_path: Path, runtime: Runtime) -> Iterator[Spawn]:
    workers: list[WorkerProcess] = []

    def start(lease: float) -> WorkerProcess:
        workers.append(WorkerProcess(tmp_path, lease))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    url = f"sqlite:///{tmp_path / 'engine.db'}"
    with connect(url, home=tmp_path, packages=[sample]) as runtime:
        yield runtime


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def start(runtime: Runtime, folder: Path, count: int, pipe: Path | None = None) -> RunHandle[Any]:
    order = {"count": str(count), "log": str(folder / "log")}
    if pipe is not None:
        order["pipe"] = str(pipe)
    return runtime.start_run("sample", order)


def commits(runtime: Runtime, run_id: str) -> Counter[str | None]:
    """How often each step of the run committed a success."""
    events = runtime.events(run_id)
    return Counter(event.step_id for event in events if event.type is EventType.STEP_SUCCEEDED)


def bodies(folder: Path) -> Counter[str]:
    """How often the body of each press ran to its end."""
    return Counter((folder / "log").read_text().split())


def test_a_killed_workers_steps_are_finished_by_another(
    runtime: Runtime, spawn: Spawn, pipe: Path, tmp_path: Path
) -> None:
    # given: a worker in the middle of a step, and the others behind it
    run = start(runtime, tmp_path, 50, pipe)
    first = spawn(1.0)
    waiting = first.line().split()
    assert waiting[:3] == ["waiting", "gate", "1"]

    # when: it is killed, and another takes its place
    first.kill()
    second = spawn(1.0)
    assert second.line().split()[:3] == ["waiting", "gate", "2"]
    pipe.write_text("open\n")
    ended = run.wait(PATIENCE)

    # then: the run is done, and no step committed twice
    assert ended.status is RunStatus.SUCCEEDED
    assert set(commits(runtime, run.id).values()) == {1}
    assert len(commits(runtime, run.id)) == 52
    assert runtime.step(run.id, "gate").attempt == 2
    assert runtime.result(run.id, "gate").value == "open"
    lapsed = [e.step_id for e in runtime.events(run.id) if e.type is EventType.STEP_LAPSED]
    assert "gate" in lapsed
    # A body can run again only when its worker died with it.
    assert {step for step, times in bodies(tmp_path).items() if times > 1} <= set(lapsed)


def test_a_ghost_that_wakes_after_its_lease_changes_nothing(
    runtime: Runtime, spawn: Spawn, pipe: Path, tmp_path: Path
) -> None:
    # given: a worker that is frozen in mid-step until its lease is gone
    run = start(runtime, tmp_path, 0, pipe)
    ghost = spawn(1.0)
    assert ghost.line().startswith("waiting gate 1")
    ghost.kill(signal.SIGSTOP)
    other = spawn(1.0)
    assert other.line().startswith("waiting gate 2")

    # when: both read what they waited for, the other first
    with pipe.open("w") as words:
        words.write("other\n")
    ended = run.wait(PATIENCE)
    ghost.kill(signal.SIGCONT)

    # then: the one that held the lease decided, once
    assert ended.status is RunStatus.SUCCEEDED
    assert commits(runtime, run.id) == Counter({"gate": 1, "last": 1})
    assert runtime.step(run.id, "gate").attempt == 2


def test_two_workers_share_one_file(runtime: Runtime, spawn: Spawn, tmp_path: Path) -> None:
    # given: two workers on one database file
    spawn(30.0)
    spawn(30.0)

    # when: there is work for both
    run = start(runtime, tmp_path, 1_000)
    ended = run.wait(PATIENCE)

    # then: every step ran and committed exactly once, and neither went without
    assert ended.status is RunStatus.SUCCEEDED
    assert set(commits(runtime, run.id).values()) == {1}
    assert bodies(tmp_path) == Counter({f"press:{n}": 1 for n in range(1_000)} | {"last": 1})
    assert len({step.worker for step in runtime.steps(run.id)}) == 2
    assert len(runtime.records("sample", "pressed")) == 1_001
