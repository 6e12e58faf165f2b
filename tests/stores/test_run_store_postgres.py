"""The run-store suite on a real PostgreSQL, with each plan: the stepwise one is the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.exchange.plan import PlanName
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.run_store import RunStoreSuite
from stepwell.testing.run_store.case import OpenStore


class PostgresSuite(RunStoreSuite):
    plan: ClassVar[PlanName]

    @pytest.fixture
    def open_store(self, postgres_url: str) -> Iterator[OpenStore]:
        stores: list[SqlRunStore] = []

        def connect(clock: VirtualClock) -> SqlRunStore:
            dialect = PostgresDialect(postgres_url, clock=clock, durability="relaxed")
            stores.append(SqlRunStore.open(dialect, plan=self.plan))
            return stores[-1]

        yield connect
        for store in stores:
            store.close()


class TestPostgres(PostgresSuite):
    plan = PlanName.FUSED


class TestPostgresStepwise(PostgresSuite):
    plan = PlanName.STEPWISE
