"""SIGHUP is heeded as SIGTERM is; as process 1 the command line is an init of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SAMPLE, STEPWELL, Gate, Shell, clean_environment, through

APP = ("--app", SAMPLE)
PATIENCE = 60
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child")
# A child leaves a grandchild behind, which ends, and is reaped when nothing has its number.
ORPHAN = """
import os, select, signal, sys
from stepwell.cli.init import as_process_one

as_process_one()
assert os.getpid() != 1
signal.alarm(60)
telling, tell = os.pipe()
if os.fork() == 0:
    orphan = os.fork()
    if orphan:
        os.write(tell, str(orphan).encode())
    os._exit(0)
os.wait()
orphan = int(os.read(telling, 100))
while True:
    try:
        os.kill(orphan, 0)
    except ProcessLookupError:
        break
    os.sched_yield()
sys.stdout.write("reaped\\n")
sys.stdout.flush()
{then}
"""


def test_a_worker_that_is_hung_up_drains(shell: Shell, gates: list[Gate]) -> None:
    # given a worker in the middle of a step
    shell(*APP, "start", "sample:start", "--set", through(gates))
    process = shell.start(*APP, "worker", "--json")
    gates[0].wait()

    # when its terminal is closed
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("SIGHUP: running steps may finish"))
    gates[0].open()
    out, _ = process.communicate()

    # then the step is done, and the next was not begun
    assert process.returncode == 0
    assert json.loads(out) == {"stopped_by": "SIGHUP", "drained": True}
    shown = json.loads(shell("show", "last", "--json").stdout)
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "ready"]


def test_a_run_that_is_hung_up_says_how_to_go_on(shell: Shell, gates: list[Gate]) -> None:
    process = shell.start(*APP, "run", "sample:start", "--set", through(gates))
    gates[0].wait()

    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("SIGHUP"))
    gates[0].open()
    _, err = process.communicate()

    assert process.returncode == 129
    assert "is interrupted; go on with: " in err


def test_under_nohup_it_goes_on(shell: Shell, gates: list[Gate]) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which programs inherit
    try:
        process = shell.start(*APP, "run", "sample:start", "--set", through(gates[:1]))
    finally:
        signal.signal(signal.SIGHUP, before)
    gates[0].wait()

    process.send_signal(signal.SIGHUP)
    gates[0].open()
    process.communicate()

    assert process.returncode == 0


@pytest.fixture(scope="module")
def _may_unshare() -> None:
    tried = subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True)
    if tried.returncode:
        pytest.skip("a namespace of processes cannot be made here")


def first_of(process: subprocess.Popen[str]) -> int:
    """The process that is number 1 in the namespace, as it is called outside."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


def in_namespace(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*NAMESPACE, sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.usefixtures("_may_unshare")
@pytest.mark.parametrize(
    ("then", "code"), [("sys.exit(7)", 7), ("os.kill(os.getpid(), signal.SIGTERM)", 143)]
)
def test_process_one_reaps_orphans_and_ends_with_the_exit_code(then: str, code: int) -> None:
    with in_namespace(ORPHAN.format(then=then)) as process:
        out, _ = process.communicate(timeout=PATIENCE)

    assert (out, process.returncode) == ("reaped\n", code)


@pytest.mark.usefixtures("_may_unshare")
def test_a_worker_as_process_one_drains(shell: Shell, gates: list[Gate]) -> None:
    shell(*APP, "start", "sample:start", "--set", through(gates))
    with subprocess.Popen(
        [*NAMESPACE, STEPWELL, *APP, "worker"],
        cwd=shell.folder,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        gates[0].wait()

        subprocess.run(["kill", "-TERM", str(first_of(process))], check=True)
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("SIGTERM: running steps"))
        gates[0].open()
        process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    shown = json.loads(shell("show", "last", "--json").stdout)
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "ready"]
