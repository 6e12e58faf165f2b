from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stepwell import Runtime
from tests.trust.clocks.worker_process import WorkerProcess
from tests.trust.clocks.worker_program import opened

Spawn = Callable[..., WorkerProcess]


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, on each backend."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'engine.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def runtime(store: str, tmp_path: Path) -> Iterator[Runtime]:
    with opened(store, str(tmp_path)) as runtime:
        yield runtime


@pytest.fixture
def spawn(store: str, tmp_path: Path) -> Iterator[Spawn]:
    workers: list[WorkerProcess] = []

    def start(lease: float, **environment: str) -> WorkerProcess:
        workers.append(WorkerProcess(store, tmp_path, lease, environment))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


@pytest.fixture
def pipes(tmp_path: Path) -> list[Path]:
    """One for each of the first two attempts of a gate."""
    paths = [tmp_path / f"pipe-{attempt}" for attempt in (1, 2)]
    for path in paths:
        os.mkfifo(path)
    return paths
