"""What tests use to run programs on a disk that fails or is watched."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.trust.disk.shim import Call, Fault, build, read_log

ROOT = Path(__file__).parents[3]
LONGEST = 60.0


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
    """Runs programs one after another. Close it."""

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

    def run(
        self,
        program: str,
        *given: Any,
        arguments: tuple[str, ...] = (),
        folder: Path | None = None,
        fault: Fault | None = None,
        powerless: bool = False,
    ) -> Ended:
        """Run `module:function` with what is given; the shim watches `folder`.

        `powerless` makes the permissions of files hold also for root.
        """
        self._number += 1
        names = {
            name: str(self._notes / f"{self._number}.{name}") for name in ("out", "err", "log")
        }
        job = {
            "program": program,
            "given": given,
            "arguments": arguments,
            "folder": str(folder or ""),
            "fault": (fault.at, fault.number, fault.way) if fault else (0, 0, 0),
            "powerless": powerless,
            "cwd": str(self._notes),
            **names,
        }
        assert self._host.stdin is not None
        self._host.stdin.write(json.dumps(job) + "\n")
        self._host.stdin.flush()
        code = int(self._answer())
        out, err = (Path(names[name]).read_text() for name in ("out", "err"))
        log = Path(names["log"])
        return Ended(code, out, err, list(read_log(log)) if log.exists() else [])

    def command(self, *arguments: str, **options: Any) -> Ended:
        """Run the command line."""
        return self.run("stepwell.cli.main:main", arguments=arguments, **options)

    def _answer(self) -> str:
        assert self._host.stdout is not None
        ready, _, _ = select.select([self._host.stdout], [], [], LONGEST)
        if not ready:
            self._host.kill()
            raise TimeoutError(f"the program did not end within {LONGEST:g} s")
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
