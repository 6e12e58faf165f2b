"""What is measured, each in a fresh store on disk with synchronous=FULL."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.package import bench
from benchmarks.raw import raw_steps_per_second
from benchmarks.report import Measure
from stepwell import RunStatus, Runtime, connect


@contextmanager
def fresh_runtime(folder: Path) -> Iterator[Runtime]:
    with tempfile.TemporaryDirectory(dir=folder) as home:
        url = f"sqlite:///{home}/engine.db"
        with connect(url, home=home, packages=[bench]) as runtime:
            yield runtime


def run_graph(folder: Path, entrypoint: str, count: int) -> tuple[float, float]:
    """Seconds to start a run of this shape, and to work it off."""
    with fresh_runtime(folder) as runtime:
        begun = time.perf_counter()
        run = runtime.start_run("bench", count, entrypoint=entrypoint)
        started = time.perf_counter()
        runtime.drain(run.id)
        ended = time.perf_counter()
        if runtime.run(run.id).status is not RunStatus.SUCCEEDED:
            raise RuntimeError(f"the run of {entrypoint} {count} did not succeed")
    return started - begun, ended - started


def fan_out(folder: Path, count: int, repeats: int, goal: float) -> Measure:
    """Start to end, the whole of it; the raw limit writes in groups of 128."""
    samples = [run_graph(folder, "fan", count) for _ in range(repeats)]
    whole = statistics.median((count + 2) / sum(sample) for sample in samples)
    work = statistics.median((count + 2) / sample[1] for sample in samples)
    raw = raw_steps_per_second(folder, count, 128)
    return Measure(
        f"fan-out/fan-in of {count:,}", whole, "steps/s", goal, raw=raw, notes={"work only": work}
    )


def chain(folder: Path, count: int, repeats: int, goal: float) -> Measure:
    """Start to end; the raw limit writes one step in each transaction."""
    samples = [run_graph(folder, "chain", count) for _ in range(repeats)]
    whole = statistics.median(count / sum(sample) for sample in samples)
    work = statistics.median(count / sample[1] for sample in samples)
    raw = raw_steps_per_second(folder, count, 1)
    return Measure(
        f"chain of {count:,}", whole, "steps/s", goal, raw=raw, notes={"work only": work}
    )


def flatness(folder: Path, repeats: int) -> Measure:
    """How much dearer a step is in a run of 100,000 than in one of 1,000."""
    small = statistics.median(run_graph(folder, "fan", 1_000)[1] / 1_002 for _ in range(repeats))
    large = run_graph(folder, "fan", 100_000)[1] / 100_002
    return Measure(
        "cost of a step at 100,000 / at 1,000",
        large / small,
        "ratio",
        1.25,
        best="less",
        notes={"µs at 1,000": small * 1e6, "µs at 100,000": large * 1e6},
    )


def latency(folder: Path, count: int) -> Measure:
    """Submit to result of a one-step run while the engine is idle, in one process."""
    samples = []
    with fresh_runtime(folder) as runtime, runtime.worker():
        for _ in range(count):
            begun = time.perf_counter()
            handle = runtime.start_run("bench", entrypoint="single")
            handle.wait(10)
            runtime.result(handle.id, "only")
            samples.append((time.perf_counter() - begun) * 1e3)
    samples.sort()
    return Measure(
        "submit to result, idle engine",
        statistics.median(samples),
        "ms p50",
        3.0,
        best="less",
        notes={"p99": samples[int(len(samples) * 0.99) - 1]},
    )


def start_up(code: list[str], name: str, goal: float, repeats: int) -> Measure:
    """Seconds of a fresh process."""
    samples: list[float] = []
    bare: list[float] = []
    for _ in range(repeats):
        for command, into in ((code, samples), ([sys.executable, "-c", "pass"], bare)):
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            into.append(time.perf_counter() - begun)
    return Measure(
        name,
        statistics.median(samples),
        "s",
        goal,
        best="less",
        notes={"python -c pass": statistics.median(bare)},
    )
