"""A worker in a process of its own: `python -m tests.trust.clocks.worker_program STORE HOME LEASE`.

Says `ready`, then what its steps say, and works until SIGTERM or SIGINT; then it says how long its
steps had, as any worker, and ends with 0.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from stepwell import Package, RunBuilder, Runtime, StepContext, connect

sample = Package("sample")
MOST = 1_000  # leases that a step may lose: here it is never its own fault


def say(*words: object) -> None:
    """One line in one write, so that lines of many threads stay whole."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


@sample.executor("sample.grind")
def grind(step: StepContext, milliseconds: int) -> str:
    """A short piece of work, which says that it began."""
    say("body", step.step.id, step.attempt)
    step.record("squares", step.step.id, {"attempt": step.attempt})
    # The work. Not time.sleep, which a process with a clock of its own may not be able to do.
    threading.Event().wait(milliseconds / 1000)
    return step.step.id


@sample.executor("sample.gate")
def gate(step: StepContext, pipe: str) -> str:
    """Says that it waits, then reads its attempt's pipe, which blocks until somebody writes."""
    say("waiting", step.attempt)
    with open(f"{pipe}-{step.attempt}") as words:
        word = words.readline().strip()
    say("through", step.attempt)
    return word


@sample.entrypoint
def plan(run: RunBuilder, order: dict[str, Any]) -> None:
    """Chains side by side and one step after all; or a gate and one step after it."""
    if "pipe" in order:
        ends = [run.step(gate, order["pipe"], id="gate")]
    else:
        ends = []
        for chain in range(order["chains"]):
            before = [run.step(grind, order["ms"], id=f"{chain}:0")]
            for link in range(1, order["links"]):
                before = [run.step(grind, order["ms"], id=f"{chain}:{link}", after=before)]
            ends += before
    run.step(grind, 0, id="last", after=ends)


def opened(store: str, home: str, lease: float = 30) -> Runtime:
    """The store of a test."""
    settings = {
        "lease": lease,
        "poll_interval": 0.05,
        "threads": 2,
        "grace": 10,
        "max_lost_leases": MOST,
    }
    return connect(store, home=home, packages=[sample], settings=settings)


def main(store: str, home: str, lease: str) -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened(store, home, float(lease)) as runtime:
        say("ready")
        runtime.start_workers(stop=stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
