"""How a test hears what happens in other processes."""

import os
import select
from pathlib import Path

from tests.executors.fakes import PATIENCE


class Fifo:
    """A FIFO that bodies in other processes write lines to."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        # Read and write, so that it never ends while nobody writes.
        self._file = os.fdopen(os.open(path, os.O_RDWR), "rb", buffering=0)

    def line(self) -> str:
        ready, _, _ = select.select([self._file], [], [], PATIENCE)
        assert ready, "nothing was told"
        return self._file.readline().decode().strip()

    def close(self) -> None:
        self._file.close()


def wait_until_gone(pid: int) -> None:
    """Return when a process that is not ours to reap has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([handle], [], [], PATIENCE)
        assert ready, f"process {pid} is still there"
    finally:
        os.close(handle)
