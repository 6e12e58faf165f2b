"""A package of small steps that leave traces, and a program that is a worker on it.

`python worker_program.py STORE_URL HOME [SETTING=VALUE …]` prints `ready`, works until its standard
input ends, and writes its log to standard error.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
from pathlib import Path

from stepwell import Package, RunBuilder, StepContext, connect

sample = Package("sample")


@sample.executor("sample.cut")
def cut(n: int) -> int:
    """A step that does next to nothing."""
    return n + 1


@sample.executor("sample.turn")
def turn(step: StepContext, log: str) -> None:
    """A step that takes a moment; leaves a line when it begins and one when it ends."""
    with Path(log).open("ab", buffering=0) as file:
        file.write(f"+ {os.getpid()}\n".encode())
        hashlib.pbkdf2_hmac("sha256", step.step.id.encode(), b"", 40_000)
        file.write(f"- {os.getpid()}\n".encode())


@sample.entrypoint(name="many")
def many(run: RunBuilder, count: int) -> None:
    """`count` steps that wait for nothing."""
    for number in range(count):
        run.step(cut, number, id=f"cut:{number}")


@sample.entrypoint(name="chain")
def chain(run: RunBuilder, count: int) -> None:
    """One step after the other."""
    before = run.step(cut, 0, id="cut:0")
    for number in range(1, count):
        before = run.step(cut, number, id=f"cut:{number}", after=[before])


@sample.entrypoint(name="turned")
def turned(run: RunBuilder, order: dict[str, str]) -> None:
    """`count` steps in `queue`, which write to `log`."""
    for number in range(int(order["count"])):
        run.step(turn, order["log"], id=f"turn:{number}", queue=order["queue"])


def main() -> None:
    store, home, *given = sys.argv[1:]
    settings = {"poll_interval": 0.5, "threads": 4}
    settings |= {name: float(value) for name, _, value in (pair.partition("=") for pair in given)}
    settings["threads"] = int(settings["threads"])
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    stop = threading.Event()

    def watch_input() -> None:
        sys.stdin.read()
        stop.set()
        runtime.stop_workers()  # does not wait for the end of a cycle

    with connect(store, home=home, packages=[sample], settings=settings) as runtime:
        threading.Thread(target=watch_input, daemon=True).start()
        os.write(1, b"ready\n")
        runtime.start_workers(stop=stop)


if __name__ == "__main__":
    main()
