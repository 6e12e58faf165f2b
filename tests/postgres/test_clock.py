"""Leases follow the server's clock, whatever the one of a worker's machine says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import claim_request, new_run, new_step
from tests.postgres.server import ask

LEASE = timedelta(seconds=30)
MICROS = 30_000_000
NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


@pytest.mark.parametrize("hours", [-1, 1])
def test_leases_follow_the_servers_clock(
    postgres_url: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a machine whose clock is wrong
    right = SystemClock.micros
    monkeypatch.setattr(SystemClock, "micros", lambda self: right(self) + hours * 3_600_000_000)
    store = SqlRunStore.open(PostgresDialect(postgres_url))
    store.define_queues([Queue(DEFAULT_QUEUE)])
    store.create_run(new_run("r", new_step("a")))
    # when
    ((before,),) = ask(postgres_url, NOW)
    (step,) = store.exchange((), claim_request(lease=LEASE)).claimed
    ((after,),) = ask(postgres_url, NOW)
    # then
    assert before <= step.started_at <= after
    assert step.expires_at == step.started_at + MICROS
    ((stored,),) = ask(postgres_url, "SELECT expires_at FROM steps")
    assert stored == step.expires_at
    # … and a renewal counts from the server's time, too
    assert store.renew("w1", [step], MICROS) == []
    assert after <= step.expires_at - MICROS <= ask(postgres_url, NOW)[0][0]
    assert store.reap(3) == 0
    store.close()
