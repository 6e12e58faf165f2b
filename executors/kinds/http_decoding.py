"""Decodes the content encodings of a complete body: gzip and deflate."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from stepwell.executors.kinds.spool import Spool

# What a request accepts by default.
ACCEPTED = "gzip, deflate"

_GZIP, _ZLIB, _RAW = 31, 15, -15
_CHUNK = 256 * 1024
_PLAIN = ("identity", "")


class Undecodable(Exception):
    """The bytes do not have the declared encoding."""


def encodings_of(header: str) -> list[str]:
    """The encodings of a body, in the order in which they were applied."""
    names = [name.strip().lower() for name in header.split(",")]
    return [name for name in names if name not in _PLAIN]


def decode(body: Spool, encodings: list[str], out: Spool) -> None:
    """Write the decoded body to `out`, up to its limit. Raises Undecodable."""
    pieces: Iterable[bytes] = body.pieces()
    for name in reversed(encodings):
        if name in ("gzip", "x-gzip"):
            pieces = _gunzipped(pieces)
        elif name == "deflate":
            pieces = _inflated(pieces)
        else:
            raise Undecodable(name)
    try:
        for piece in pieces:
            out.write(piece)
            if out.truncated:
                return  # the limit is reached, whatever remains
    except zlib.error as error:
        raise Undecodable(str(error)) from None


def _gunzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress one member after the other; bytes after the last one are padding."""
    unpacker = zlib.decompressobj(_GZIP)
    for piece in pieces:
        rest = piece
        while rest:
            if unpacker.eof:
                if not rest.startswith(b"\x1f"):
                    return
                unpacker = zlib.decompressobj(_GZIP)
            yield from _unpacked(unpacker, rest)
            rest = unpacker.unused_data
    if not unpacker.eof:
        raise Undecodable("it ends too early")


def _inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress with zlib's two-byte header, as specified, or without it, as is common."""
    unpacker = None
    for piece in pieces:
        if unpacker is None:
            wrapped = piece[0] & 15 == 8 and int.from_bytes(piece[:2], "big") % 31 == 0
            unpacker = zlib.decompressobj(_ZLIB if wrapped else _RAW)
        yield from _unpacked(unpacker, piece)
    if unpacker is None or not unpacker.eof:
        raise Undecodable("it ends too early")


def _unpacked(unpacker: zlib._Decompress, piece: bytes) -> Iterator[bytes]:
    """Decompress in bounded pieces: a few bytes may become very many."""
    while not unpacker.eof:
        data = unpacker.decompress(piece, _CHUNK)
        piece = unpacker.unconsumed_tail
        yield data
        if not piece and len(data) < _CHUNK:
            break
