"""Executors that try to take their worker with them, each in every pool.

A fault is a function here; `deadly.thread`, `deadly.asyncio` and `deadly.process` run the one that
their input names.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Never

from stepwell import Dependency, Package, Retry, RunBuilder, StepContext

deadly = Package("deadly")

POOLS = ("thread", "asyncio", "process")
NEIGHBOURS = 4
# Two attempts each, so that it shows that the first was counted.
TWICE = Retry(max_attempts=2, wait="fixed", initial=0.01, jitter=0)
MEGABYTE = 1 << 20

FAULTS: dict[str, Callable[[StepContext], Any]] = {}


def fault(name: str) -> Callable[[Callable[[StepContext], Any]], Callable[[StepContext], Any]]:
    """Enter a function in the table of faults."""

    def enter(function: Callable[[StepContext], Any]) -> Callable[[StepContext], Any]:
        FAULTS[name] = function
        return function

    return enter


def say(*words: object) -> None:
    """One line on standard output, in one write, whatever became of `sys.stdout`."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


# --- what raises ---------------------------------------------------------------------------


@fault("sys.exit")
def leave(step: StepContext) -> None:
    sys.exit(3)


@fault("KeyboardInterrupt")
def interrupt(step: StepContext) -> None:
    raise KeyboardInterrupt


@fault("SystemExit in a thread")
def leave_in_a_thread(step: StepContext) -> str:
    def end() -> Never:
        raise SystemExit(3)

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    return "went on"


@fault("SystemExit out of an executor")
def leave_out_of_an_executor(step: StepContext) -> None:
    with ThreadPoolExecutor(1) as executor:
        executor.submit(sys.exit, 3).result()


@fault("GeneratorExit")
def stop_a_generator(step: StepContext) -> None:
    raise GeneratorExit


@fault("RecursionError")
def recurse(step: StepContext) -> None:
    recurse(step)


@fault("MemoryError")
def ask_for_too_much(step: StepContext) -> None:
    bytearray(1 << 60)


class Unspeakable(Exception):
    """Cannot be told in any way."""

    def __str__(self) -> str:
        raise SystemExit("not even this")

    __repr__ = __str__

    def __getattribute__(self, name: str) -> Any:
        if name in ("args", "__notes__", "details"):
            raise KeyboardInterrupt
        return super().__getattribute__(name)


@fault("str raises")
def raise_the_unspeakable(step: StepContext) -> None:
    raise Unspeakable


class Endless(Exception):
    """Its text never ends, and is no text."""

    def __str__(self) -> str:
        return str(self)


@fault("str recurses")
def raise_the_endless(step: StepContext) -> None:
    raise Endless


@fault("a chain of causes")
def raise_with_many_causes(step: StepContext) -> None:
    error: BaseException = ValueError("first")
    for number in range(5_000):
        following = ValueError(f"cause {number}")
        following.__cause__ = error
        error = following
    raise error


# --- what ends a process -------------------------------------------------------------------


@fault("segfault")
def crash(step: StepContext) -> None:
    say("deadly")
    ctypes.string_at(0)


@fault("os._exit")
def exit_at_once(step: StepContext) -> None:
    say("deadly")
    os._exit(3)


@fault("abort")
def abort(step: StepContext) -> None:
    os.abort()


@fault("SIGKILL to itself")
def kill_itself(step: StepContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@fault("closing all descriptors")
def close_everything(step: StepContext) -> None:
    say("deadly")
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


# --- what multiplies -----------------------------------------------------------------------


@fault("fork")
def fork(step: StepContext) -> str:
    """Both return."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        say("the copy ended", status)
        return "the original"
    return "the copy"


@fault("fork that raises")
def fork_and_raise(step: StepContext) -> str:
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        say("the copy ended", status)
        return "the original"
    raise SystemExit(7)


@fault("many threads")
def start_many_threads(step: StepContext) -> int:
    """As many as the run's metadata say, all alive at once."""
    gate = threading.Event()
    before = threading.stack_size(64 * 1024)
    threads: list[threading.Thread] = []
    try:
        for _ in range(step.run.metadata["threads"]):
            thread = threading.Thread(target=gate.wait, daemon=True)
            thread.start()
            threads.append(thread)
    finally:
        threading.stack_size(before)
        gate.set()
        for thread in threads:
            thread.join()
    return len(threads)


# --- what does not end ---------------------------------------------------------------------


@fault("never returning")
def never_return(step: StepContext) -> None:
    while True:
        try:
            time.sleep(600)
        except BaseException:
            continue


@fault("a C call that ignores signals")
def ignore_signals(step: StepContext) -> None:
    """In C, without the interpreter's lock, and deaf to all signals that can be blocked."""
    libc = ctypes.CDLL(None)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        libc.sleep(600)


@fault("a C call that keeps the interpreter")
def keep_the_interpreter(step: StepContext) -> None:
    """In C, with the interpreter's lock: no other thread of the process goes on."""
    libc = ctypes.PyDLL(None)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    say("deadly")
    libc.sleep(600)


# --- what is too large ---------------------------------------------------------------------


@fault("huge output")
def write_much(step: StepContext) -> str:
    line = "x" * 1023 + "\n"
    for _ in range(16):
        sys.stdout.write(line * 1024)
        sys.stderr.write(line * 1024)
    sys.stdout.flush()
    return "written"


@fault("a huge result")
def return_much(step: StepContext) -> list[str]:
    return ["x" * MEGABYTE] * 64


@fault("a huge exception")
def raise_much(step: StepContext) -> None:
    raise ValueError("x" * (64 * MEGABYTE))


@fault("out of memory")
def take_all_memory(step: StepContext) -> None:
    """Until the limit of the process: its own where it has a pool of its own."""
    kept = []
    while True:
        kept.append(bytearray(b"x") * (8 * MEGABYTE))


# --- the graph around them -----------------------------------------------------------------


@deadly.executor("deadly.thread", pool="thread", retry=TWICE)
def in_a_thread(step: StepContext, name: str) -> Any:
    return FAULTS[name](step)


@deadly.executor("deadly.asyncio", pool="asyncio", retry=TWICE)
async def in_a_task(step: StepContext, name: str) -> Any:
    await asyncio.sleep(0)
    return FAULTS[name](step)


@deadly.executor("deadly.process", pool="process", retry=TWICE)
def in_a_process(step: StepContext, name: str) -> Any:
    return FAULTS[name](step)


@deadly.executor("quiet.thread", pool="thread")
def quiet_in_a_thread(step: StepContext, number: int) -> int:
    return number


@deadly.executor("quiet.asyncio", pool="asyncio")
async def quiet_in_a_task(step: StepContext, number: int) -> int:
    await asyncio.sleep(0.001)
    return number


@deadly.executor("quiet.process", pool="process")
def quiet_in_a_process(step: StepContext, number: int) -> int:
    return number


@deadly.entrypoint
def plan(run: RunBuilder, order: dict[str, Any]) -> None:
    """Deadly steps, neighbours of them in the same pool, and a chain that comes after all."""
    pool = order["pool"]
    victims = [
        run.step(f"deadly.{pool}", name, id=name, timeout=order["timeout"], allow_failure=True)
        for name in order["faults"]
    ]
    beside = [
        run.step(f"quiet.{pool}", number, id=f"beside:{number}") for number in range(NEIGHBOURS)
    ]
    ended = [Dependency(victim, "finished") for victim in victims]
    first = run.step(f"quiet.{pool}", 0, id="after", after=[*ended, *beside])
    run.step(f"quiet.{pool}", 1, id="last", after=[first])
