"""Workers that are started and stopped all the time: nothing is lost, and nothing is charged."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stepwell import EventType, RunStatus, Runtime
from tests.trust.clocks import worker_program
from tests.trust.clocks.conftest import Spawn
from tests.trust.clocks.worker_process import PATIENCE, ROOT, all_once, commits

STORMS = 10  # on each backend
WORKERS = 2
APP = f"{worker_program.__name__}:sample"
ENDS = {0, 130, 143, -signal.SIGINT, -signal.SIGTERM}


@pytest.fixture
def commanded(store: str, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The workers of the current storm."""
    workers: list[subprocess.Popen[bytes]] = []
    yield workers
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
            worker.communicate()


def command_worker(store: str, home: Path) -> subprocess.Popen[bytes]:
    """`stepwell worker`, as people start it."""
    words = ["--store", store, "--home", str(home), "--app", APP, "worker", "--threads", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "stepwell", *words, "--poll-interval", "0.05"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def stop_at_random(worker: subprocess.Popen[bytes], chance: random.Random) -> None:
    """Signal it once or twice: after so many bodies of its own, or at any moment at all."""
    number = chance.choice([signal.SIGTERM, signal.SIGINT])
    assert worker.stdout is not None
    assert worker.stderr is not None
    if chance.random() < 0.5:
        for _ in range(chance.randrange(1, 6)):
            # None comes from a worker that finds nothing left to do.
            if not select.select([worker.stdout], [], [], 1.0)[0]:
                break
            worker.stdout.readline()
    else:
        if number is signal.SIGINT:  # which may be lost in Python's own start: up to its first word
            select.select([worker.stderr], [], [], PATIENCE)
        threading.Event().wait(chance.uniform(0, 1.2))  # the moment itself, not something to come
    worker.send_signal(number)
    if chance.random() < 0.3:
        worker.send_signal(number)


def test_storms(
    runtime: Runtime,
    store: str,
    spawn: Spawn,
    commanded: list[subprocess.Popen[bytes]],
    tmp_path: Path,
    scale: float,
) -> None:
    # given
    run = runtime.start_run("sample", {"chains": 6, "links": int(100 * scale), "ms": 30})
    chance = random.Random(11)

    # when: workers come and go
    for _ in range(int(STORMS * scale)):
        commanded[:] = [command_worker(store, tmp_path) for _ in range(WORKERS)]
        chances = [random.Random(chance.random()) for _ in commanded]
        with ThreadPoolExecutor(WORKERS) as hands:
            list(hands.map(stop_at_random, commanded, chances))
        for worker in commanded:
            _, said = worker.communicate(timeout=PATIENCE)
            assert worker.returncode in ENDS, said.decode()
            assert b"Traceback" not in said or worker.returncode < 0, said.decode()

        # then: what they had in hand is given back
        assert list(runtime.steps(run.id, status="running")) == []
    assert list(runtime.workers()) == []
    so_far = commits(runtime, run.id)
    assert set(so_far.values()) <= {1}
    assert so_far.total() < all_once(runtime, run.id).total(), "there was nothing left to do"

    # when: at last one may stay
    spawn(30.0)

    # then: everything is done, once, in the first attempt
    assert run.wait(PATIENCE).status is RunStatus.SUCCEEDED
    assert commits(runtime, run.id) == all_once(runtime, run.id)
    assert {step.attempt for step in runtime.steps(run.id)} == {1}
    assert not [e for e in runtime.events(run.id) if e.type is EventType.STEP_LAPSED]
