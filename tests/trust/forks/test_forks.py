"""A runtime is carried over forks: by real programs, on both databases, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.trust.forks.program import SCENARIOS

ROOT = Path(__file__).parents[3]
PATIENCE = 100


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite:///engine.db"  # in the folder that the program runs in
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_acknowledged_around_a_fork_is_kept(
    scenario: str, store: str, tmp_path: Path
) -> None:
    program = [sys.executable, "-m", "tests.trust.forks.program", scenario, store]

    ended = subprocess.run(
        program,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
