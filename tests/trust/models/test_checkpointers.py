"""The machine of checkpointers on every backend we ship."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from stepwell import open_checkpointer
from stepwell.stores.checkpoints.memory import MemoryCheckpointer
from stepwell.testing.checkpointers.case import OpenCheckpointer
from tests.trust.models.checkpoints import CheckpointMachine
from tests.trust.models.state_machines import play

EXAMPLES = {"memory": 40, "file": 30, "sqlite": 20, "postgres": 15}


@pytest.fixture(params=EXAMPLES)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opener(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> OpenCheckpointer:
    if backend == "memory":
        only = MemoryCheckpointer()
        return lambda: only
    urls = {"file": f"file://{tmp_path / 'kept'}", "sqlite": f"sqlite:///{tmp_path / 'kept.db'}"}
    url = urls.get(backend) or str(request.getfixturevalue("postgres_url"))
    return partial(open_checkpointer, url)


@pytest.mark.timeout(7_200)
def test_a_checkpointer_does_what_a_dict_does(
    backend: str, opener: OpenCheckpointer, scale: float
) -> None:
    class Machine(CheckpointMachine):
        open_checkpointer = staticmethod(opener)
        shared = backend != "memory"

    play(Machine, EXAMPLES[backend], 25, scale)
