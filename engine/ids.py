"""The only module that makes ids, and the checks that every id passes."""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from stepwell.engine.errors import InvalidInput

MAX_ID_BYTES = 200
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _base32(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, low = divmod(number, 32)
        digits.append(_ALPHABET[low])
    return "".join(reversed(digits))


def new_run_id(micros: int) -> str:
    """Eighteen characters that sort by time: nine for milliseconds, nine random (45 bits)."""
    return _base32(micros // 1000, 9) + _base32(secrets.randbits(45), 9)


def new_worker_id() -> str:
    """Host, process and a random part: readable in a list of workers, and unique."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{_base32(secrets.randbits(20), 4)}"


def artifact_id(run_id: str, step_id: str, name: str) -> str:
    """An id that is the same in every attempt of the step, so that a repetition finds it."""
    digest = hashlib.sha256("\0".join((run_id, step_id, name)).encode()).digest()
    return "a" + _base32(int.from_bytes(digest[:12], "big"), 20)


def child_id(parent: str, name: str) -> str:
    """`parent/name`, or a digest of the parent when that would be too long."""
    full = f"{parent}/{name}"
    if len(full.encode(errors="surrogatepass")) <= MAX_ID_BYTES:
        return full
    return f"{hashlib.sha256(parent.encode()).hexdigest()[:24]}/{name}"


def check_id(value: object, field: str, limit: int = MAX_ID_BYTES) -> str:
    """`value`, if it is a valid id: text of 1 to 200 bytes of UTF-8 without control characters.

    Raises InvalidInput naming `field`.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{field}: must be a string, got {type(value).__name__}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput(
            f"{field}: {value[:40]!a} has a lone surrogate; use valid Unicode text"
        ) from None
    if not 0 < size <= limit:
        got = "an empty string" if size == 0 else f"{size} bytes ({value[:30]!r}…)"
        raise InvalidInput(f"{field}: must have 1 to {limit:,} bytes, got {got}")
    if not value.isprintable():
        bad = next(char for char in value if not char.isprintable())
        raise InvalidInput(f"{field}: {value[:40]!r} has the unprintable character {bad!r}")
    return value


def jitter() -> float:
    """A random number from [0, 1) that spreads retries; tests inject their own source."""
    return random.random()


def seeded(seed: int) -> random.Random:
    """A random source that gives the same numbers for the same seed."""
    return random.Random(seed)


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """In the `with` block, `jitter()` and `random` give the numbers that belong to `seed`."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def execution_id(run_id: str, step_id: str) -> str:
    """One name for a step of a run: `<run id>/<step id>`, with `/` and `%` of the run id escaped.

    No two steps share a name, whatever their ids.
    """
    return f"{run_id.replace('%', '%25').replace('/', '%2F')}/{step_id}"
