"""What code of others prints never gets among the data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import STEPWELL, CommandLine, Shell, clean_environment
from tests.cli.printing_package import PLACES, WAYS

PRINTING = f"{Path(__file__).with_name('printing_package.py')}:printing"
APP = ("--app", PRINTING)
RESULTS = {f"printing.{name}": name for name in ("inline", "thread", "asyncio", "process")}


def missing(told: str, places: tuple[str, ...] = PLACES) -> list[str]:
    """The noise that is not there; threads print into each other's lines, but not texts."""
    wanted = [f"noise of {way} in {place}" for place in places for way in WAYS]
    return [text for text in wanted if text not in told]


def by_shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line],
        check=False,
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )


def test_run_in_json(shell: Shell) -> None:
    done = shell(*APP, "run", "printing", "--json")

    assert json.loads(done.stdout)["results"] == RESULTS
    assert missing(done.stderr) == []
    assert done.returncode == 0


def test_run_for_people(shell: Shell) -> None:
    done = shell(*APP, "run", "printing", "--quiet")

    assert done.stdout == "".join(f"{name}: {value}\n" for name, value in RESULTS.items())
    assert missing(done.stderr) == []


def test_start_run_once_and_worker(shell: Shell) -> None:
    started = shell(*APP, "start", "printing", "--run-id", "r")
    assert started.stdout == "r\n"
    assert missing(started.stderr, PLACES[:2]) == []

    once = shell(*APP, "run-once", "--json")
    assert json.loads(once.stdout)["processed"] == 4
    assert missing(once.stderr, PLACES[2:]) == []

    assert json.loads(shell(*APP, "start", "printing", "--json").stdout)["status"] == "pending"
    worked = shell(*APP, "worker", "--max-cycles", "1", "--json")
    assert json.loads(worked.stdout) == {"stopped_by": None, "drained": True}
    assert "noise" in worked.stderr
    packages = json.loads(shell(*APP, "packages", "--json").stdout)
    assert [package["name"] for package in packages] == ["printing"]


def test_id_by_command_substitution(tmp_path: Path) -> None:
    line = f'id=$({STEPWELL} --app {PRINTING} start printing --run-id r1) && echo "[$id]"'

    done = by_shell(line, tmp_path)

    assert done.stdout == "[r1]\n"


def test_within_another_process(cli: CommandLine) -> None:
    """As in tests by click's runner: no descriptor of the process is touched."""
    before = os.fstat(1).st_ino, sys.stdout

    result = cli("--app", PRINTING, "start", "printing", "--run-id", "r")

    assert result.stdout == "r\n"
    assert "noise of print in an entrypoint" in result.stderr
    assert (os.fstat(1).st_ino, sys.stdout) == before


LEFT = """
import os, time
from stepwell import Package

app = Package("app")


@app.workflow
def leave_a_fork() -> str:
    if os.fork() == 0:
        os.close(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        open("left.pid", "w").write(str(os.getpid()))
        os.rename("left.pid", "left")
        while True:
            time.sleep(60)
    while not os.path.exists("left"):
        time.sleep(0.01)
    return "left"
"""


def test_a_fork_that_lives_on_does_not_keep_the_data_open(shell: Shell) -> None:
    """Whoever reads stdout gets to its end, as command substitution does."""
    (shell.folder / "app.py").write_text(LEFT)

    done = shell.start("--app", "app:app", "run", "app", stderr=subprocess.DEVNULL)
    try:
        out, _ = done.communicate(timeout=60)
    finally:
        os.kill(int((shell.folder / "left").read_text()), 9)

    assert out == "leave_a_fork: left\n"


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&-", "2>&-"])
def test_with_streams_closed_by_the_caller(tmp_path: Path, closed: str) -> None:
    line = f"{STEPWELL} --app {PRINTING} run printing {closed}"

    done = by_shell(line, tmp_path)

    assert done.returncode == 0


def test_nobody_reads_the_data(tmp_path: Path) -> None:
    line = f"{{ {STEPWELL} --app {PRINTING} run printing --json; echo $? >code; }} | true"

    done = by_shell(line, tmp_path)

    assert (tmp_path / "code").read_text() == "0\n"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
