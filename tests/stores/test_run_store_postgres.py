"""The run-store suite on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.run_store import RunStoreSuite
from stepwell.testing.run_store.case import OpenStore


class TestPostgres(RunStoreSuite):
    @pytest.fixture
    def open_store(self, postgres_url: str) -> Iterator[OpenStore]:
        stores: list[SqlRunStore] = []

        def connect(clock: VirtualClock) -> SqlRunStore:
            stores.append(SqlRunStore.open(PostgresDialect(postgres_url, clock=clock)))
            return stores[-1]

        yield connect
        for store in stores:
            store.close()
