"""Workers as processes, for the tests here: started, told to stop, frozen, thawed and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from stepwell import EventType, Runtime

ROOT = Path(__file__).parents[3]
PATIENCE = 60


class WorkerProcess:
    """A worker of `worker_program.py`. What it says can be read line by line."""

    def __init__(
        self, store: str, home: Path, lease: float, environment: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.trust.clocks.worker_program",
                store,
                str(home),
                str(lease),
            ],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line it says; empty at its end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def hear(self, word: str) -> str:
        """Read until a line begins with `word`."""
        while not (line := self.line()).startswith(word):
            assert line, f"it ended without a word of {word!r}"
        return line

    def tell(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def await_end(self) -> tuple[int, str]:
        """Its exit code and what it said on stderr."""
        _, said = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, said

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def commits(runtime: Runtime, run_id: str) -> Counter[str | None]:
    """How often each step of the run committed a success."""
    events = runtime.events(run_id)
    return Counter(event.step_id for event in events if event.type is EventType.STEP_SUCCEEDED)


def all_once(runtime: Runtime, run_id: str) -> Counter[str | None]:
    """What `commits` is when nothing was lost and nothing came twice."""
    return Counter(step.id for step in runtime.steps(run_id))


def failures(runtime: Runtime, run_id: str) -> list[str]:
    """What went wrong, for the message of an assertion."""
    return [f"{step.id}: {step.error}" for step in runtime.steps(run_id) if step.error]
