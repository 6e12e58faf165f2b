"""One running program with all it starts, in a session of its own."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from stepwell.engine.clock import Clock
from stepwell.executors.kinds.spool import Spool
from stepwell.executors.supervising import ANSWER, ENDED, NO_FOLDER, STARTED, packed, received
from stepwell.executors.supervisor import Supervisor

EXITED, TIMED_OUT, CANCELED = "exited", "timed out", "canceled"

_CHUNK = 64 * 1024
# Longer than that `select` need not wait, and cannot wait for any time, in seconds.
_LONGEST_LOOK = 3_600.0


class Unwatched(Exception):
    """The supervisor ended; what it watched over was killed."""


class Command:
    """A started program. Raises OSError when it cannot be started, or Unwatched.

    It ends with the block it is used in, and with this process. `watch` may be called once;
    `cancel` may be called from any thread at any time.
    """

    def __init__(
        self, argv: Sequence[str], cwd: Path | None, env: Mapping[str, str], stdin: str | BinaryIO
    ) -> None:
        self._lock = threading.Lock()
        self._open = True
        self._canceled = False
        self._exit_code: int | None = None
        with ExitStack() as on_failure:
            # All that may be short is there before the program is.
            self._wake_read, self._wake_write = _pipe(on_failure)
            self._out, out = _pipe(on_failure)
            self._err, err = _pipe(on_failure)
            with tempfile.TemporaryFile() as text:
                _fill(text, stdin)
                body = packed(
                    os.fsencode(cwd) if cwd is not None else _here(),
                    [os.fsencode(word) for word in argv],
                    {os.fsencode(name): os.fsencode(value) for name, value in env.items()},
                )
                try:
                    self._channel = Supervisor.start(body, (text.fileno(), out, err))
                except ConnectionError:
                    raise Unwatched("the process that watches over programs ended") from None
            on_failure.callback(self._channel.close)
            self._pid = self._started(argv[0], cwd)
            on_failure.pop_all()
        os.close(out)
        os.close(err)

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give everything back; a program that runs is killed, as nobody watches it any more."""
        with self._lock:
            self._open = False
            for end in (self._wake_read, self._wake_write, self._out, self._err):
                os.close(end)
            self._channel.close()

    @property
    def exit_code(self) -> int:
        """The exit code, or minus the signal that killed the program, once it was watched."""
        return 0 if self._exit_code is None else self._exit_code

    def cancel(self) -> None:
        """Have the program and all it started killed by the thread that watches."""
        self._canceled = True
        with self._lock:
            if self._open:
                os.write(self._wake_write, b"!")

    def watch(
        self, out: Spool, err: Spool, timeout: float | None, grace: float, clock: Clock
    ) -> str:
        """Copy the output until the program ended; returns how that came. Raises Unwatched.

        What it left running in the background is killed then, and so is all of it after a cancel
        or the timeout, or when its output cannot be copied.
        """
        deadline = None if timeout is None else clock.monotonic() + timeout
        end = EXITED
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ, None)
            selector.register(self._channel, selectors.EVENT_READ, None)
            for pipe, spool in ((self._out, out), (self._err, err)):
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ, spool)
            while not self._has_ended():
                left = None if deadline is None else max(0.0, deadline - clock.monotonic())
                events = selector.select(None if left is None else min(left, _LONGEST_LOOK))
                self._copy(selector, events)
                if self._has_ended():
                    break
                if end != EXITED:
                    if not left:
                        self._signal(signal.SIGKILL)
                        deadline = None
                elif self._canceled or left == 0.0:
                    end = CANCELED if self._canceled else TIMED_OUT
                    self._signal(signal.SIGTERM)
                    deadline = clock.monotonic() + grace
            self._copy(selector, selector.select(0))
        return end

    def _has_ended(self) -> bool:
        return self._exit_code is not None

    def _started(self, program: str, cwd: Path | None) -> int:
        """The number of the program, once the supervisor started it."""
        answer = received(self._channel, ANSWER.size)
        if answer is None:
            raise Unwatched("the process that watches over programs ended")
        word, number = ANSWER.unpack(answer)
        if word != STARTED:
            raise OSError(number, os.strerror(number), str(cwd) if word == NO_FOLDER else program)
        return int(number)

    def _copy(
        self,
        selector: selectors.BaseSelector,
        events: Sequence[tuple[selectors.SelectorKey, int]],
    ) -> None:
        """Take what is there: first whether it ended, so that none of its output is missed."""
        if any(key.fileobj is self._channel for key, _ in events):
            self._hear()
            selector.unregister(self._channel)
        for key, _ in selector.select(0) if self._has_ended() else events:
            if key.data is None:
                if key.fd == self._wake_read:
                    os.read(self._wake_read, 1024)
                continue
            while data := _read(key.fd):
                key.data.write(data)
                if not self._has_ended():
                    break  # fairly: the other pipe, the waking and the deadline have their turn
            if data == b"":
                selector.unregister(key.fileobj)

    def _hear(self) -> None:
        answer = received(self._channel, ANSWER.size)
        word, number = (b"", 0) if answer is None else ANSWER.unpack(answer)
        if word != ENDED:
            # Where there is no death signal, its group is left to us.
            with suppress(OSError):
                os.killpg(self._pid, signal.SIGKILL)
            raise Unwatched("the process that watches over programs ended, and they were killed")
        self._exit_code = number

    def _signal(self, number: int) -> None:
        with suppress(OSError):  # it has just ended
            self._channel.send(bytes([number]))


def _pipe(on_failure: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        on_failure.callback(os.close, end)
    return ends


def _fill(text: BinaryIO, stdin: str | BinaryIO) -> None:
    """Make a file of what the program is to read: it gets the file, and cannot hold us up."""
    if isinstance(stdin, str):
        text.write(stdin.encode())
    else:
        shutil.copyfileobj(stdin, text)
    text.seek(0)


def _here() -> bytes:
    """The working folder; where it was deleted, the supervisor's own."""
    try:
        return os.getcwdb()
    except FileNotFoundError:
        return b""


def _read(fd: int) -> bytes | None:
    """What is there, b"" at the end, None when there is nothing yet."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return None
