"""A running program with everything it starts, in its own session."""

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
# The longest wait of `select`, in seconds; it does not accept every number.
_LONGEST_LOOK = 3_600.0


class Unwatched(Exception):
    """The supervisor ended, and its programs were killed."""


class Command:
    """A started program. Raises OSError if it cannot be started, or Unwatched.

    It ends with its `with` block, and with this process. `watch` may be called once; `cancel` may
    be called from any thread at any time.
    """

    def __init__(
        self, argv: Sequence[str], cwd: Path | None, env: Mapping[str, str], stdin: str | BinaryIO
    ) -> None:
        self._lock = threading.Lock()
        self._open = True
        self._canceled = False
        self._exit_code: int | None = None
        with ExitStack() as on_failure:
            # Acquire all scarce resources before the program starts.
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
        """Release everything; kill a program that still runs, since nothing watches it any more."""
        with self._lock:
            self._open = False
            for end in (self._wake_read, self._wake_write, self._out, self._err):
                os.close(end)
            self._channel.close()

    @property
    def exit_code(self) -> int:
        """The exit code, or minus the signal that killed the program; known after `watch`."""
        return 0 if self._exit_code is None else self._exit_code

    def cancel(self) -> None:
        """Let the watching thread kill the program and everything it started."""
        self._canceled = True
        with self._lock:
            if self._open:
                os.write(self._wake_write, b"!")

    def watch(
        self, out: Spool, err: Spool, timeout: float | None, grace: float, clock: Clock
    ) -> str:
        """Copy the output until the program ends; returns how it ended. Raises Unwatched.

        Kills what it leaves running in the background; and kills everything after a cancel, at the
        timeout, or if its output cannot be copied.
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
        """The process id of the program, after the supervisor has started it."""
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
        """Read available output; checks for the end first, so that no output is missed."""
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
                    break  # in turn with the other pipe, the wakeup and the deadline
            if data == b"":
                selector.unregister(key.fileobj)

    def _hear(self) -> None:
        answer = received(self._channel, ANSWER.size)
        word, number = (b"", 0) if answer is None else ANSWER.unpack(answer)
        if word != ENDED:
            # Without a death signal, its group is left to us.
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
    """Write the program's stdin to a file, so that a program that does not read cannot block us."""
    if isinstance(stdin, str):
        text.write(stdin.encode())
    else:
        shutil.copyfileobj(stdin, text)
    text.seek(0)


def _here() -> bytes:
    """The working folder, or the supervisor's own if it was deleted."""
    try:
        return os.getcwdb()
    except FileNotFoundError:
        return b""


def _read(fd: int) -> bytes | None:
    """The available bytes, b"" at the end, None if there are none yet."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return None
