"""A package whose steps say on standard output that they run, and wait where they are told to.

Run as a program it is a worker: `python worker_program.py STORE_URL HOME LEASE`. It prints `ready`,
then what its steps print, and works until its standard input ends.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from pathlib import Path

from stepwell import Package, RunBuilder, StepContext, connect

sample = Package("sample")


def say(*words: object) -> None:
    """One line in one write, so that lines of many threads stay whole."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


@sample.executor("sample.press")
def press(step: StepContext, log: str) -> str:
    """A short piece of work that leaves a line in `log` each time its body runs."""
    digest = hashlib.sha256(step.step.id.encode())
    for _ in range(2_000):
        digest = hashlib.sha256(digest.digest())
    with Path(log).open("a") as file:
        file.write(f"{step.step.id}\n")
    step.record("pressed", step.step.id, {"attempt": step.attempt})
    return digest.hexdigest()


@sample.executor("sample.gate")
def gate(step: StepContext, pipe: str) -> str:
    """Says that it waits, then reads the named pipe, which blocks until somebody writes."""
    say("waiting", step.step.id, step.attempt, os.getpid())
    word = Path(pipe).read_text().strip()
    say("through", step.step.id, step.attempt, os.getpid())
    return word


@sample.entrypoint
def plan(run: RunBuilder, order: dict[str, str]) -> None:
    """`count` presses, and a gate if `pipe` is given, then one more press after all."""
    count = int(order["count"])
    steps = [run.step(press, order["log"], id=f"press:{number}") for number in range(count)]
    if "pipe" in order:
        steps.append(run.step(gate, order["pipe"], id="gate"))
    run.step(press, order["log"], id="last", after=steps)


def main() -> None:
    store, home, lease = sys.argv[1:4]
    settings = {"lease": float(lease), "threads": 4, "poll_interval": 0.1}
    stop = threading.Event()

    def watch_input() -> None:
        sys.stdin.read()
        stop.set()

    with connect(store, home=home, packages=[sample], settings=settings) as runtime:
        threading.Thread(target=watch_input, daemon=True).start()
        say("ready")
        runtime.start_workers(stop=stop)


if __name__ == "__main__":
    main()
