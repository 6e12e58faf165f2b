"""A cache of what executions know of the runs that a process claimed steps of."""

from __future__ import annotations

from collections.abc import Iterable

from stepwell.engine.exchange import RunInfo

# The most runs that are kept, and the most characters of their inputs.
MOST_RUNS = 10_000
MOST_INPUT = 32 << 20


class RunCache:
    """Runs by key, the latest ones. Safe to use from many threads.

    It has two halves: when the newer one is full, the older one is dropped. That needs no lock: if
    two threads fill it at once, one of them may have to read its runs again.
    """

    def __init__(self) -> None:
        self._newer: dict[int, RunInfo] = {}
        self._older: dict[int, RunInfo] = {}
        self._input = 0

    def among(self, keys: Iterable[int]) -> dict[int, RunInfo]:
        """Those of these runs that are in the cache."""
        newer, older = self._newer, self._older
        found = ((key, newer.get(key) or older.get(key)) for key in keys)
        return {key: run for key, run in found if run is not None}

    def remember(self, runs: Iterable[RunInfo]) -> None:
        """Keep these runs; what was read of them is committed."""
        for run in runs:
            self._newer[run.key] = run
            self._input += len(run.raw_input)
            if len(self._newer) > MOST_RUNS // 2 or self._input > MOST_INPUT // 2:
                self._newer, self._older, self._input = {}, self._newer, 0
