"""Whatever is exchanged, the fused plan leaves the rows that the stepwise one does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from stepwell.engine.clock import SystemClock, VirtualClock
from stepwell.engine.model import Queue
from stepwell.stores import opening
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.exchange.plan import PlanName
from stepwell.stores.sql.store import SqlRunStore
from tests.conftest import url_of
from tests.postgres.twins import NARROW, RATED, WIDE, Twins

SEEDS = 8
STEPS = 60
PLANS = (PlanName.STEPWISE, PlanName.FUSED)


@pytest.fixture
def urls(postgres_server: str) -> Iterator[list[str]]:
    """Two new databases, so that both count their keys from the same number."""
    names = [f"stepwell_twin_{os.getpid()}_{plan}" for plan in PLANS]
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        for name in names:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        urls = [url_of(postgres_server, name) for name in names]
        for url in urls:
            opening.upgrade(url, clock=SystemClock())
        yield urls
        for name in names:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def empty(url: str) -> None:
    """Leave nothing of another seed but the counters of keys."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "TRUNCATE runs, steps, dependencies, results, records, artifacts, queues, events, "
            'workers, messages, waits, repeats, "values", kv, checkpoints, checkpoint_operations '
            "RESTART IDENTITY"
        )


@pytest.mark.timeout(3_600)
def test_both_plans_leave_the_same_rows(urls: list[str], scale: float) -> None:
    for seed in range(int(SEEDS * scale)):
        clock = VirtualClock()
        for url in urls:
            empty(url)
        with (
            closing(_open(urls[0], clock, PLANS[0])) as stepwise,
            closing(_open(urls[1], clock, PLANS[1])) as fused,
        ):
            twins = Twins((stepwise, fused), urls, clock, seed)
            for number in range(STEPS):
                try:
                    twins.step()
                    if number % 5 == 4:
                        twins.compare()
                except AssertionError as error:
                    raise AssertionError(f"seed {seed}, act {number}: {error}") from error


def _open(url: str, clock: VirtualClock, plan: PlanName) -> SqlRunStore:
    dialect = PostgresDialect(url, clock=clock, durability="relaxed")
    store = SqlRunStore.open(dialect, plan=plan)
    queues = (Queue(WIDE), Queue(NARROW, max_in_flight=2), Queue(RATED, rate_limit=1, burst=3))
    store.define_queues(queues)
    return store
