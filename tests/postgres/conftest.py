"""Workers as real processes on a real server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stepwell import Runtime, connect
from tests.postgres.server import OwnServer, own_server
from tests.postgres.worker_program import sample

PROGRAM = Path(__file__).with_name("worker_program.py")
PATIENCE = 60


class WorkerProcess:
    """A worker of the sample; what it logs goes to a file."""

    def __init__(self, url: str, home: Path, log: Path, settings: dict[str, float]) -> None:
        given = [f"{name}={value}" for name, value in settings.items()]
        self.log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), url, str(home), *given],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", log.read_text()

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> list[str]:
        """What it logged."""
        return self.log.read_text().splitlines()

    def close(self) -> int:
        """Let it end; its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


Spawn = Callable[..., WorkerProcess]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts workers: `spawn(url, lease=2)`; they are ended with the test."""
    workers: list[WorkerProcess] = []

    def start(url: str, **settings: float) -> WorkerProcess:
        log = tmp_path / f"worker-{len(workers)}.log"
        workers.append(WorkerProcess(url, tmp_path, log, settings))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def runtime(postgres_url: str, tmp_path: Path) -> Iterator[Runtime]:
    """Starts runs and looks; does no work."""
    with connect(postgres_url, home=tmp_path, packages=[sample]) as runtime:
        yield runtime


@pytest.fixture
def server() -> Iterator[OwnServer]:
    """A server for this test alone."""
    with own_server() as server:
        yield server
