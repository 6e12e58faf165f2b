"""One running program with all it starts, in a session of its own."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from stepwell.engine.clock import Clock
from stepwell.executors.kinds.spool import Spool

EXITED, TIMED_OUT, CANCELED = "exited", "timed out", "canceled"

_CHUNK = 64 * 1024
# Longer than that `select` need not wait, and cannot wait for any time, in seconds.
_LONGEST_LOOK = 3_600.0


class Command:
    """A started program. Raises OSError when it cannot be started.

    `watch` has to be called, once; `cancel` may be called from any thread at any time.
    """

    def __init__(
        self, argv: Sequence[str], cwd: Path | None, env: Mapping[str, str], stdin: str
    ) -> None:
        with tempfile.TemporaryFile() as text:
            text.write(stdin.encode())
            text.seek(0)
            self._process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=text,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        self._bell, self._rope = os.pipe()
        self._lock = threading.Lock()
        self._open = True
        self._canceled = False
        self._exited = threading.Event()
        threading.Thread(target=self._wait, name="stepwell-command", daemon=True).start()

    @property
    def exit_code(self) -> int:
        """The exit code, or minus the signal that killed the program."""
        return self._process.wait()

    def cancel(self) -> None:
        """Have the program and all it started killed by the thread that watches."""
        self._canceled = True
        self._ring()

    def watch(
        self, out: Spool, err: Spool, timeout: float | None, grace: float, clock: Clock
    ) -> str:
        """Copy the output until the program ended; returns how that came.

        What it left running in the background may go on, unless it was canceled or timed out.
        """
        deadline = None if timeout is None else clock.monotonic() + timeout
        end = EXITED
        with selectors.DefaultSelector() as selector:
            selector.register(self._bell, selectors.EVENT_READ, None)
            for pipe, spool in ((self._process.stdout, out), (self._process.stderr, err)):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    selector.register(pipe, selectors.EVENT_READ, spool)
            try:
                while not self._exited.is_set():
                    left = None if deadline is None else max(0.0, deadline - clock.monotonic())
                    events = selector.select(None if left is None else min(left, _LONGEST_LOOK))
                    self._copy(selector, events)
                    if self._exited.is_set():
                        break
                    if end != EXITED:
                        if not left:
                            self._signal(signal.SIGKILL)
                            deadline = None
                    elif self._canceled or left == 0.0:
                        end = CANCELED if self._canceled else TIMED_OUT
                        self._signal(signal.SIGTERM)
                        deadline = clock.monotonic() + grace
                if end != EXITED:
                    self._signal(signal.SIGKILL)  # what it started and left behind
                self._copy(selector, selector.select(0))
            except BaseException:  # nobody reads its output any more, so it might never end
                self._signal(signal.SIGKILL)
                raise
            finally:
                self._close()
        return end

    def _copy(
        self,
        selector: selectors.BaseSelector,
        events: Sequence[tuple[selectors.SelectorKey, int]],
    ) -> None:
        for key, _ in events:
            if key.data is None:
                os.read(self._bell, 1024)
                continue
            while data := _read(key.fd):
                key.data.write(data)
                if not self._exited.is_set():
                    break  # fairly: the other pipe, the bell and the deadline have their turn
            if data == b"":
                selector.unregister(key.fileobj)

    def _wait(self) -> None:
        # Not reaped here: as long as it is a zombie, its process group cannot be another's.
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._exited.set()
        self._ring()

    def _ring(self) -> None:
        with self._lock:
            if self._open:
                os.write(self._rope, b"!")

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _close(self) -> None:
        self._process.wait()
        with self._lock:
            self._open = False
            os.close(self._rope)
            os.close(self._bell)
        pipe: IO[bytes] | None
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _read(fd: int) -> bytes | None:
    """What is there, b"" at the end, None when there is nothing yet."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return None
