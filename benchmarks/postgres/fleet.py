"""Stepwell on an empty database, with worker processes that are up and warm."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.package import bench
from benchmarks.postgres.server import database, settle_down
from benchmarks.report import ROOT
from stepwell import Runtime, connect
from stepwell.engine.clock import SystemClock
from stepwell.stores import opening

WARM_UP = 200
PATIENCE = 60.0
LOG = "workers.log"


@contextmanager
def fleet(server_url: str, workers: int) -> Iterator[Runtime]:
    """A client of a fresh store on which so many `stepwell worker` processes are idle.

    They have worked off one small run before: programs stay up, so their start is not measured.
    """
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        url = stack.enter_context(database(server_url))
        opening.upgrade(url, clock=SystemClock())
        runtime = stack.enter_context(connect(url, home=home, packages=[bench]))
        processes = [stack.enter_context(_worker(url, home)) for _ in range(workers)]
        _await_workers(runtime, processes, Path(home, LOG))
        if processes:
            runtime.start_run("bench", WARM_UP, entrypoint="fan").wait(PATIENCE)
        settle_down(url)
        yield runtime


@contextmanager
def _worker(url: str, home: str) -> Iterator[subprocess.Popen[bytes]]:
    place = ["--store", url, "--home", home, "--app", "benchmarks.package:bench"]
    with Path(home, LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stepwell", *place, "worker", "--quiet"],
            cwd=ROOT,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the benchmark, which then ends them
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_workers(runtime: Runtime, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while len(runtime.workers()) < len(processes):
        if any(process.poll() is not None for process in processes):
            raise RuntimeError(f"a worker ended at its start: {log.read_text().strip()}")
        if time.monotonic() > until:
            raise RuntimeError(f"the workers were not up within {PATIENCE:g} s")
        time.sleep(0.02)
