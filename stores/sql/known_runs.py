"""What executions know of the runs that a process claimed of lately."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from stepwell.engine.model import RunInfo

# How many runs are known at once, and how many characters of their inputs.
MOST_RUNS = 10_000
MOST_INPUT = 32 << 20


class KnownRuns:
    """Runs by key, the latest ones. Safe to use from many threads."""

    def __init__(self) -> None:
        self._runs: OrderedDict[int, RunInfo] = OrderedDict()
        self._input = 0
        self._lock = threading.Lock()

    def among(self, keys: Iterable[int]) -> dict[int, RunInfo]:
        """Those of the runs that are known."""
        found = ((key, self._runs.get(key)) for key in keys)
        return {key: run for key, run in found if run is not None}

    def remember(self, runs: Iterable[RunInfo]) -> None:
        """Keep what was read of runs and committed; the oldest are forgotten for it."""
        with self._lock:
            for run in runs:
                before = self._runs.pop(run.key, None)
                self._input += len(run.raw_input) - (len(before.raw_input) if before else 0)
                self._runs[run.key] = run
            while len(self._runs) > MOST_RUNS or self._input > MOST_INPUT:
                _, oldest = self._runs.popitem(last=False)
                self._input -= len(oldest.raw_input)
