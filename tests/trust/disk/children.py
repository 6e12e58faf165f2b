"""What tests use to run programs on a disk that fails or is watched."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from tests.trust.disk.shim import Call, Fault, build, read_log

ROOT = Path(__file__).parents[3]
LONGEST = 90.0
COMMAND = "stepwell.cli.main:main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A program, `module:function`, with what it is called with; the shim watches `folder`.

    `powerless` makes the permissions of files hold also for root.
    """

    program: str = COMMAND
    given: tuple[Any, ...] = ()
    arguments: tuple[str, ...] = ()
    folder: Path | None = None
    fault: Fault | None = None
    powerless: bool = False

    def on(self, fault: Fault) -> Job:
        """The same on a disk with this fault."""
        return replace(self, fault=fault)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, what it said, and what it did to the disk."""

    code: int
    out: str
    err: str
    calls: list[Call]

    @property
    def acknowledged(self) -> list[str]:
        """What the program was told is stored."""
        return [call.path for call in self.calls if call.kind == "a"]

    @property
    def faults(self) -> list[Call]:
        """The calls that were made to fail."""
        return [call for call in self.calls if call.kind == "!"]


class Children:
    """Runs programs in processes of their own. Close it."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._number = 0
        self._host = subprocess.Popen(
            [sys.executable, "-m", "tests.trust.disk.host"],
            cwd=ROOT,
            env={**os.environ, "LD_PRELOAD": str(build()), "NO_COLOR": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def run(self, job: Job) -> Ended:
        """Run it to its end."""
        return self.run_all([job])[0]

    def run_all(self, jobs: Sequence[Job]) -> list[Ended]:
        """Run them side by side, to the end of all."""
        orders = [self._order(job) for job in jobs]
        assert self._host.stdin is not None
        self._host.stdin.write(json.dumps(orders) + "\n")
        self._host.stdin.flush()
        codes: list[int] = json.loads(self._answer())
        return [_ended(order, code) for order, code in zip(orders, codes, strict=True)]

    def _order(self, job: Job) -> dict[str, Any]:
        self._number += 1
        names = {
            name: str(self._notes / f"{self._number}.{name}") for name in ("out", "err", "log")
        }
        fault = job.fault
        return {
            "program": job.program,
            "given": job.given,
            "arguments": job.arguments,
            "folder": str(job.folder or ""),
            "fault": (fault.at, fault.number, fault.way) if fault else (0, 0, 0),
            "powerless": job.powerless,
            "cwd": str(self._notes),
            **names,
        }

    def _answer(self) -> str:
        assert self._host.stdout is not None
        ready, _, _ = select.select([self._host.stdout], [], [], LONGEST)
        if not ready:
            self._host.kill()
            raise TimeoutError(f"the programs did not end within {LONGEST:g} s")
        return self._host.stdout.readline().strip()

    def close(self) -> None:
        """End the process that runs the programs."""
        assert self._host.stdin is not None
        assert self._host.stdout is not None
        self._host.stdin.close()
        self._host.wait(timeout=LONGEST)
        self._host.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ended(order: dict[str, Any], code: int) -> Ended:
    out, err, log = (Path(order[name]) for name in ("out", "err", "log"))
    calls = list(read_log(log)) if log.exists() else []
    ended = Ended(code, out.read_text(), err.read_text(), calls)
    for path in (out, err, log):
        path.unlink(missing_ok=True)
    return ended
