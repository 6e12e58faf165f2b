"""The program of a worker's supervisor: it starts programs for the worker, and ends them with it.

`supervisor.py` runs this file by its path, so it uses only the standard library. The worker sends
one channel for each program or group over a socket. A channel carries

- first, from the worker: what to start or to watch (see `Request`);
- then, from the supervisor: its answers, each an `ANSWER`;
- from the worker: one byte for each signal to send to the group, or `FORGET`.

When a channel closes, its group is killed. When the worker ends, in whatever way, all groups are.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from typing import Any

# The format of an answer: a word, and a number.
ANSWER = struct.Struct("!ci")
STARTED, NOT_STARTED, NO_FOLDER, ENDED = b"s", b"e", b"d", b"x"
# The format of a request's length.
SIZE = struct.Struct("!I")
# The format of the number of arguments; the folder, arguments, names and values follow.
COUNT = struct.Struct("!I")
# In place of a signal: stop watching the group.
FORGET = 0
# A channel for a group to watch; or a channel with the standard streams of a program to start.
STREAMS = 3


class Watched:
    """A process group, by its leader; if it was started here, it has a `program`."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.pid = 0
        self.program: subprocess.Popen[bytes] | None = None
        self.heard = True

    def signal(self, number: int) -> None:
        """Send a signal to the whole group."""
        if self.program is None and number == signal.SIGKILL:
            # The leader first: it may not have created its group yet.
            with suppress(OSError):
                os.kill(self.pid, number)
        with suppress(OSError):
            os.killpg(self.pid, number)

    def answer(self, word: bytes, number: int) -> None:
        """Send an answer to the worker, which has room for these few, or is gone."""
        with suppress(OSError):
            self.channel.send(ANSWER.pack(word, number))


class Supervisor:
    """Serves one worker, over the descriptor `line`."""

    def __init__(self, line: int, worker: int) -> None:
        self._worker = worker
        self._line = socket.socket(fileno=line)
        self._groups: dict[int, Watched] = {}
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Serve the worker until it is gone; then kill all remaining groups."""
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        # Handlers, because programs would inherit ignored signals. Signals that are ignored already
        # (under nohup) stay ignored.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        self._selector.register(self._line, selectors.EVENT_READ, None)
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        # Watches the worker itself: a fork of it may keep the line open.
        lives = self._watch_worker()
        while lives:
            for key, _ in self._selector.select():
                if isinstance(key.data, Watched):
                    self._forward_signals(key.data)
                elif key.fd == wake_read:
                    with suppress(BlockingIOError):
                        os.read(wake_read, 4096)
                    self._reap()
                elif key.fileobj is not self._line or not self._take():
                    lives = False
        for group in self._groups.values():
            group.signal(signal.SIGKILL)

    def _watch_worker(self) -> bool:
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self._selector.register(os.pidfd_open(self._worker), selectors.EVENT_READ, None)
        return os.getppid() == self._worker

    def _take(self) -> bool:
        """Take a request of the worker; False if it is gone."""
        try:
            mark, given, _, _ = socket.recv_fds(self._line, 1, 1 + STREAMS)
        except OSError:
            return False
        if not mark:
            return False
        streams = given[1:]
        try:
            if given:
                self._begin(Watched(socket.socket(fileno=given[0])), streams)
        finally:
            for stream in streams:
                os.close(stream)
        return True

    def _begin(self, group: Watched, streams: list[int]) -> None:
        body = _request(group.channel)
        if body is None:
            group.channel.close()
            return
        if len(streams) != STREAMS:
            group.pid = int(body)
        elif not self._start(group, body, streams):
            group.channel.close()
            return
        group.channel.setblocking(False)
        self._groups[group.channel.fileno()] = group
        self._selector.register(group.channel, selectors.EVENT_READ, group)

    def _start(self, group: Watched, body: bytes, streams: list[int]) -> bool:
        folder, argv, environment = _unpacked(body)
        try:
            group.program = subprocess.Popen(
                argv,
                cwd=folder or None,
                env=environment,
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
                start_new_session=True,
            )
        except OSError as error:
            word = NO_FOLDER if folder and error.filename == folder else NOT_STARTED
            group.answer(word, error.errno or 0)
            return False
        group.pid = group.program.pid
        group.answer(STARTED, group.pid)
        return True

    def _forward_signals(self, group: Watched) -> None:
        """Forward the signals that came over a channel."""
        try:
            numbers = group.channel.recv(64)
        except BlockingIOError:
            return
        except OSError:
            numbers = b""
        if FORGET in numbers:
            self._drop(group)
            return
        for number in numbers or bytes([signal.SIGKILL]):
            group.signal(number)
        if not numbers:
            group.heard = False
            self._selector.unregister(group.channel)
            if group.program is None:
                self._drop(group)

    def _reap(self) -> None:
        """Report ended programs, and kill what they left running."""
        for group in tuple(self._groups.values()):
            if group.program is None:
                continue
            # While the program is a zombie, its group id cannot be reused.
            ended = os.waitid(os.P_PID, group.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if ended is not None:
                group.signal(signal.SIGKILL)
                group.answer(ENDED, group.program.wait())
                self._drop(group)

    def _drop(self, group: Watched) -> None:
        del self._groups[group.channel.fileno()]
        if group.heard:
            self._selector.unregister(group.channel)
        group.channel.close()


def packed(folder: bytes, argv: list[bytes], environment: dict[bytes, bytes]) -> bytes:
    """A request for a program; an empty folder is the supervisor's own."""
    pairs = [text for pair in environment.items() for text in pair]
    return COUNT.pack(len(argv)) + b"\0".join([folder, *argv, *pairs])


def _unpacked(body: bytes) -> tuple[bytes, list[bytes], dict[bytes, bytes]]:
    (count,) = COUNT.unpack_from(body)
    folder, *texts = body[COUNT.size :].split(b"\0")
    pairs = texts[count:]
    return folder, texts[:count], dict(zip(pairs[::2], pairs[1::2], strict=True))


def _request(channel: socket.socket) -> bytes | None:
    """The request on a new channel, or None if the worker died before it was sent."""
    head = received(channel, SIZE.size)
    return None if head is None else received(channel, SIZE.unpack(head)[0])


def received(channel: Any, size: int) -> bytes | None:
    """Exactly `size` bytes, or None if the other end closes first."""
    got = bytearray()
    while len(got) < size:
        try:
            piece = channel.recv(min(size - len(got), 1 << 20))
        except OSError:
            return None
        if not piece:
            return None
        got += piece
    return bytes(got)


def main() -> None:
    """Serve the worker: the arguments are the socket's descriptor and its process id."""
    # Its own session: signals from the terminal, and its hangup, are for the worker.
    with suppress(OSError):
        os.setsid()
    # A command that kills all programs named python should not kill this one.
    with suppress(OSError), open("/proc/self/comm", "w") as name:
        name.write("supervisor")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
    Supervisor(*map(int, sys.argv[1:])).serve()


if __name__ == "__main__":
    main()
