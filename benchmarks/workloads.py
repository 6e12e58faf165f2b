"""What is measured of Stepwell. Each function takes one sample on a fresh store at a place.

Figures are seconds unless their names say otherwise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.fleet import PATIENCE, fleet
from benchmarks.memory import peak
from benchmarks.package import DIAMOND, bench
from benchmarks.place import running
from stepwell import RunStatus, Runtime, Settings
from stepwell.stores.sql.connection.sqlite import SqliteDialect

LONGEST = 1_500.0
LATENCY_WARM_UP = 20
# How often the size of the write-ahead log is looked at.
LOOK = 0.02
# How often it is asked whether any run is open.
POLL = 0.002


def graph(place: str, shape: str, count: int) -> dict[str, float]:
    """One run of an entrypoint: started, then worked off in the same process."""
    with running(place, bench) as (runtime, _):
        begun = time.perf_counter()
        run = runtime.start_run("bench", count, entrypoint=shape)
        started = time.perf_counter()
        runtime.drain(run.id, LONGEST)
        ended = time.perf_counter()
        steps = _succeeded(runtime, run.id)
    return {"start": started - begun, "work": ended - started, "steps": steps}


def emission(place: str, chunks: int, size: int) -> dict[str, float]:
    """A run that emits its steps in chunks. `wal` is the log's largest size in MiB on SQLite."""
    with running(place, bench) as (runtime, home), _largest(home / "engine.db-wal") as sizes:
        run = runtime.start_run("bench", {"chunks": chunks, "size": size}, entrypoint="emission")
        begun = time.perf_counter()
        runtime.drain(run.id, LONGEST)
        ended = time.perf_counter()
        steps = _succeeded(runtime, run.id)
    return {"work": ended - begun, "steps": steps, "wal": sizes[0] / 2**20}


def diamonds(place: str, count: int, clients: int, workers: int) -> dict[str, float]:
    """Runs of five steps, submitted one by one by threads while workers work.

    `workers` are as many `stepwell worker` processes; 0: one worker, a thread of this process.
    """
    with fleet(place, workers) as the, nullcontext() if workers else the.runtime.worker():
        runtime = the.runtime
        begun = time.perf_counter()
        submit(runtime, "diamond", count, clients)
        submitted = time.perf_counter()
        while _open(runtime):
            if time.perf_counter() - begun > LONGEST:
                raise RuntimeError(f"{count} runs did not end within {LONGEST:g} s")
            time.sleep(POLL)
        ended = time.perf_counter()
        succeeded = runtime.runs(status="succeeded", limit=1_000_000)
    found = sum(run.entrypoint == "diamond" for run in succeeded)
    if found != count:
        raise RuntimeError(f"{found} of {count} runs succeeded")
    return {"submitted": submitted - begun, "work": ended - begun, "steps": count * DIAMOND}


def diamonds_apart(place: str, count: int, clients: int) -> dict[str, float]:
    """The same runs, all of them submitted before any is worked off, in one process.

    `held` is for how long the store was locked, which only one process at a time can do.
    """
    with running(place, bench) as (runtime, _), _locked() as held:
        begun = time.perf_counter()
        submit(runtime, "diamond", count, clients)
        submitted = time.perf_counter()
        runtime.drain(timeout=LONGEST)
        ended = time.perf_counter()
    return {
        "submitted": submitted - begun,
        "work": ended - submitted,
        "held": sum(held),
        "steps": count * DIAMOND,
    }


def submit(runtime: Runtime, entrypoint: str, count: int, clients: int) -> None:
    """Start runs from so many threads, each of which starts its next one when one is stored."""
    numbers, failed = iter(range(count)), []

    def client() -> None:
        try:
            for _ in numbers:
                runtime.start_run("bench", entrypoint=entrypoint)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def latency(place: str, count: int, elsewhere: bool) -> dict[str, float]:
    """One-step runs on an idle engine, from `start_run` to the result read back, in ms.

    The worker is a thread of this process, or, `elsewhere`, a `stepwell worker` process.
    """
    with fleet(place, workers=1 if elsewhere else 0) as the:
        if elsewhere:
            samples = latencies(the.runtime, count)
        else:
            with the.runtime.worker():
                samples = latencies(the.runtime, count)
    samples.sort()
    return {
        "p50": samples[len(samples) // 2],
        "p99": samples[min(len(samples) - 1, round(len(samples) * 0.99))],
    }


def waits(place: str, count: int, seconds: float, concurrency: int) -> dict[str, float]:
    """Asyncio steps that each wait; all are ready when the work begins."""
    settings = Settings(tasks=concurrency)
    with running(place, bench, settings) as (runtime, _):
        given = {"count": count, "seconds": seconds}
        run = runtime.start_run("bench", given, entrypoint="waits")
        begun = time.perf_counter()
        runtime.drain(run.id, LONGEST)
        ended = time.perf_counter()
        _succeeded(runtime, run.id)
    return {"work": ended - begun, "ideal": count * seconds / concurrency}


def ready(place: str, count: int) -> dict[str, float]:
    """The memory of a worker process that works off so many steps which are ready at once."""
    with fleet(place, workers=1, warm_up=0) as the:
        run = the.runtime.start_run("bench", count, entrypoint="loose")
        if run.wait(LONGEST).status is not RunStatus.SUCCEEDED:
            raise RuntimeError("the run did not succeed")
        return {"worker": peak(the.processes[0])}


def _succeeded(runtime: Runtime, run_id: str) -> int:
    """The number of the run's steps. Raises RuntimeError unless all of them succeeded."""
    run = runtime.run(run_id)
    if run.status is not RunStatus.SUCCEEDED:
        raise RuntimeError(f"run {run_id} ended {run.status}")
    return run.total_steps


def _open(runtime: Runtime) -> bool:
    return any(runtime.runs(status=status, limit=1) for status in ("pending", "running"))


def latencies(runtime: Runtime, count: int) -> list[float]:
    """Milliseconds from `start_run` to the result, so many times, once warm."""
    samples = []
    for _ in range(count + LATENCY_WARM_UP):
        begun = time.perf_counter()
        handle = runtime.start_run("bench", entrypoint="single")
        handle.wait(PATIENCE)
        runtime.result(handle.id, "only")
        samples.append((time.perf_counter() - begun) * 1e3)
    return samples[LATENCY_WARM_UP:]  # the first ones open connections and warm caches


@contextmanager
def _largest(file: Path) -> Iterator[list[int]]:
    """The largest size that a file has during the block. It is not opened: that breaks locks."""
    sizes, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(LOOK):
            if file.exists():
                sizes[0] = max(sizes[0], file.stat().st_size)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        ended.set()
        thread.join()


@contextmanager
def _locked() -> Iterator[list[float]]:
    """How long each write transaction on SQLite held the lock during the block, in seconds."""
    begin, commit = SqliteDialect.begin, SqliteDialect.commit
    begun, held = [0.0], []

    def begin_timed(dialect: SqliteDialect, cursor: Any) -> int:
        now = begin(dialect, cursor)
        begun[0] = time.perf_counter()
        return now

    def commit_timed(dialect: SqliteDialect, cursor: Any, *, news: int) -> None:
        commit(dialect, cursor, news=news)
        held.append(time.perf_counter() - begun[0])

    with (
        mock.patch.object(SqliteDialect, "begin", begin_timed),
        mock.patch.object(SqliteDialect, "commit", commit_timed),
    ):
        yield held
