"""A step that takes its process with it once too often is dead, until somebody retries it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from stepwell.cli.main import command_line
from tests.acceptance import crash_program
from tests.acceptance.crash_program import middle, opened, url_of


def begin(home: Path, run_id: str) -> subprocess.Popen[str]:
    """A worker in a process of its own."""
    return subprocess.Popen(
        [sys.executable, crash_program.__file__, str(home), run_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def dead_runs(home: Path) -> Any:
    """What `stepwell list --dead` shows."""
    words = ["--store", url_of(home), "--home", str(home), "list", "--dead", "--json"]
    result = CliRunner().invoke(command_line, words)
    assert result.exit_code == 0, result.stderr
    return [(run["id"], run["status"]) for run in json.loads(result.stdout)]


def test_dead_until_it_is_retried(tmp_path: Path) -> None:
    with opened(tmp_path) as runtime:
        run = runtime.start_run(middle)

        # given: as many killed workers as it may lose, and one more
        for attempt in ("1", "2"):
            with begin(tmp_path, run.id) as worker:
                assert worker.stdout is not None
                assert worker.stdout.readline() == f"in the middle {attempt}\n"
                worker.kill()
            assert runtime.runs(dead=True) == []

        # then: it is claimed no more, and found among the dead
        runtime.drain(run.id, timeout=60)
        error = runtime.step(run.id, "middle").error
        assert error is not None
        assert error.code == "lease_lost"
        assert [found.id for found in runtime.runs(dead=True)] == [run.id]
        assert dead_runs(tmp_path) == [(run.id, "failed")]

        # when: somebody retries it, and lets it live
        runtime.retry_run(run.id)
        assert dead_runs(tmp_path) == []
        with begin(tmp_path, run.id) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "in the middle 3\n"
            worker.communicate("go on\n")

        # then: it goes on from what was recorded
        assert run.result(60) == [1, 3]
