"""Builds the shim, and reads its log."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
ONCE, FOREVER, HALF = range(3)
WAYS = {"once": ONCE, "for ever": FOREVER, "half": HALF}

_HEAD = struct.Struct("<qIHHc7x")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that changed the disk, or tried to.

    `kind` is one of: c(reate), w(rite), s(ync), t(runcate), r(ename), u(nlink), m(ake a folder),
    a(cknowledgement, with its text as the path), - for a call that failed by itself, ! for one
    that was made to fail.
    """

    kind: str
    path: str
    target: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """The `at`-th call, counted from 1, fails with `number`, in this way."""

    at: int
    number: int
    way: int


def build() -> Path:
    """The shim, built once for all test processes of this source."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError(
            "the tests of disk faults need a C compiler; install gcc and libc6-dev, as .ci/run does"
        )
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"stepwell-shim-{os.getuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    built = folder / f"{digest}.so"
    if not built.exists():
        mine = folder / f"{digest}.{os.getpid()}"
        command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(mine), str(SOURCE)]
        command += ["-ldl", "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the shim cannot be built with {compiler}: {done.stderr}")
        mine.replace(built)  # whole, or not there
    return built


def read_log(path: Path) -> Iterator[Call]:
    """The calls, in the order in which they happened."""
    data = path.read_bytes()
    place = 0
    while place < len(data):
        offset, size, first, second, kind = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        texts = data[place : place + first + second]
        place += first + second
        yield Call(
            kind.decode(),
            texts[:first].decode(),
            texts[first:].decode(),
            offset,
            data[place : place + size],
        )
        place += size
