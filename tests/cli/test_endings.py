"""A command that is told to stop ends its process, whatever bodies have left running in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell import connect
from tests.cli.conftest import Shell, clean_environment
from tests.cli.endless_workflows import endless

APP = ("--app", f"{Path(__file__).with_name('endless_workflows.py')}:endless")
SHORT = ("--grace", "0.2", "--kill-grace", "0.1")
PATIENCE = 60
LATE = "behind_a_success"
IN_THE_WAY = "in_the_workers_thread"
WAYS = sorted(set(endless.entrypoints) - {LATE, IN_THE_WAY})


@pytest.fixture
def here(shell: Shell) -> Iterator[Path]:
    """The pipe by which a body says that it is there."""
    pipe = shell.folder / "here"
    os.mkfifo(pipe)
    yield pipe
    fork = shell.folder / "fork"
    if fork.exists():
        os.kill(int(fork.read_text()), signal.SIGKILL)


def started(shell: Shell, way: str, *command: str) -> subprocess.Popen[str]:
    """A command that works on the run `r` of this workflow; its body is where it stays."""
    with connect(home=shell.folder / ".stepwell", packages=[endless]) as runtime:
        runtime.start_run("endless", entrypoint=way, run_id="r")
    process = working(shell, *command)
    (shell.folder / "here").read_text()
    return process


def working(shell: Shell, *command: str) -> subprocess.Popen[str]:
    # Not to pipes: what is left behind may hold them open.
    with (shell.folder / "out").open("w") as out, (shell.folder / "err").open("w") as err:
        return shell.start(*APP, *command, *SHORT, stdout=out, stderr=err)


def step_of(shell: Shell) -> tuple[str, int]:
    with connect(home=shell.folder / ".stepwell") as runtime:
        (step,) = runtime.steps("r")
    return str(step.status), step.attempt


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("here")
def test_a_worker_that_is_told_to_stop_ends_drained(shell: Shell, way: str) -> None:
    process = started(shell, way, "worker")

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE) == 0
    assert step_of(shell) == ("ready", 0)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.usefixtures("here")
def test_an_interrupted_run_ends_with_the_code_of_the_signal(
    shell: Shell, signum: signal.Signals, code: int
) -> None:
    process = started(shell, "in_an_executor", "run", "--resume", "r")

    process.send_signal(signum)

    assert process.wait(PATIENCE) == code
    assert "run r is interrupted; go on with: " in (shell.folder / "err").read_text()
    assert step_of(shell) == ("ready", 0)


@pytest.mark.usefixtures("here")
def test_a_second_signal_waits_for_nothing(shell: Shell) -> None:
    process = started(shell, "in_an_executor", "worker", "--grace", "3600")

    process.send_signal(signal.SIGTERM)
    while "SIGTERM" not in (shell.folder / "err").read_text():
        os.sched_yield()
    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE) == 143
    assert step_of(shell) == ("ready", 0)


@pytest.mark.usefixtures("here")
def test_a_step_in_the_workers_own_thread_holds_it_up_for_a_while_only(shell: Shell) -> None:
    """It cannot be given back, as nobody is there to do that: its lease lapses."""
    process = started(shell, IN_THE_WAY, "worker")

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE) == 143
    assert step_of(shell) == ("running", 1)


@pytest.mark.usefixtures("here")
def test_one_cycle_is_left_at_once(shell: Shell) -> None:
    process = started(shell, "in_an_executor", "run-once")

    process.send_signal(signal.SIGTERM)

    assert process.wait(PATIENCE) == 143
    assert step_of(shell) == ("ready", 0)


def test_a_run_that_has_ended_ends_its_command(shell: Shell) -> None:
    process = working(shell, "run", f"endless:{LATE}", "--json")

    assert process.wait(PATIENCE) == 0
    told = json.loads((shell.folder / "out").read_text())
    assert told["run"]["status"] == "succeeded"


EMBEDDED = """
import os, signal, threading
from stepwell import connect
from tests.cli.endless_workflows import endless

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with connect(packages=[endless], settings={"grace": 0.2, "kill_grace": 0.1}) as runtime:
    runtime.start_run("endless", entrypoint="in_a_thread_of_the_loop", run_id="r")
    runtime.start_workers(stop=stop)
print("the host goes on")
"""


@pytest.mark.usefixtures("here")
def test_a_host_program_ends_by_itself_with_what_runs_on_the_loop(shell: Shell) -> None:
    """Nothing ends a program that is not ours; the threads of our loops do not hold it up."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", EMBEDDED],
        cwd=shell.folder,
        env={**clean_environment(), "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    shell.started.append(process)
    (shell.folder / "here").read_text()

    process.send_signal(signal.SIGTERM)

    assert process.communicate(timeout=PATIENCE)[0] == "the host goes on\n"
    assert process.returncode == 0
