"""What is kept of runs in memory has bounds."""

from __future__ import annotations

import pytest

from stepwell.engine.model import RunInfo
from stepwell.stores.sql import known_runs
from stepwell.stores.sql.known_runs import KnownRuns


def run(key: int, raw_input: str = "null") -> RunInfo:
    return RunInfo(key, f"r{key}", "p", "start", "p", {}, (), raw_input, 0)


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_runs, "MOST_RUNS", 2)
    known = KnownRuns()

    known.remember([run(1), run(2)])
    known.remember([run(1), run(3)])

    assert known.among([1, 2, 3]) == {1: run(1), 3: run(3)}


def test_large_inputs_count_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_runs, "MOST_INPUT", 100)
    known = KnownRuns()

    known.remember([run(1, "x" * 60)])
    known.remember([run(1, "x" * 60), run(2, "x" * 40)])
    assert list(known.among([1, 2])) == [1, 2]

    known.remember([run(3, "x")])
    assert list(known.among([1, 2, 3])) == [2, 3]

    known.remember([run(4, "x" * 101)])
    assert known.among([1, 2, 3, 4]) == {}
