"""What is measured of Stepwell on PostgreSQL, each sample on a fresh database."""

from __future__ import annotations

import statistics
import time

from benchmarks.fleet import PATIENCE, fleet
from benchmarks.package import DIAMOND
from benchmarks.postgres.raw import Limits
from benchmarks.report import Measure
from benchmarks.workloads import diamonds as measured
from benchmarks.workloads import latencies
from stepwell import RunStatus

CLIENTS = 4


def fan_out(server: str, count: int, repeats: int, limits: Limits, goal: float | None) -> Measure:
    """From `start_run` to the run's end, with two worker processes."""
    samples = [_run(server, 2, "fan", count) for _ in range(repeats)]
    return Measure(
        f"Stepwell: fan-out/fan-in of {count:,}, 2 workers",
        statistics.median((count + 2) / (started + worked) for started, worked in samples),
        "steps/s",
        goal,
        raw=limits.grouped,
        notes={"s to start it": statistics.median(started for started, _ in samples)},
    )


def chain(server: str, count: int, repeats: int, limits: Limits, goal: float | None) -> Measure:
    """From `start_run` to the run's end, with one worker process."""
    samples = [_run(server, 1, "chain", count) for _ in range(repeats)]
    return Measure(
        f"Stepwell: chain of {count:,}, 1 worker",
        statistics.median(count / sum(sample) for sample in samples),
        "steps/s",
        goal,
        raw=limits.alone,
    )


def diamonds(server: str, count: int, repeats: int, limits: Limits, goal: float | None) -> Measure:
    """Small runs from four client threads while two workers work, until the last has ended."""
    samples = [measured(server, count, CLIENTS, workers=2) for _ in range(repeats)]
    return Measure(
        f"Stepwell: {count:,} runs of {DIAMOND} steps, {CLIENTS} clients, 2 workers",
        statistics.median(each["steps"] / each["work"] for each in samples),
        "steps/s",
        goal,
        raw=limits.grouped,
        notes={
            "runs/s submitted": statistics.median(count / each["submitted"] for each in samples)
        },
    )


def latency(server: str, count: int, goal: float | None, *, elsewhere: bool) -> Measure:
    """Submit to result of a one-step run while the engine is idle."""
    with fleet(server, workers=1 if elsewhere else 0) as the:
        if elsewhere:
            samples = latencies(the.runtime, count)
        else:
            with the.runtime.worker():
                samples = latencies(the.runtime, count)
    where = "other" if elsewhere else "same"
    return percentiles(f"Stepwell: submit to result, {where} process", samples, goal)


def percentiles(name: str, samples: list[float], goal: float | None = None) -> Measure:
    """The median of milliseconds as the figure, the 99th percentile beside it."""
    ordered = sorted(samples)
    p99 = ordered[min(len(ordered) - 1, round(len(ordered) * 0.99) - 1)]
    return Measure(
        name, statistics.median(ordered), "ms p50", goal, best="less", notes={"p99": p99}
    )


def _run(server: str, workers: int, entrypoint: str, count: int) -> tuple[float, float]:
    """Seconds to start a run of this shape, and from there to its end."""
    with fleet(server, workers) as the:
        runtime = the.runtime
        begun = time.perf_counter()
        handle = runtime.start_run("bench", count, entrypoint=entrypoint)
        started = time.perf_counter()
        run = handle.wait(PATIENCE)
        ended = time.perf_counter()
        if run.status is not RunStatus.SUCCEEDED:
            raise RuntimeError(f"the run of {entrypoint} {count} ended {run.status}")
    return started - begun, ended - started
