"""What a worker starts ends with it, however it ends: real workers, really killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import Retryable
from stepwell.executors.kinds.command import Command
from stepwell.executors.kinds.spool import Spool
from stepwell.executors.supervisor import Supervisor
from tests.executors.fakes import PATIENCE
from tests.executors.fifo import Fifo, wait_until_gone
from tests.executors.test_shell import result

ROOT = Path(__file__).resolve().parents[2]
DEADLY = [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT]
# Tells its number and that of a program it starts, which only its own end would tell it of.
FAMILY = """
import os, signal, subprocess, sys, time
for number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1], "w") as fifo:
    fifo.write(f"{os.getpid()} {child.pid}\\n")
time.sleep(600)
"""

Start = Callable[[str, Any], "subprocess.Popen[bytes]"]


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Fifo]:
    fifo = Fifo(tmp_path / "fifo")
    yield fifo
    fifo.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a worker that runs one step of a kind."""
    workers: list[subprocess.Popen[bytes]] = []

    def start(kind: str, input: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.executors.worker_program", str(tmp_path), kind]
        workers.append(
            subprocess.Popen([*command, json.dumps(input)], cwd=ROOT, stderr=subprocess.DEVNULL)
        )
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait()


def family(fifo: Fifo) -> list[str]:
    return [sys.executable, "-c", FAMILY, fifo.path]


def told(fifo: Fifo) -> list[int]:
    return [int(word) for word in fifo.line().split()]


@pytest.mark.parametrize("number", DEADLY)
def test_a_program_ends_with_its_worker(start: Start, fifo: Fifo, number: signal.Signals) -> None:
    # given a worker that runs a program, which started another
    worker = start("shell.run", {"argv": family(fifo), "grace": 600})
    program, child = told(fifo)

    # when the worker is killed
    worker.send_signal(number)
    worker.wait(PATIENCE)

    # then both are gone
    wait_until_gone(program)
    wait_until_gone(child)


@pytest.mark.parametrize("number", DEADLY)
def test_a_child_process_that_holds_the_interpreter_ends_with_its_worker(
    start: Start, fifo: Fifo, number: signal.Signals
) -> None:
    worker = start("test.hold", fifo.path)
    child, program = told(fifo)

    worker.send_signal(number)
    worker.wait(PATIENCE)

    wait_until_gone(child)
    wait_until_gone(program)


def test_a_fork_of_the_worker_does_not_keep_its_programs_alive(start: Start, fifo: Fifo) -> None:
    # given a body that left a copy of the worker behind, and then a program
    worker = start("sample.forking", [fifo.path, *family(fifo)])
    (copy,) = told(fifo)
    program, child = told(fifo)

    worker.kill()
    worker.wait(PATIENCE)

    try:
        wait_until_gone(program)
        wait_until_gone(child)
        os.kill(copy, 0)
    finally:
        os.kill(copy, signal.SIGKILL)


def test_a_program_that_ended_leaves_nothing_running(fifo: Fifo) -> None:
    source = f'"$0" -c "import time; time.sleep(600)" & echo "$!" > {fifo.path}'

    value = result(argv=["sh", "-c", source, sys.executable])

    assert value["exit_code"] == 0
    wait_until_gone(*told(fifo))


def test_a_program_that_nobody_watches_is_killed(fifo: Fifo) -> None:
    with Command(family(fifo), None, dict(os.environ), ""):
        pids = told(fifo)

    for pid in pids:
        wait_until_gone(pid)


def test_without_its_supervisor_a_program_is_killed_and_tried_again(fifo: Fifo) -> None:
    with Command(family(fifo), None, dict(os.environ), "") as command:
        pids = told(fifo)
        os.kill(Supervisor._pid, signal.SIGKILL)

        with pytest.raises(Exception, match="were killed"), Spool(1) as out, Spool(1) as err:
            command.watch(out, err, None, 0, SystemClock())

    for pid in pids:
        wait_until_gone(pid)
    # and the next program has another one
    assert result(argv=["true"])["exit_code"] == 0


def test_a_supervisor_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "stepwell.executors.supervisor.get_executable"
    monkeypatch.setattr(nowhere, lambda: "/no/such/python")
    monkeypatch.setattr(Supervisor, "_line", None)

    with pytest.raises(Retryable, match="the process that watches over programs ended") as caught:
        result(argv=["true"])

    assert caught.value.code == "unwatched"
    Supervisor._leave()


def test_what_is_handed_over_arrives_as_it_is() -> None:
    many = [f"--{n}=ö" for n in range(60_000)]
    source = "import sys; print(len(sys.argv), sys.argv[-1])"

    value = result(argv=[sys.executable, "-c", source, *many], env={"EMPTY": "", "Ü": "ä\nb"})

    assert value["stdout_tail"] == f"60001 {many[-1]}\n"


def test_a_folder_that_was_deleted_does_not_keep_programs_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert result(argv=["true"])["exit_code"] == 0
    monkeypatch.chdir(tmp_path)
    assert result(argv=["pwd"])["stdout_tail"].strip() == str(tmp_path)
