"""`shell.run` with real programs."""

import errno
import os
import resource
import select
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from stepwell.engine.errors import (
    Canceled,
    InvalidPayload,
    NotFound,
    Permanent,
    Retryable,
    StepError,
)
from stepwell.engine.step.execution import Execution
from stepwell.executors.kinds.shell import ShellRun, run, run_shell
from stepwell.executors.kinds.sources import ArtifactOf
from stepwell.executors.kinds.spool import Spool
from stepwell.testing import step_context
from tests.executors.fakes import PATIENCE, FakeArtifacts, artifacts_of, claimed, services

PYTHON = sys.executable
# Starts a program that lives on, tells both numbers through a FIFO, and waits with it.
FAMILY = (
    "import subprocess, sys, os, time, signal\n"
    "{ignore}"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open({fifo!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
    "time.sleep(600)\n"
)
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def shell(**request: Any) -> tuple[Execution, FakeArtifacts]:
    artifacts = FakeArtifacts()
    return Execution(claimed("shell.run", request), "w", services(artifacts=artifacts)), artifacts


def result(**request: Any) -> dict[str, Any]:
    execution, _ = shell(**request)
    value: dict[str, Any] = execution.invoke()
    return value


def python(source: str) -> list[str]:
    return [PYTHON, "-c", source]


def is_alive(pid: int) -> bool:
    """Wait for a process to end; True when it did not."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        return not select.select([handle], [], [], PATIENCE)[0]
    finally:
        os.close(handle)


def test_output_becomes_artifacts() -> None:
    execution, _ = shell(argv=python("import sys; print('out'); print('err', file=sys.stderr)"))

    value = execution.invoke()

    assert value["exit_code"] == 0
    assert (value["stdout_tail"], value["stderr_tail"]) == ("out\n", "err\n")
    assert value["seconds"] > 0
    bodies = {name: made.body for name, made in artifacts_of(execution, value).items()}
    assert bodies == {"stdout": b"out\n", "stderr": b"err\n"}


def test_stdin_folder_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    source = (
        "import os, sys; print(sys.stdin.read(), os.getcwd(), os.environ['COLOR'], "
        "'SECRET_TOKEN' in os.environ, 'PATH' in os.environ)"
    )

    value = result(argv=python(source), stdin="héllo", cwd=str(tmp_path), env={"COLOR": "red"})

    assert value["stdout_tail"].split() == ["héllo", str(tmp_path), "red", "False", "True"]


def test_much_output_is_cut_at_the_limit_and_stored() -> None:
    execution, artifacts = shell(
        argv=python("import sys; sys.stdout.write('x' * 1_000_000)"), max_output=100_000
    )

    value = execution.invoke()

    assert (value["stdout_size"], value["stdout_truncated"]) == (1_000_000, True)
    assert value["stderr_truncated"] is False
    assert artifacts.stored == [b"x" * 100_000]


def test_other_exit_codes_fail_with_details() -> None:
    with pytest.raises(StepError, match="exit code 4: broken") as caught:
        result(argv=python("import sys; print('broken', file=sys.stderr); sys.exit(4)"))

    assert caught.value.code == "exit_status"
    assert caught.value.retryable is None
    assert caught.value.details["exit_code"] == 4
    assert caught.value.details["stderr_tail"] == "broken\n"


def test_codes_that_are_said_to_be_fine() -> None:
    assert result(argv=python("raise SystemExit(4)"), ok_codes=[0, 4])["exit_code"] == 4


def test_a_program_killed_by_a_signal() -> None:
    with pytest.raises(StepError, match="killed by signal 9"):
        result(argv=python("import os; os.kill(os.getpid(), 9)"))


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"argv": ["no-such-program-here"]}, "no_such_program"),
        ({"argv": ["/"]}, "not_runnable"),
        ({"argv": ["true"], "cwd": "/no/such/folder"}, "no_such_folder"),
    ],
)
def test_what_cannot_be_run_is_permanent(request_: dict[str, Any], code: str) -> None:
    with pytest.raises(Permanent) as caught:
        result(**request_)

    assert caught.value.code == code


def test_a_timeout_of_a_month_is_one() -> None:
    assert result(argv=["sleep", "0.1"], timeout=31 * 86_400)["exit_code"] == 0


def test_a_program_whose_output_cannot_be_kept_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_spool: Spool, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Spool, "write", full)

    with pytest.raises(Retryable, match="No space"):  # and not only once it has ended, as never
        result(argv=["yes"])


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"argv": "ls -l"}, r"input\.argv.*list such as"),
        ({"argv": []}, r"input\.argv"),
        ({"argv": ["a\0b"]}, "NUL"),
        ({"argv": ["true"], "timeout": 0}, r"input\.timeout"),
        ({"argv": ["true"], "timeout": 1e9}, r"input\.timeout"),
        ({"argv": ["true"], "grace": 1e9}, r"input\.grace"),
        ({"argv": ["true"], "env": {"A": "x\0y"}}, "NUL"),
        ({"argv": ["true"], "env": {"A=B": "x"}}, "name of a variable"),
        ({"argv": ["true"], "env": {"": "x"}}, "name of a variable"),
        ({"argv": ["true"], "stdin": "a", "stdin_artifact": "b"}, "not both"),
        ({"argv": ["true"], "stdin_artifact": {"step": "b"}}, r"stdin_artifact.*name"),
        ({"argv": ["true"], "shell": True}, r"input\.shell"),
        ({}, r"input\.argv"),
    ],
)
def test_wrong_inputs_are_refused(request_: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPayload, match=message):
        result(**request_)


def test_a_timeout_kills_the_whole_family(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    told: list[int] = []
    reader = threading.Thread(target=lambda: told.extend(map(int, fifo.read_text().split())))
    reader.start()
    source = FAMILY.format(fifo=str(fifo), ignore=IGNORE)

    with pytest.raises(StepError, match="killed after") as caught:
        result(argv=python(source), timeout=3, grace=0.1)

    reader.join(PATIENCE)
    assert caught.value.code == "timeout"
    assert caught.value.details["exit_code"] == -9
    assert not any(map(is_alive, told))
    assert len(told) == 2


def test_a_flood_of_output_does_not_hold_up_the_timeout() -> None:
    with pytest.raises(StepError, match="killed after"):
        result(argv=["yes"], timeout=0.2, max_output=1000)


def test_a_cancel_kills_the_whole_family(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    execution, _ = shell(argv=python(FAMILY.format(fifo=str(fifo), ignore="")), grace=PATIENCE)
    told: list[int] = []

    def cancel_when_it_runs() -> None:
        told.extend(map(int, fifo.read_text().split()))
        execution.cancel()

    thread = threading.Thread(target=cancel_when_it_runs)
    thread.start()
    with pytest.raises(Canceled):
        execution.invoke()

    thread.join(PATIENCE)
    assert len(told) == 2
    assert not any(map(is_alive, told))


def test_a_background_child_does_not_hold_up_the_end() -> None:
    source = (
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)\n"
    )

    value = result(argv=python(source))

    assert not is_alive(int(value["stdout_tail"]))


def test_it_is_an_executor_for_threads() -> None:
    assert (run.kind, run.options.pool) == ("shell.run", "thread")


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC]
)
@pytest.mark.parametrize("call", ["os.pipe", "tempfile.TemporaryFile", "socket.socketpair"])
def test_a_shortage_passes(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def short(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(call, short)

    with pytest.raises(Retryable, match=r"'true' cannot run now: .*; it is tried again") as caught:
        result(argv=["true"])

    assert caught.value.code == "shortage"
    assert caught.value.details == {"errno": errno.errorcode[number]}


def test_descriptors_that_ran_out_come_back() -> None:
    result(argv=["true"])  # the supervisor is there
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, hard))
        try:
            with pytest.raises(Retryable, match="Too many open files"):
                result(argv=["true"])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert result(argv=["true"])["exit_code"] == 0


def test_a_program_that_is_being_written_is_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/true", program)

    with program.open("ab"), pytest.raises(Retryable, match="Text file busy"):
        result(argv=[str(program)])

    assert result(argv=[str(program)])["exit_code"] == 0


def test_a_program_runs_where_no_thread_can_be_started() -> None:
    before = threading.stack_size(1 << 46)  # nobody has so much room for a stack
    try:
        assert result(argv=["true"])["exit_code"] == 0
    finally:
        threading.stack_size(before)


def test_a_program_that_cannot_be_watched_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    told: list[int] = []

    def no_selector() -> None:
        told.extend(map(int, fifo.read_text().split()))
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("selectors.DefaultSelector", no_selector)

    with pytest.raises(Retryable, match="Too many open files"):
        result(argv=python(FAMILY.format(fifo=str(fifo), ignore=IGNORE)))

    assert not any(map(is_alive, told))
    assert len(told) == 2


def test_the_artifact_of_an_earlier_step_is_read() -> None:
    many = b"line\n" * 100_000
    step = step_context(
        dependencies={"list": None}, artifacts={("list", "stdout"): many, "an-id": b"\xff\x00"}
    )
    count = python("import sys; print(len(sys.stdin.buffer.read()))")

    by_step = ShellRun(argv=count, stdin_artifact=ArtifactOf(step="list", name="stdout"))
    assert run_shell(step, by_step)["stdout_tail"] == f"{len(many)}\n"

    other = step_context(artifacts={"an-id": b"\xff\x00"})
    assert run_shell(other, ShellRun(argv=count, stdin_artifact="an-id"))["stdout_tail"] == "2\n"


def test_an_artifact_that_is_not_there_is_said() -> None:
    step = step_context(dependencies={"list": None}, artifacts={("list", "stdout"): b"x"})
    wrong = ShellRun(argv=["cat"], stdin_artifact=ArtifactOf(step="list", name="stdot"))

    with pytest.raises(NotFound, match="'list' has no artifact 'stdot'; did you mean 'stdout'"):
        run_shell(step, wrong)


def test_secrets_of_a_wrong_request_are_not_quoted() -> None:
    with pytest.raises(InvalidPayload) as caught:
        result(argv=["true"], env={"PASSWORD": "s3cret", "A=B": "s3cret"})

    assert "s3cret" not in str(caught.value)
