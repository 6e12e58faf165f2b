from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.run_store import RunStoreSuite, TransientRunStoreSuite
from stepwell.testing.run_store.case import OpenStore


class TestSqliteFile(RunStoreSuite):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        def open_file(clock: VirtualClock) -> SqlRunStore:
            return SqlRunStore.open(SqliteDialect(tmp_path / "engine.db", clock=clock))

        return open_file


class TestSqliteMemory(TransientRunStoreSuite):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        def open_memory(clock: VirtualClock) -> SqlRunStore:
            return SqlRunStore.open(SqliteDialect(None, clock=clock))

        return open_memory


def test_no_topic_of_the_suite_hides_a_test_of_another() -> None:
    names = Counter(
        name for topic in RunStoreSuite.__mro__ for name in vars(topic) if name.startswith("test_")
    )

    assert [name for name, count in names.items() if count > 1] == []
