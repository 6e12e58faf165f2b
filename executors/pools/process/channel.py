"""Frames over the connection between a worker and its child, to which a body could also write.

A frame is a mark, a size and as many bytes. The mark distinguishes frames from what a body writes
to a file descriptor that it found open; the size is checked before anything is kept.
"""

from __future__ import annotations

import os
import struct
from multiprocessing.connection import Connection

from stepwell.engine.settings import Settings

_HEAD = struct.Struct("!8sQ")
_MARK = b"\xffstepw\x00\x01"
_CHUNK = 1 << 16
# How much a step may hand over besides its result, in bytes: records, emissions, artifacts.
ROOM = 1 << 30


class Garbled(Exception):
    """The bytes on the connection were not sent by the other end."""


def frame_limit(settings: Settings) -> int:
    """The largest frame, in bytes: one payload, one inline artifact, and `ROOM` for the rest."""
    return ROOM + settings.payload_limit + settings.inline_limit


def framed(body: bytes) -> bytes:
    """The bytes that go over the connection for `body`."""
    return _HEAD.pack(_MARK, len(body)) + body


class Incoming:
    """Assembles frames from the pieces in which they arrive."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def add(self, piece: bytes) -> None:
        self._bytes += piece

    def take(self) -> bytes | None:
        """The next complete frame, or None until more of it arrives. Raises Garbled."""
        head = bytes(self._bytes[: _HEAD.size])
        if not head.startswith(_MARK[: len(head)]):
            raise Garbled("bytes that are no message")
        if len(head) < _HEAD.size:
            return None
        _, size = _HEAD.unpack(head)
        if size > self._limit:
            raise Garbled(f"a message of {size:,} bytes; the limit is {self._limit:,}")
        end = _HEAD.size + size
        if len(self._bytes) < end:
            return None
        frame = bytes(self._bytes[_HEAD.size : end])
        del self._bytes[:end]
        return frame


class PatientEnd:
    """The child's end: waits until a frame has arrived, or has been sent."""

    def __init__(self, connection: Connection, limit: int) -> None:
        self._connection = connection
        self._incoming = Incoming(limit)
        # Programs that a body starts by other means than `subprocess` must not inherit it either.
        os.set_inheritable(connection.fileno(), False)

    def send(self, body: bytes) -> None:
        """Send a frame. Raises OSError when the connection is closed."""
        rest = memoryview(framed(body))
        while rest:
            rest = rest[os.write(self._connection.fileno(), rest) :]

    def receive(self) -> bytes:
        """The next frame. Raises EOFError when the other end is gone, OSError, or Garbled."""
        while (frame := self._incoming.take()) is None:
            piece = os.read(self._connection.fileno(), _CHUNK)
            if not piece:
                raise EOFError
            self._incoming.add(piece)
        return frame

    def close(self) -> None:
        self._connection.close()


class NimbleEnd:
    """The worker's end: never waits, whatever the child does or fails to do."""

    def __init__(self, connection: Connection, limit: int) -> None:
        self._connection = connection
        self._incoming = Incoming(limit)
        self._unsent = memoryview(b"")
        os.set_blocking(connection.fileno(), False)

    def fileno(self) -> int:
        return self._connection.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` has to be called again once the connection takes more."""
        return bool(self._unsent)

    @property
    def has_unread(self) -> bool:
        """Whether bytes have arrived that were not received yet."""
        return bool(self._incoming)

    def send(self, body: bytes) -> None:
        """Send as much of a frame as the connection takes. If the other end is gone, it is lost."""
        self._unsent = memoryview(bytes(self._unsent) + framed(body))
        self.flush()

    def flush(self) -> None:
        """Send more of what is unsent."""
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self.fileno(), self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = memoryview(b"")

    def receive(self) -> bytes | None:
        """A complete frame, or None. Raises EOFError at the end, or Garbled."""
        while (frame := self._incoming.take()) is None:
            try:
                piece = os.read(self.fileno(), _CHUNK)
            except BlockingIOError:
                return None
            except OSError as error:  # a reset, as of a child that died with unread bytes
                raise EOFError from error
            if not piece:
                raise EOFError
            self._incoming.add(piece)
        return frame

    def close(self) -> None:
        self._connection.close()
