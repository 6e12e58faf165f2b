"""The supervisor of a worker: a small process that ends whatever the worker has started.

It starts with the first program or child process, and is the parent of the programs: a started
program is always watched, whatever happens to the worker at whatever moment.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.spawn import get_executable
from multiprocessing.util import spawnv_passfds
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

from stepwell.executors import supervising
from stepwell.executors.supervising import FORGET, SIZE

_PROGRAM = Path(supervising.__file__)


class Supervisor:
    """The supervisor of this process. A forked child has none until it needs one."""

    _lock = threading.Lock()
    _line: socket.socket | None = None
    _pid = 0
    # A fork must close this: while it is open there, the end of this process is not noticed.
    _open: ClassVar[WeakSet[socket.socket]] = WeakSet()
    _forking = False

    @classmethod
    def start(cls, body: bytes, streams: Sequence[int]) -> socket.socket:
        """Start a program through the supervisor; returns its channel. Raises OSError."""
        return cls._ask(body, streams)

    @classmethod
    def watch(cls, pid: int) -> socket.socket:
        """Have a child process's group killed when this process ends or the channel closes."""
        return cls._ask(str(pid).encode(), ())

    @classmethod
    def forget(cls, channel: socket.socket) -> None:
        """Stop watching a group."""
        with suppress(OSError):
            channel.send(bytes([FORGET]))
        channel.close()

    @classmethod
    def _ask(cls, body: bytes, streams: Sequence[int]) -> socket.socket:
        ours, theirs = socket.socketpair()
        cls._open.add(ours)
        try:
            with theirs:
                cls._hand_over([theirs.fileno(), *streams])
            ours.sendall(SIZE.pack(len(body)) + body)
        except BaseException:
            ours.close()
            raise
        return ours

    @classmethod
    def _hand_over(cls, descriptors: Sequence[int]) -> None:
        with cls._lock:
            if cls._line is not None:
                try:
                    socket.send_fds(cls._line, [b"+"], descriptors)
                    return
                except (BrokenPipeError, ConnectionError):  # killed from outside
                    cls._leave()
            socket.send_fds(cls._begin(), [b"+"], descriptors)

    @classmethod
    def _begin(cls) -> socket.socket:
        """Start it. It ends with this process, so nothing has to stop it."""
        if not cls._forking:
            cls._forking = True
            os.register_at_fork(after_in_child=cls._fork)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                executable = os.fsencode(get_executable())
                arguments = [str(_PROGRAM), str(theirs.fileno()), str(os.getpid())]
                command = [executable, b"-I", b"-S", *map(os.fsencode, arguments)]
                cls._pid = spawnv_passfds(executable, command, [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        cls._open.add(ours)
        cls._line = ours
        return ours

    @classmethod
    def _leave(cls) -> None:
        if cls._line is not None:
            cls._line.close()
            cls._line = None
        with suppress(ChildProcessError):
            os.waitpid(cls._pid, os.WNOHANG)

    @classmethod
    def _fork(cls) -> None:
        cls._lock = threading.Lock()
        for each in tuple(cls._open):
            each.close()
        cls._open = WeakSet()
        cls._line = None
