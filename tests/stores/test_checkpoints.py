"""The checkpointer suite on every backend we ship, and on a plain one."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import psycopg
import pytest

from stepwell import (
    Checkpoint,
    NoCheckpoint,
    dump_checkpoint,
    open_checkpointer,
    parse_checkpoint,
)
from stepwell.engine.checkpoints.checkpoint import Checkpointer
from stepwell.stores.checkpoints.memory import MemoryCheckpointer
from stepwell.testing.checkpointers import (
    CheckpointerSuite,
    OpenCheckpointer,
    SharedCheckpointerSuite,
)


class DictCheckpointer:
    """Somebody else's, with three methods and nothing more."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._texts[checkpoint.execution_id] = dump_checkpoint(checkpoint)

    def load_checkpoint(self, execution_id: str) -> Checkpoint:
        if execution_id not in self._texts:
            raise NoCheckpoint(f"no checkpoint of {execution_id!r}")
        return parse_checkpoint(self._texts[execution_id])

    def delete_checkpoint(self, execution_id: str) -> None:
        self._texts.pop(execution_id, None)


def always(checkpointer: Checkpointer) -> OpenCheckpointer:
    return lambda: checkpointer


class TestThreeMethods(CheckpointerSuite):
    @pytest.fixture
    def open_checkpointer(self) -> OpenCheckpointer:
        return always(DictCheckpointer())


class TestMemory(CheckpointerSuite):
    @pytest.fixture
    def open_checkpointer(self) -> OpenCheckpointer:
        return always(MemoryCheckpointer())


class TestFile(SharedCheckpointerSuite):
    @pytest.fixture
    def open_checkpointer(self, tmp_path: Path) -> OpenCheckpointer:
        return partial(open_checkpointer, f"file://{tmp_path / 'checkpoints'}")


class TestSqlite(SharedCheckpointerSuite):
    @pytest.fixture
    def open_checkpointer(self, tmp_path: Path) -> OpenCheckpointer:
        return partial(open_checkpointer, f"sqlite:///{tmp_path / 'engine.db'}")


class TestPostgres(SharedCheckpointerSuite):
    @pytest.fixture
    def open_checkpointer(self, postgres_url: str) -> OpenCheckpointer:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("TRUNCATE checkpoints CASCADE")
        return partial(open_checkpointer, postgres_url)


def test_no_topic_of_the_suite_hides_a_test_of_another() -> None:
    names = Counter(
        name
        for topic in SharedCheckpointerSuite.__mro__
        for name in vars(topic)
        if name.startswith("test_")
    )

    assert [name for name, count in names.items() if count > 1] == []
