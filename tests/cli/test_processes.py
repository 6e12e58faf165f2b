"""What depends on the process: signals, pipes, terminals and exit codes of the console script."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SAMPLE, STEPWELL, Gate, Shell, clean_environment, through

APP = ("--app", SAMPLE)
AT_ONCE = ("--grace", "0", "--kill-grace", "0")


def test_an_interrupted_run_drains_and_is_resumed(shell: Shell, gates: list[Gate]) -> None:
    # given a run in the middle of the first of its two gates
    process = shell.start(*APP, "run", "sample:start", "--set", through(gates), "--run-id", "r")
    gates[0].wait()

    # when it is interrupted, its running step may finish
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    line = next(line for line in process.stderr if line.startswith("SIGINT"))
    gates[0].open()
    out, rest = process.communicate()

    # then the next step was not begun
    assert line == "SIGINT: running steps may finish within 30 s; again stops at once\n"
    assert process.returncode == 130
    assert out == ""
    assert "run r is interrupted; go on with: " in rest
    assert " run --resume r, or" in rest
    shown = json.loads(shell("show", "r", "--json").stdout)
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "ready"]

    # and a second `run` goes on from there
    resumed = shell.start(*APP, "run", "--resume", "last")
    gates[1].wait()
    gates[1].open()
    out, _ = resumed.communicate()
    assert (resumed.returncode, out) == (0, "gate:1: gone through\n")
    shown = json.loads(shell("show", "r", "--json").stdout)
    assert [(step["status"], step["attempt"]) for step in shown["steps"]] == [("succeeded", 1)] * 2


def test_a_second_interrupt_gives_running_steps_back(shell: Shell, gates: list[Gate]) -> None:
    process = shell.start(
        *(*APP, "run", "sample:start", "--set", through(gates[:1])), "--kill-grace", "0"
    )
    gates[0].wait()

    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("SIGINT"))
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate()

    assert process.returncode == 130
    assert "SIGINT: stopping at once; running steps are given back\n" in rest
    (step,) = json.loads(shell("show", "last", "--json").stdout)["steps"]
    assert (step["status"], step["attempt"]) == ("ready", 0)


def test_a_terminated_worker_drains_and_exits_with_0(shell: Shell, gates: list[Gate]) -> None:
    shell(*APP, "start", "sample:start", "--set", through(gates))
    process = shell.start(*APP, "worker", "--json")
    gates[0].wait()

    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("SIGTERM"))
    gates[0].open()
    out, _ = process.communicate()

    assert process.returncode == 0
    assert json.loads(out) == {"stopped_by": "SIGTERM", "drained": True}
    shown = json.loads(shell("show", "last", "--json").stdout)
    assert [step["status"] for step in shown["steps"]] == ["succeeded", "ready"]


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_stops_a_worker_at_once(
    shell: Shell, gates: list[Gate], second: signal.Signals, code: int
) -> None:
    shell(*APP, "start", "sample:start", "--set", through(gates))
    process = shell.start(*APP, "worker", "--kill-grace", "0")
    gates[0].wait()

    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("SIGTERM"))
    process.send_signal(second)
    process.communicate()

    assert process.returncode == code
    shown = json.loads(shell("show", "last", "--json").stdout)
    assert [(step["status"], step["attempt"]) for step in shown["steps"]] == [
        ("ready", 0),
        ("pending", 0),
    ]


SIGNALED = """
import os, signal
from stepwell import Package

try:
    os.kill(os.getpid(), signal.SIGTERM)
except BaseException as error:
    {swallow}

app = Package("app")


@app.executor("app.step")
def step() -> None: ...


@app.entrypoint
def start(run) -> None:
    run.step(step)
