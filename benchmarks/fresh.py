"""Runs each sample in a process of its own, so that none inherits the memory or caches of another.

`python -m benchmarks.fresh NAME JSON` takes one sample and prints its figures as a line of JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import benchmarks.census as census
import benchmarks.durable as durable
import benchmarks.traces as traces
import benchmarks.workloads as workloads
from benchmarks.memory import peak
from benchmarks.raw import raw_steps
from benchmarks.report import ROOT

Figures = dict[str, float]

SAMPLES: dict[str, Callable[..., Figures]] = {
    "graph": workloads.graph,
    "emission": workloads.emission,
    "diamonds": workloads.diamonds,
    "latency": workloads.latency,
    "waits": workloads.waits,
    "ready": workloads.ready,
    "operations": durable.operations,
    "raw operations": durable.raw_operations,
    "sleepers": durable.sleepers,
    "trace": traces.replay,
    "census": census.ours,
    "census of one core": census.one_core,
    "census by map": census.mapped,
    "raw": raw_steps,
}
PATIENCE = 1_800


def sample(name: str, **given: Any) -> Figures:
    """What one sample found, and `rss`: the peak of its process in MB."""
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.fresh", name, json.dumps(given)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"the sample {name!r} of {given} failed; its error is above")
    figures: Figures = json.loads(ran.stdout.splitlines()[-1])
    return figures


def median(samples: Sequence[Figures], figure: str) -> float:
    """The median of one figure of the samples."""
    return statistics.median(each[figure] for each in samples)


def main(name: str, given: str) -> None:
    figures = SAMPLES[name](**json.loads(given))
    print(json.dumps({**figures, "rss": peak()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
