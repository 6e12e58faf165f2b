"""Runs each sample in a process of its own, so that none inherits the memory or caches of another.

`python -m benchmarks.fresh graph place=. shape=fan count=10000` takes one sample and prints its
figures as a line of JSON.
"""

from __future__ import annotations

import importlib
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.memory import peak
from benchmarks.report import ROOT

Figures = dict[str, float]

# Where the function of each is; a sample imports no more than it needs, for its memory counts.
SAMPLES = {
    "graph": "workloads.graph",
    "emission": "workloads.emission",
    "diamonds": "workloads.diamonds",
    "diamonds apart": "workloads.diamonds_apart",
    "latency": "workloads.latency",
    "waits": "workloads.waits",
    "ready": "workloads.ready",
    "operations": "durable.operations",
    "raw operations": "durable.raw_operations",
    "sleepers": "durable.sleepers",
    "trace": "traces.replay",
    "census": "census.ours",
    "census of one core": "census.one_core",
    "census by map": "census.mapped",
    "raw": "raw.raw_steps",
    "replay": "replay.replay",
    "replay_diamonds": "replay.replay_diamonds",
    "replay_singles": "replay.replay_singles",
}
PATIENCE = 1_800


def sample(name: str, **given: Any) -> Figures:
    """What one sample found, and `rss`: the peak of its process in MB."""
    words = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.fresh", name, *words],
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


def main(name: str, *words: str) -> None:
    module, _, function = SAMPLES[name].partition(".")
    take = getattr(importlib.import_module(f"benchmarks.{module}"), function)
    given = (word.partition("=") for word in words)
    figures = take(**{key: _value(text) for key, _, text in given})
    print(json.dumps({**figures, "rss": peak()}), flush=True)


def _value(text: str) -> Any:
    """JSON, or a text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main(*sys.argv[1:])
