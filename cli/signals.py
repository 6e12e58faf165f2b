"""SIGINT, SIGTERM and SIGHUP: they unwind the program, or first let its workers drain."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from stepwell.cli.deadline import Deadline

if TYPE_CHECKING:
    from stepwell.engine.runtime.runtime import Runtime

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the program to end. A BaseException, so that `except Exception` misses it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


def check_received(received: list[int]) -> None:
    """Raises Interrupted for a received signal whose exception was swallowed."""
    if received:
        raise Interrupted(received[0])


class Drain:
    """Stops a runtime's workers: gracefully at the first signal, at once at the second.

    A third signal ends the process immediately, and leases lapse.
    """

    def __init__(self, runtime: Runtime, grace: float, deadline: Deadline | None = None) -> None:
        self._runtime = runtime
        self._deadline = deadline
        self._grace = grace
        self.received: list[int] = []

    def __call__(self, signum: int, _frame: FrameType | None) -> None:
        self.received.append(signum)
        count = len(self.received)
        if count > 2:
            os._exit(128 + signum)
        if self._deadline is not None:
            self._deadline.told(signum, self._grace if count == 1 else 0)
        told = self._runtime.stop_workers(None if count == 1 else 0)
        if not told:
            # No worker is running: there is nothing to wait for.
            raise Interrupted(signum)
        name = signal.Signals(signum).name
        if count == 1:
            line = f"{name}: running steps may finish within {self._grace:g} s; again stops at once"
        else:
            line = f"{name}: stopping at once; running steps are given back"
        # Not through sys.stderr: the interrupted code may be in the middle of writing to it.
        with suppress(OSError):
            os.write(2, f"{line}\n".encode())


@contextmanager
def unwinding(received: list[int]) -> Iterator[None]:
    """Within the block, each signal raises Interrupted in the main thread.

    Keeps the signals in `received`: modules being imported, and finalizers, may swallow the
    exception or turn it into another one.
    """

    def unwind(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)
        raise Interrupted(signum)

    def ignored(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not Interrupted:
            report(unraisable)

    report, sys.unraisablehook = sys.unraisablehook, ignored
    try:
        with _handled_by(unwind):
            yield
    finally:
        sys.unraisablehook = report


@contextmanager
def draining(
    runtime: Runtime,
    received: list[int],
    grace: float | None = None,
    deadline: Deadline | None = None,
) -> Iterator[Drain]:
    """Within the block, signals drain the runtime's workers; gives those that came.

    Raises Interrupted if one was `received` earlier and swallowed. Reports them to the `deadline`.
    """
    drain = Drain(runtime, runtime.settings.grace if grace is None else grace, deadline)
    with _handled_by(drain):
        check_received(received)
        yield drain


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # Under nohup, SIGHUP is ignored and stays ignored.
    heeded = [
        signum
        for signum in SIGNALS
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN
    ]
    before = {signum: signal.signal(signum, handler) for signum in heeded}
    try:
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)
