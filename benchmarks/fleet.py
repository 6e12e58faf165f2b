"""Stepwell on an empty store, with worker processes that are up and warm."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.package import bench
from benchmarks.place import fresh_store, is_server
from benchmarks.postgres.server import settle_down
from benchmarks.report import ROOT
from stepwell import Runtime, connect

WARM_UP = 200
PATIENCE = 60.0
LOG = "workers.log"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A client of a store, and the ids of the worker processes on it."""

    runtime: Runtime
    processes: list[int]


@contextmanager
def fleet(place: str, workers: int, warm_up: int = WARM_UP) -> Iterator[Fleet]:
    """A fresh store on which so many `stepwell worker` processes are idle.

    They have worked off one small run before: programs stay up, so their start is not measured.
    """
    with ExitStack() as stack:
        url, home = stack.enter_context(fresh_store(place))
        runtime = stack.enter_context(connect(url, home=home, packages=[bench]))
        processes = [stack.enter_context(worker(url, home)) for _ in range(workers)]
        await_workers(runtime, processes, home / LOG)
        if processes and warm_up:
            runtime.start_run("bench", warm_up, entrypoint="fan").wait(PATIENCE)
        if is_server(place):
            settle_down(url)
        yield Fleet(runtime, [process.pid for process in processes])


@contextmanager
def worker(url: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A `stepwell worker` process for the `with` block."""
    where = ["--store", url, "--home", str(home), "--app", "benchmarks.package:bench"]
    with (home / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stepwell", *where, "worker", "--quiet"],
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


def await_workers(runtime: Runtime, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    """Wait until each of the workers is known to the store."""
    until = time.monotonic() + PATIENCE
    while len(runtime.workers()) < len(processes):
        if any(process.poll() is not None for process in processes):
            raise RuntimeError(f"a worker ended at its start: {log.read_text().strip()}")
        if time.monotonic() > until:
            raise RuntimeError(f"the workers were not up within {PATIENCE:g} s")
        time.sleep(0.02)
