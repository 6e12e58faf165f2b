"""The machine of run stores on every backend we ship."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.exchange.plan import PlanName
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.run_store.case import WallClock
from tests.trust.models.model import NARROW
from tests.trust.models.runs import StoreMachine
from tests.trust.models.state_machines import play

EXAMPLES = {"memory": 40, "sqlite": 10, "postgres-fused": 6, "postgres-stepwise": 6}


@pytest.fixture(params=EXAMPLES)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def opened(
    backend: str, clock: WallClock, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[SqlRunStore]:
    if backend.startswith("postgres"):
        url = str(request.getfixturevalue("postgres_url"))
        plan = PlanName(backend.removeprefix("postgres-"))
        store = SqlRunStore.open(PostgresDialect(url, clock=clock), plan=plan)
    else:
        url = "memory://" if backend == "memory" else f"sqlite:///{tmp_path / 'engine.db'}"
        store = open_run_store(url, clock=clock, durability="relaxed")
    store.define_queues([Queue(DEFAULT_QUEUE), Queue(NARROW, max_in_flight=1)])
    yield store
    store.close()


@pytest.mark.timeout(7_200)
def test_a_store_does_what_the_model_does(
    backend: str, opened: SqlRunStore, clock: WallClock, scale: float
) -> None:
    given = clock

    class Machine(StoreMachine):
        store = opened
        clock = given

    play(Machine, EXAMPLES[backend], 30, scale)
