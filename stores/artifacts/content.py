"""Checks and reads that all artifact stores share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from stepwell.engine.errors import InvalidInput

CHUNK = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check_digest(sha256: object) -> str:
    """`sha256` if it is 64 lower-case hexadecimal digits; anything else raises InvalidInput."""
    if not isinstance(sha256, str):
        raise InvalidInput(f"sha256: must be a string, got {type(sha256).__name__}")
    if not _DIGEST.fullmatch(sha256):
        got = f"{len(sha256)} characters: {sha256[:70]!a}"
        raise InvalidInput(f"sha256: must be 64 lower-case hexadecimal digits, got {got}")
    return sha256


def chunks(data: bytes | BinaryIO) -> Iterator[memoryview]:
    """The bytes in pieces of at most `CHUNK`; a stream is read from its current position.

    Raises InvalidInput for text. Errors of the stream are passed on unchanged.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK):
            yield view[start : start + CHUNK]
        return
    read = getattr(data, "read", None)
    if read is None:
        raise InvalidInput(f"artifact: must be bytes or a binary stream, got {type(data).__name__}")
    while piece := _piece(read(CHUNK)):
        yield piece


def _piece(got: object) -> memoryview:
    """The result of a stream's `read`, if it is bytes."""
    if isinstance(got, (bytes, bytearray, memoryview)):
        return memoryview(got).cast("B")
    if isinstance(got, str):
        raise InvalidInput("artifact: the stream gives text; open it in binary mode")
    raise InvalidInput(
        f"artifact: the stream gave {type(got).__name__} instead of bytes; use a blocking stream"
    )
