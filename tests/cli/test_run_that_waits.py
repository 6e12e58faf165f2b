"""`stepwell run` on a run in which everything waits: real processes, and who lets them go on."""

from __future__ import annotations

import json
import signal
import subprocess
from itertools import pairwise

import pytest

from stepwell.cli.progress import PlainDisplay, Snapshot, _Standstill
from stepwell.engine.model import RunProgress
from stepwell.engine.states import RunStatus
from tests.cli.conftest import WAITING, Shell

APP = ("--app", WAITING)
# It ends when it does not say what is expected of it.
AT_MOST = ("--timeout", "60")
LAST_LINE = "going on when that is there; Ctrl-C leaves the run as it is\n"


def start(shell: Shell, **waits: object) -> subprocess.Popen[str]:
    fields = [part for k, v in waits.items() for part in ("--set", f"{k}={json.dumps(v)}")]
    return shell.start(*APP, "run", "waiting:start", "--run-id", "r", *AT_MOST, *fields)


def told(process: subprocess.Popen[str]) -> list[str]:
    """What it says up to where it waits."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line == LAST_LINE:
            return lines
    raise AssertionError("".join(lines))


def says(lines: list[str], beginning: str) -> bool:
    """Whether a line begins so, and tells how to let it go on."""
    return any(line.startswith(beginning) and "; let it go on: " in line for line in lines)


def test_it_says_what_it_waits_for_and_goes_on_when_that_comes(shell: Shell) -> None:
    # given a run that waits for a message and a decision
    process = start(shell, topics={"a": "go"}, approvals=["ask"])

    # when it stands still, it says for what
    lines = told(process)
    sends = next(line for line in lines if line.startswith("step a waits for a message on topic"))
    asks = next(line for line in lines if line.startswith("step ask waits for a decision"))
    assert sends.endswith(" send r go JSON\n")
    assert asks.endswith(" reject r ask\n")

    # and it goes on when others give it
    assert shell("send", "r", "go", "1").returncode == 0
    assert shell("approve", "r").returncode == 0
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "after a: noted\n" in out


def test_an_interrupt_leaves_the_run_as_it_is(shell: Shell) -> None:
    process = start(shell, approvals=["ask"])
    told(process)

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "run r is interrupted; go on with: " in err
    steps = json.loads(shell("show", "r", "--json").stdout)["steps"]
    assert {step["id"]: step["status"] for step in steps} == {
        "ask": "waiting",
        "gather": "succeeded",
    }


def test_a_paused_run_and_a_held_step(shell: Shell) -> None:
    # given a run that is paused, and has a step that is held
    shell(*APP, "start", "waiting:start", "--run-id", "r")
    shell("hold", "r", "gather")
    shell("pause", "r")
    process = shell.start(*APP, "run", "--resume", "r", *AT_MOST)

    # when
    assert says(told(process), "run r is paused by ")
    assert shell("resume", "r").returncode == 0

    # then it is still the step that is held
    assert says(told(process), "step gather is held by ")
    assert shell("release", "r", "gather").returncode == 0
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("running", [(), ("a",)])
def test_a_run_is_asked_ever_less_often(running: tuple[str, ...]) -> None:
    counts = RunProgress(RunStatus.RUNNING, 3, 3, 0, 0, 0, 0, running)
    asked: list[float] = []
    now = 0.0

    def ask() -> list[str]:
        asked.append(now)
        return ["it waits"]

    still = _Standstill(ask)
    while now < 100:
        still.look(counts, now)
        now += 0.25

    gaps = [later - before for before, later in pairwise(asked)]
    assert bool(asked) == (not running)
    assert gaps == sorted(gaps)
    assert max(gaps, default=30) == 30


def test_a_wait_is_told_once_and_a_new_one_again() -> None:
    counts = RunProgress(RunStatus.RUNNING, 3, 3, 0, 0, 0, 0, ())
    written: list[str] = []
    display = PlainDisplay(written.append)

    for waits in ((), ("a",), ("a",), ("a", "b"), (), ("a",)):
        display.show(Snapshot(counts, 1.0, 0.0, waits))

    assert written[1:] == ["a", "b", "a"]
