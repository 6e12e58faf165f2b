"""The connection that listens, on a server that lets nobody in."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StoreError
from stepwell.stores.sql.connection.postgres import MOST_LOOKS, PostgresDialect, PostgresWatch


class Full(PostgresDialect):
    """A server that takes no more connections until it is `opened`."""

    def __init__(self, url: str) -> None:
        super().__init__(url, clock=SystemClock())
        self.opened = False
        self.tries = 0

    def connect(self, *, readonly: bool) -> Any:
        self.tries += 1
        if not self.opened:
            raise StoreError("too many connections")
        return super().connect(readonly=readonly)


@pytest.fixture
def server(postgres_url: str) -> Full:
    return Full(postgres_url)


def test_a_full_server_is_tried_less_and_less_often(server: Full) -> None:
    watch = PostgresWatch(server)

    heard = [watch.changed() for _ in range(10 * MOST_LOOKS)]

    assert not any(heard)
    assert server.tries < 20


def test_once_it_is_heard_again_there_may_be_news(server: Full) -> None:
    watch = PostgresWatch(server)
    assert [watch.changed() for _ in range(5)] == [False] * 5

    server.opened = True

    assert True in [watch.changed() for _ in range(2 * MOST_LOOKS)]
    assert not watch.changed()
    watch.close()
