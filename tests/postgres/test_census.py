"""The code census on PostgreSQL, through a killed worker and a restarted server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from code_census import census

from stepwell import EventType, RunStatus, Runtime, connect
from tests.postgres.conftest import PATIENCE
from tests.postgres.server import OwnServer, ask, wait_until

STEPWELL = Path(sys.executable).with_name("stepwell")
SAMPLE = Path(__file__).parents[2] / "samples" / "code_census"
RUN = "census"
FILES = 300
PLAN = {"limit": FILES}

# A worker in the middle: it holds steps, and so many have committed.
BUSY = """SELECT workers.pid FROM workers JOIN steps ON steps.worker = workers.id
    WHERE steps.status = 'running' AND steps.kind = 'census.file' AND
    (SELECT count(*) FROM steps WHERE kind = 'census.file' AND status = 'succeeded') >= %s"""


@contextmanager
def worker(url: str, home: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`stepwell worker` as a person starts it."""
    options = ("--lease", "2", "--poll-interval", "0.2", "--processes", "1", "--quiet")
    place = ("--store", url, "--home", str(home), "--app", "code_census:census")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [STEPWELL, *place, "worker", *options],
            stderr=errors,
            stdout=errors,
            env={**os.environ, "PYTHONPATH": str(SAMPLE)},
        )
    try:
        yield process
        process.terminate()
        assert process.wait(PATIENCE) in (0, -signal.SIGKILL), log.read_text()
    finally:
        process.kill()
        process.wait()


def found(runtime: Runtime) -> dict[str, Any]:
    """All that a census leaves, without how long things took."""
    projection = runtime.projection("code_census")
    files = projection.query("SELECT * FROM files ORDER BY path")
    failures = projection.query("SELECT * FROM failures ORDER BY path")
    summary = runtime.result(RUN, "report").value
    (report,) = runtime.artifacts(RUN, "report")
    with closing(runtime.open_artifact(report.id)) as stream:
        page = stream.read().decode()
    return {
        "files": [{k: v for k, v in row.items() if k != "seconds"} for row in files],
        "failures": failures,
        "records": runtime.records("code_census", "packages"),
        "summary": {k: v for k, v in summary.items() if k != "seconds"},
        "charts": re.findall(r"<svg.*?</svg>", page, re.DOTALL),
        "steps": {step.id: (step.status, step.parent) for step in runtime.steps(RUN)},
    }


@pytest.mark.slow
def test_the_census_is_the_same_through_a_kill_and_a_restart(
    server: OwnServer, tmp_path: Path
) -> None:
    # given: three workers on a server, and what the census finds on SQLite
    with connect(home=tmp_path / "sqlite", packages=[census]) as runtime:
        runtime.start_run("code_census", PLAN, run_id=RUN)
        runtime.drain(RUN, timeout=PATIENCE)
        expected = found(runtime)
    home = tmp_path / "postgres"
    with ExitStack() as stack:
        for number in range(3):
            stack.enter_context(worker(server.url, home, tmp_path / f"{number}.log"))
        runtime = stack.enter_context(connect(server.url, home=home, packages=[census]))
        runtime.start_run("code_census", PLAN, run_id=RUN)

        # when: one is killed in the middle, and the server is restarted once
        ((pid, *_), *_) = wait_until(server.url, BUSY, (FILES // 10,))
        os.kill(pid, signal.SIGKILL)
        wait_until(server.url, BUSY, (FILES // 3,))
        server.stop()
        server.start()
        wait_until(server.url, "SELECT 1 FROM runs WHERE ended_at IS NOT NULL")

        # then: it found the same, and each step committed once
        assert runtime.run(RUN).status is RunStatus.SUCCEEDED
        assert found(runtime) == expected
        assert len(expected["files"]) + len(expected["failures"]) == FILES
        events = ask(
            server.url,
            "SELECT count(*), count(DISTINCT step) FROM events WHERE type IN (%s, %s)",
            (EventType.STEP_SUCCEEDED, EventType.STEP_FAILED),
        )
        assert events == [(len(expected["steps"]),) * 2]
        lapsed = ask(server.url, "SELECT 1 FROM events WHERE type = %s", (EventType.STEP_LAPSED,))
        assert lapsed
