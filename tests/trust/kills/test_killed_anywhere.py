"""Workers and clients die by `kill -9` at any moment, also while they recover: nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.product import report

RUNS = 5
# 250 on SQLite and 50 on PostgreSQL.
KILLS = 50


def kill_at_random(folder: Path, seed: int, kills: int, *url: str) -> None:
    """Kill so often in one store; whoever lives at the end finishes everything."""
    kill_run = subprocess.run(
        [
            *(sys.executable, "-m", "tests.trust.kills.kill_run"),
            *(str(folder), str(seed), str(kills), *url),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert kill_run.returncode == 0, kill_run.stderr
    told = json.loads(kill_run.stdout)
    assert not told["wrong"], report(f"seed {seed}, {told['killed']} killed", told["wrong"])
    assert not told["errors"], told["errors"]
    assert sum(told["killed"].values()) == kills
    assert all(told["killed"][role] for role in ("worker", "client"))
    assert told["runs"] > 0


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(RUNS))
def test_killed_on_sqlite(seed: int, tmp_path: Path, scale: float) -> None:
    kill_at_random(tmp_path, seed, round(KILLS * scale))


@pytest.mark.timeout(7200)
def test_killed_on_postgres(tmp_path: Path, scale: float, postgres_url: str) -> None:
    kill_at_random(tmp_path, RUNS, round(KILLS * scale), postgres_url)
