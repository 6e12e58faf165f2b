"""What is kept of runs in memory has bounds."""

from __future__ import annotations

import pytest

from stepwell.engine.exchange import RunInfo
from stepwell.stores.sql.exchange import run_cache
from stepwell.stores.sql.exchange.run_cache import RunCache


def run(key: int, raw_input: str = "null") -> RunInfo:
    return RunInfo(key, f"r{key}", "p", "start", "p", {}, (), raw_input, 0)


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_cache, "MOST_RUNS", 4)
    known = RunCache()

    known.remember(map(run, range(100)))

    kept = known.among(range(100))
    assert kept == {key: run(key) for key in kept}
    assert 2 <= len(kept) <= 5
    assert max(kept) == 99


def test_large_inputs_count_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_cache, "MOST_INPUT", 1_000)
    known = RunCache()

    for key in range(100):
        known.remember([run(key, "x" * 100)])

        kept = known.among(range(100))
        assert key in kept
        assert sum(len(each.raw_input) for each in kept.values()) <= 1_200
