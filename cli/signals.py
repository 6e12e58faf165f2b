"""SIGINT, SIGTERM and SIGHUP: unwind the program, or first let its workers drain."""

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
    """A signal asked the program to end; derived so that `except Exception` lets it pass."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


def check_received(received: list[int]) -> None:
    """Raises Interrupted for a signal that came before, though its exception was swallowed."""
    if received:
        raise Interrupted(received[0])


class Drain:
    """Tells a runtime's workers to stop: at the first signal in peace, at the second at once.

    A third one ends the process where it stands, and leases lapse.
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
            # Nobody works yet, or any more: there is nothing to wait for.
            raise Interrupted(signum)
        name = signal.Signals(signum).name
        if count == 1:
            line = f"{name}: running steps may finish within {self._grace:g} s; again stops at once"
        else:
            line = f"{name}: stopping at once; running steps are given back"
        # Not through sys.stderr, which the interrupted code may be writing to right now.
        with suppress(OSError):
            os.write(2, f"{line}\n".encode())


@contextmanager
def unwinding(received: list[int]) -> Iterator[None]:
    """Within the block each signal raises Interrupted in the main thread.

    Keeps what was `received`: code that is being imported, and finalizers, may swallow whatever is
    raised in them, or make another error of it.
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
    """Within the block the signals drain the runtime's workers; says which ones came.

    Raises Interrupted if one was `received` before and swallowed. The `deadline` is told of them.
    """
    drain = Drain(runtime, runtime.settings.grace if grace is None else grace, deadline)
    with _handled_by(drain):
        check_received(received)
        yield drain


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    # Under nohup SIGHUP is ignored, and stays so.
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
