"""A worker in a process of its own, for tests that kill it: runs one run of one step.

python worker_program.py HOME KIND INPUT
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from stepwell import Package, RunBuilder, StepContext, connect
from tests.executors import bodies

sample = Package("sample")


@sample.executor("sample.forking")
def fork_and_run(step: StepContext, input: list[str]) -> None:
    """Leave a copy of the worker behind, which lives on, and emit a program."""
    path, *argv = input
    step.emit("shell.run", {"argv": argv})
    copy = os.fork()
    if not copy:
        signal.pause()
    Path(path).write_text(f"{copy}\n")


@sample.entrypoint
def start(run: RunBuilder, input: list[object]) -> None:
    run.step(str(input[0]), input[1], id="it")


if __name__ == "__main__":
    home, kind, text = sys.argv[1:]
    with connect(
        f"sqlite:///{home}/engine.db", home=home, packages=[sample, bodies.pack]
    ) as runtime:
        run = runtime.start_run("sample", [kind, json.loads(text)])
        runtime.drain(run.id, timeout=600)
