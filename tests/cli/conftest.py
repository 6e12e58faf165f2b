import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stepwell import connect
from stepwell.cli.main import command_line
from tests.cli.waiting_package import waiting

STEPWELL = Path(sys.executable).with_name("stepwell")
SAMPLE = f"{Path(__file__).with_name('sample_package.py')}:sample"
WAITING = f"{Path(__file__).with_name('waiting_package.py')}:waiting"


def clean_environment() -> dict[str, str]:
    """The environment without what would change the command line's behaviour."""
    unwanted = ("STEPWELL_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_")
    return {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}


class CommandLine:
    """Calls commands inside this process, in a folder of its own."""

    def __call__(self, *args: str, input: str | None = None) -> Result:
        return CliRunner().invoke(command_line, list(args), input=input)

    def sample(self, *args: str, input: str | None = None) -> Result:
        return self("--app", SAMPLE, *args, input=input)

    def waiting(self, **waits: Any) -> None:
        """Start the run `r` of the waiting's steps, and let them come as far as they can."""
        fields = [part for k, v in waits.items() for part in ("--set", f"{k}={json.dumps(v)}")]
        started = self("--app", WAITING, "start", "waiting:start", "--run-id", "r", *fields)
        assert started.exit_code == 0, started.stderr
        self.work()

    def work(self) -> None:
        """Work until nothing can go on any more."""
        with connect(packages=[waiting]) as runtime:
            while runtime.run_once().processed:
                pass

    def json(self, *args: str) -> Any:
        result = self(*args, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def run(self, *assignments: str, code: int = 0) -> str:
        """Run the sample's package; returns the run's id."""
        fields = [part for assignment in assignments for part in ("--set", assignment)]
        result = self.sample("run", "sample:start", *(fields or ["--set", "ok=1"]), "--json")
        assert result.exit_code == code, result.stderr
        return str(json.loads(result.stdout)["run"]["id"])


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name not in clean_environment():
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", list(sys.path))
    # How pytest was called must not show in what people are told to type.
    monkeypatch.setattr(sys, "argv", ["stepwell"])
    return CommandLine()


@dataclass
class Shell:
    """Starts the console script in a folder, as a person's shell would."""

    folder: Path
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    def start(self, *args: str, **options: Any) -> "subprocess.Popen[str]":
        environment = {**clean_environment(), **options.pop("env", {})}
        process = subprocess.Popen(
            [str(STEPWELL), *args],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            **options,
        )
        self.started.append(process)
        return process

    def __call__(self, *args: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        process = self.start(*args, **options)
        out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    for process in shell.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@dataclass
class Gate:
    """A step that says when it is there, and then waits to be let through."""

    folder: Path

    def wait(self) -> None:
        """Return once the step is there."""
        (self.folder / "here").read_text()

    def open(self) -> None:
        (self.folder / "go").write_text("gone through")


@pytest.fixture
def gates(tmp_path: Path) -> list[Gate]:
    made = []
    for number in range(2):
        folder = tmp_path / f"gate{number}"
        folder.mkdir()
        os.mkfifo(folder / "here")
        os.mkfifo(folder / "go")
        made.append(Gate(folder))
    return made


def through(gates: list[Gate]) -> str:
    """The assignment that makes a run wait at these gates, one after the other."""
    return f"gates={json.dumps([str(gate.folder) for gate in gates])}"
