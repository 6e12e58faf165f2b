"""A package whose code prints in every way there is, wherever it runs."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from sys import stdout as kept

from stepwell import Package, RunBuilder, StepContext

log = logging.getLogger("printing")
log.addHandler(logging.StreamHandler(sys.stdout))
log.propagate = False
log.setLevel(logging.INFO)


def be_noisy(where: str) -> None:
    """Print to stdout: by print, by streams kept from before, by the system, by a program."""
    print(f"noise of print in {where}")  # noqa: T201  # which is what this is for
    kept.write(f"noise of a kept stream in {where}\n")
    if sys.__stdout__ is not None:  # as it is where the caller closed stdout
        sys.__stdout__.write(f"noise of the first stream in {where}\n")
    log.warning("noise of a log in %s", where)
    os.write(1, f"noise of the system in {where}\n".encode())
    subprocess.run(["echo", f"noise of a program in {where}"], check=True)


be_noisy("an import")

printing = Package("printing")


@printing.executor("printing.inline", pool="inline")
def inline(step: StepContext) -> str:
    be_noisy("inline")
    return "inline"


@printing.executor("printing.thread", pool="thread")
def thread(step: StepContext) -> str:
    be_noisy("a thread")
    step.do("inner", be_noisy, "an operation")
    return "thread"


@printing.executor("printing.asyncio")
async def coroutine(step: StepContext) -> str:
    be_noisy("a coroutine")
    await asyncio.to_thread(be_noisy, "a thread of the loop")
    return "asyncio"


@printing.executor("printing.process", pool="process")
def process(step: StepContext) -> str:
    be_noisy("a child")
    return "process"


POOLS = (inline, thread, coroutine, process)
PLACES = (
    "an import",
    "an entrypoint",
    "inline",
    "a thread",
    "an operation",
    "a coroutine",
    "a thread of the loop",
    "a child",
)
WAYS = ("print", "a kept stream", "the first stream", "a log", "the system", "a program")


@printing.entrypoint
def start(run: RunBuilder) -> None:
    be_noisy("an entrypoint")
    for executor in POOLS:
        run.step(executor, id=executor.kind)