"""


@pytest.mark.parametrize(
    "swallow", ["pass", "raise RuntimeError('made an error of it') from error"]
)
@pytest.mark.parametrize("command", [("worker",), ("run", "app")])
def test_a_signal_that_an_import_swallows_ends_the_program(
    shell: Shell, command: tuple[str, ...], swallow: str
) -> None:
    (shell.folder / "app.py").write_text(SIGNALED.format(swallow=swallow))

    process = shell.start("--app", "app:app", *command, env={"PYTHONPATH": str(shell.folder)})
    told = process.communicate(timeout=30)

    assert (process.returncode, *told) == (143, "", "")


def test_a_signal_in_a_finalizer_ends_the_program_without_a_word(shell: Shell) -> None:
    (shell.folder / "app.py").write_text(
        "import os, signal, weakref\n"
        "from stepwell import Package\n"
        "app = Package('app')\n"
        "weakref.finalize(Package('gone'), os.kill, os.getpid(), signal.SIGTERM)\n"
    )

    ended = shell("--app", "app:app", "worker", env={"PYTHONPATH": str(shell.folder)})

    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "")


def test_run_gives_up_after_its_timeout(shell: Shell, gates: list[Gate]) -> None:
    process = shell.start(
        *(*APP, "run", "sample:start", "--set", through(gates), "--run-id", "r"),
        *("--timeout", "0.05", *AT_ONCE, "--quiet"),
    )
    gates[0].wait()
    out, err = process.communicate()

    assert process.returncode == 5
    assert out == ""
    assert err.startswith("error: run 'r' did not end within 0.05 s; go on with: ")
    assert err.endswith(" run --resume r\n")
    assert err.count("\n") == 1


def test_run_ends_when_another_process_cancels_it(shell: Shell, gates: list[Gate]) -> None:
    process = shell.start(
        *APP, "run", "sample:start", "--set", through(gates), "--kill-grace", "0", "--quiet"
    )
    gates[0].wait()

    assert shell("cancel", "last", "--reason", "enough").returncode == 0

    _, err = process.communicate()
    assert process.returncode == 6
    assert " canceled in " in err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_following_ends_with_the_signal(shell: Shell, signum: signal.Signals, code: int) -> None:
    shell(*APP, "start", "sample:two")
    process = shell.start("events", "last", "--follow")
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(signum)
    _, err = process.communicate()

    assert (process.returncode, err) == (code, "")


def by_sh(shell: Shell, command: str) -> "subprocess.CompletedProcess[str]":
    """Call a command with the redirections of a POSIX shell."""
    return subprocess.run(
        ["sh", "-c", f"exec {STEPWELL} {command}"],
        cwd=shell.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_closed_pipe_is_quiet(shell: Shell) -> None:
    shell(*APP, "run", "sample:start", "--set", "ok=300", "--quiet")
    read, write = os.pipe()
    os.close(read)

    process = shell.start("events", "last", stdout=write)
    os.close(write)
    _, err = process.communicate()

    assert (process.returncode, err) == (0, "")


def test_a_stdout_that_was_closed_before_is_quiet(shell: Shell) -> None:
    shell(*APP, "run", "sample:start", "--set", "ok=1", "--quiet")

    ended = by_sh(shell, "list >&-")

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(("steps", "code"), [("fail", 1), ("ok", 0)])
@pytest.mark.parametrize(
    ("target", "said"),
    [
        (">&-", "warning: stdout is closed, so the output is lost; see it with: "),
        ("> /dev/full", "warning: the output cannot be written: No space left on device; see it"),
    ],
)
def test_a_run_whose_output_is_lost_says_so_and_ends_as_the_run_did(
    shell: Shell, target: str, said: str, steps: str, code: int
) -> None:
    ended = by_sh(
        shell, f"--app {SAMPLE} run sample:start --set {steps}=1 --run-id r -q --json {target}"
    )

    assert ended.returncode == code
    assert said in ended.stderr
    assert ended.stderr.endswith(" show r\n")
    assert json.loads(shell("show", "r", "--json").stdout)["progress"]["open"] == 0


def test_a_start_whose_output_is_lost_names_its_run(shell: Shell) -> None:
    ended = by_sh(shell, f"--app {SAMPLE} start sample:two >&-")

    (run,) = json.loads(shell("list", "--json").stdout)
    assert ended.returncode == 0
    assert ended.stderr == (
        f"warning: stdout is closed, so the output is lost; run {run['id']} is started\n"
    )


def test_a_worker_without_output_loses_none(shell: Shell) -> None:
    ended = by_sh(shell, f"--app {SAMPLE} worker --max-cycles 1 -q >&-")

    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_id_that_is_not_unicode_is_refused_in_a_line(shell: Shell) -> None:
    shell(*APP, "run", "sample:start", "--set", "ok=1", "--quiet")

    process = shell.start("show", b"\xff\xfe\xff\xfe".decode(errors="surrogateescape"))
    _, err = process.communicate()

    assert process.returncode == 2
    assert err.endswith("has a lone surrogate; use valid Unicode text\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("steps", "code"), [("fail", 1), ("ok", 0)])
def test_a_stderr_that_nobody_reads_changes_nothing(shell: Shell, steps: str, code: int) -> None:
    read, write = os.pipe()
    os.close(read)

    process = shell.start(
        *APP, "run", "sample:start", "--set", f"{steps}=1", "--json", stderr=write
    )
    os.close(write)
    out, _ = process.communicate()

    assert process.returncode == code
    assert json.loads(out)["run"]["status"] == ("failed" if code else "succeeded")


def test_a_full_stdout_is_one_line_and_an_exit_code(shell: Shell) -> None:
    with open("/dev/full", "w") as full:
        process = shell.start("version", stdout=full, env={"PYTHONUNBUFFERED": ""})
        _, err = process.communicate()

    assert process.returncode == 1
    assert "No space left on device" in err
    assert err.count("\n") == 1


def test_followed_events_come_as_they_happen(shell: Shell, gates: list[Gate]) -> None:
    run = shell.start(*APP, "run", "sample:start", "--set", through(gates[:1]), "--quiet")
    gates[0].wait()
    environment = {"PYTHONUNBUFFERED": ""}
    following = shell.start("events", "last", "--follow", "--json", env=environment)
    assert following.stdout is not None

    first = following.stdout.readline()  # while the run waits at its gate

    assert json.loads(first)["type"] == "run.created"
    gates[0].open()
    run.communicate()
    following.communicate()
    assert run.returncode == following.returncode == 0


def test_a_closed_stdin_is_no_input(shell: Shell) -> None:
    ended = by_sh(shell, f"--app {SAMPLE} start sample:start --input - <&-")

    assert ended.returncode == 2
    assert ended.stderr == "error: --input: cannot read '-': stdin is closed\n"


def test_output_goes_into_a_pipe_and_through_a_link(shell: Shell) -> None:
    shell(*APP, "run", "sample:start", "--set", "ok=1", "--quiet")
    os.mkfifo(shell.folder / "fifo")
    (shell.folder / "target").write_text("old")
    (shell.folder / "link").symlink_to("target")

    into_pipe = shell.start("graph", "last", "-o", "fifo")
    drawn = (shell.folder / "fifo").read_text()
    into_pipe.communicate()
    shell("graph", "last", "-o", "link")

    assert "ok" in drawn
    assert (shell.folder / "target").read_text() == drawn
    assert (shell.folder / "link").is_symlink()
    assert (shell.folder / "fifo").is_fifo()


def test_a_closed_pipe_does_not_hide_that_the_run_failed(shell: Shell) -> None:
    read, write = os.pipe()
    os.close(read)

    process = shell.start(
        *(*APP, "run", "sample:start", "--set", "fail=1", "--set", "ok=1", "--quiet"), stdout=write
    )
    os.close(write)
    process.communicate()

    assert process.returncode == 1


def on_terminal(folder: Path, *args: str, **variables: str) -> tuple[int, str]:
    """Run a command with a terminal of 100 columns as its stdout and stderr."""
    master, slave = pty.openpty()
    environment = {**clean_environment(), "TERM": "xterm-256color", "COLUMNS": "100", **variables}
    process = subprocess.Popen(
        [str(STEPWELL), *args], cwd=folder, env=environment, stdout=slave, stderr=slave
    )
    os.close(slave)
    output = b""
    try:
        while part := os.read(master, 65536):
            output += part
    except OSError:
        pass  # Linux says EIO when the last writer is gone
    os.close(master)
    return process.wait(), output.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*[1-9][0-9;]*m")


def test_a_terminal_gets_a_live_display_and_colours(tmp_path: Path) -> None:
    code, output = on_terminal(tmp_path, *APP, "run", "sample:start", "--set", "ok=20")

    assert code == 0
    assert "20 of 20 steps" in output
    assert "20 succeeded" in output
    assert COLOUR.search(output)
    assert COLOUR.search(on_terminal(tmp_path, "list")[1])


def test_no_color(tmp_path: Path) -> None:
    _, output = on_terminal(tmp_path, *APP, "run", "sample:start", "--set", "ok=20", NO_COLOR="1")

    assert "20 of 20 steps" in output
    assert not COLOUR.search(output.replace("\x1b[2m", "").replace("\x1b[1m", ""))
    assert "\x1b" not in on_terminal(tmp_path, "list", NO_COLOR="1")[1]


def test_a_dumb_terminal_gets_lines(tmp_path: Path) -> None:
    _, output = on_terminal(tmp_path, *APP, "run", "sample:two", TERM="dumb")

    assert "\x1b" not in output
    assert "succeeded 100 %, 2 of 2 steps" in output


def test_a_table_is_cut_to_the_terminal(tmp_path: Path) -> None:
    note = "x" * 200
    on_terminal(tmp_path, *APP, "run", "sample:start", "--set", "ok=1", "--set", f"note={note}")

    _, output = on_terminal(tmp_path, "records", "sample", "notes")

    line = output.splitlines()[1]
    assert len(line) == 100
    assert line.endswith("…")


def test_binary_is_not_written_to_a_terminal(shell: Shell) -> None:
    shell(*APP, "run", "sample:start", "--set", "files=true")
    note, raw = json.loads(shell("artifacts", "last", "--json").stdout)

    assert on_terminal(shell.folder, "artifact", note["id"]) == (0, "a note\r\n")
    code, output = on_terminal(shell.folder, "artifact", raw["id"])
    assert code == 2
    assert "which a terminal cannot show; use --output FILE" in output


def test_python_m_stepwell_is_the_same(shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stepwell", "lits"], capture_output=True, text=True, check=False
    )

    script = shell("lits")
    assert (done.returncode, done.stdout, done.stderr) == (2, script.stdout, script.stderr)


def test_a_terminal_that_knows_ascii_only(shell: Shell) -> None:
    shell(*APP, "run", "sample:two", "--name", "naïve")
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}

    tree = shell("graph", "last", env=ascii_only).stdout
    data = json.loads(shell("show", "last", "--json", env=ascii_only).stdout)

    assert tree.splitlines()[1] == "`- first  succeeded  sample.ok"
    assert data["run"]["name"] == "naïve"
    assert "na\\xefve" in shell("list", env=ascii_only).stdout
