"""Who leads, who waits for whom, and what an interrupt leaves behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from stepwell.engine.clock import SystemClock
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql import schema, write_queue
from stepwell.stores.sql.database import Database
from stepwell.stores.sql.statements import Statement, Transaction, bind
from stepwell.stores.sql.store import SqlRunStore
from stepwell.stores.sql.write_queue import WriteQueue
from tests.stores.crowd import LONGEST, held_up, write_together


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 's.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    store = open_run_store(url, clock=SystemClock())
    assert isinstance(store, SqlRunStore)
    yield store.database
    store.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gathers waits for as long as it takes."""
    monkeypatch.setattr(write_queue, "GATHER", LONGEST)


def batch(tx: Transaction, items: Sequence[Any]) -> Sequence[int]:
    """Each learns how many came together."""
    return [len(items)] * len(items)


def test_what_is_done_does_not_wait_for_what_came_later(database: Database) -> None:
    # given: one write is going on, and another one waits
    later_begun, go_on = threading.Event(), threading.Event()

    def long(tx: Transaction) -> None:
        later_begun.set()
        assert go_on.wait(LONGEST)

    with ThreadPoolExecutor(2) as pool:
        with held_up(database) as line:
            first = pool.submit(database.write, lambda tx: None)
            line.wait_for(1)
            # given: a third comes once that one is in its group, and takes long
            second = pool.submit(once_done(first, database, long))
        # when, then: the one that is done returns while the third is going on
        first.result(LONGEST)
        assert later_begun.wait(LONGEST)
        go_on.set()
        second.result(LONGEST)


def once_done(first: Any, database: Database, work: Any) -> Any:
    """A write that comes when another one has returned."""

    def write() -> None:
        first.result(LONGEST)
        database.write(work)

    return write


@pytest.mark.usefixtures("patient")
def test_threads_that_wrote_together_are_waited_for(database: Database) -> None:
    # given: two threads whose writes shared a transaction
    one, two = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    with one, two:
        with held_up(database) as line:
            writes = [pool.submit(database.write_with_others, batch, None) for pool in (one, two)]
            line.wait_for(2)
        assert [write.result(LONGEST) for write in writes] == [2, 2]
        # when: they come back, one later than the other
        begun = one.submit(database.write_with_others, batch, None)
        line.wait_for(3)
        other = two.submit(database.write_with_others, batch, None)
        # then: they share one again
        assert (begun.result(LONGEST), other.result(LONGEST)) == (2, 2)


@pytest.mark.usefixtures("patient")
def test_a_thread_that_writes_alone_waits_for_nobody(database: Database) -> None:
    assert [database.write_with_others(batch, None) for _ in range(3)] == [1, 1, 1]


def test_a_crowd_that_does_not_come_back_is_not_waited_for_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: two threads wrote together, and nobody is waited for long
    monkeypatch.setattr(write_queue, "GATHER", 0.0)
    write_together(database, [lambda: database.write_with_others(batch, None)] * 2)
    # when: another one writes alone
    assert database.write_with_others(batch, None) == 1
    # then: from then on nobody is waited for at all
    monkeypatch.setattr(write_queue, "GATHER", LONGEST)
    assert database.write_with_others(batch, None) == 1


def test_one_that_the_database_refuses_takes_nobody_along(database: Database) -> None:
    # given: three that come together, of which two bring the same name
    meta = schema.meta
    add = Statement(sa.insert(meta).values(name=bind("name"), value=1), "name")

    def put(tx: Transaction, names: Sequence[str]) -> Sequence[str]:
        for name in names:
            add(tx, name)
        return names

    # when
    results = write_together(
        database, [partial(database.write_with_others, put, name) for name in ("x", "y", "x")]
    )
    # then: one of them is refused
    assert results[:2] == ["x", "y"]
    assert isinstance(results[2], database.dialect.driver_errors)
    with database.read() as tx:
        rows = Statement(sa.select(meta.c.name).where(meta.c.value == 1))(tx).fetchall()
    assert {row[0] for row in rows} >= {"x", "y"}


class Interrupted:
    """A signal whose wait is interrupted."""

    def acquire(self) -> object:
        raise KeyboardInterrupt

    def release(self) -> None:
        """Nobody waits."""


def test_one_that_is_interrupted_while_it_waits_holds_nobody_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: of three that wait, the first one's wait is interrupted
    made: list[Any] = [Interrupted(), WriteQueue.make_signal(), WriteQueue.make_signal()]
    monkeypatch.setattr(database.queue, "make_signal", lambda: made.pop(0))
    done: list[str] = []

    def write(name: str) -> Any:
        return lambda: database.write(lambda tx: done.append(name))

    # when
    results = write_together(database, [write("a"), write("b")])
    # then: it was not written, and the others were
    assert isinstance(results[0], KeyboardInterrupt)
    assert done == ["b"]
    database.write(lambda tx: done.append("c"))
    assert done == ["b", "c"]


def test_one_that_is_interrupted_while_it_leads_lets_others_lead(database: Database) -> None:
    def interrupted(tx: Transaction) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.write(interrupted)
    assert database.write(lambda tx: 1) == 1
