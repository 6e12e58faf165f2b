"""A process killed between two operations: the first is not done again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.acceptance import two_operations
from tests.acceptance.two_operations import both, opened


def begin(home: Path, run_id: str) -> subprocess.Popen[str]:
    """A worker in a process of its own."""
    return subprocess.Popen(
        [sys.executable, two_operations.__file__, str(home), run_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_what_was_recorded_is_not_done_again(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    with opened(tmp_path) as runtime:
        run = runtime.start_run(both, str(lines))

        # given: workers that are killed after the first operations, twice
        for attempt in (1, 2):
            with begin(tmp_path, run.id) as worker:
                assert worker.stdout is not None
                assert worker.stdout.readline() == f"between {attempt}\n"
                worker.kill()
        recorded = runtime.checkpoint(run.id, "both")
        assert [o.id for o in recorded.operations] == ["first", "sleep", "beside"]

        # when: another one comes to the end
        with begin(tmp_path, run.id) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "between 3\n"
            worker.communicate("go on\n")

        # then: each was done once
        assert run.result(60) == ["first", "beside", "second"]
        assert lines.read_text().split() == ["first", "beside", "second"]
