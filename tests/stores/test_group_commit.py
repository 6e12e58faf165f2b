"""Who leads, who waits for whom, and what an interrupt leaves behind."""

from __future__ import annotations

import dis
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

import pytest
import sqlalchemy as sa

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StoreError
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.connection import group_commit
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.group_commit import GroupCommit, Ticket
from stepwell.stores.sql.connection.statements import Statement, StoreTransaction, bind
from stepwell.stores.sql.schema import tables
from stepwell.stores.sql.store import SqlRunStore
from tests.stores.contended_writes import LONGEST, Line, held_up, write_together


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
    monkeypatch.setattr(group_commit, "GATHER", LONGEST)


def batch(tx: StoreTransaction, items: Sequence[Any]) -> Sequence[int]:
    """Each learns how many came together."""
    return [len(items)] * len(items)


def test_what_is_done_does_not_wait_for_what_came_later(database: Database) -> None:
    # given: two that share a transaction, and one that comes meanwhile and takes long
    later_begun, go_on = threading.Event(), threading.Event()
    begun, came = threading.Event(), threading.Event()

    def together(tx: StoreTransaction, items: Sequence[str]) -> Sequence[str]:
        begun.set()
        assert came.wait(LONGEST)
        return items

    def long(tx: StoreTransaction) -> None:
        later_begun.set()
        assert go_on.wait(LONGEST)

    with ThreadPoolExecutor(3) as pool:
        with held_up(database) as line:
            first = pool.submit(database.write_with_others, together, "a")
            line.wait_for(1)
            second = pool.submit(database.write_with_others, together, "b")
            line.wait_for(2)
        assert begun.wait(LONGEST)
        third = pool.submit(database.write, long)
        line.wait_for(3)
        came.set()
        # when: the one that came later is going on
        assert later_begun.wait(LONGEST)
        # then: the two have returned, or will
        assert (first.result(LONGEST), second.result(LONGEST)) == ("a", "b")
        assert not third.done()
        go_on.set()
        third.result(LONGEST)


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
    monkeypatch.setattr(group_commit, "GATHER", 0.0)
    write_together(database, [lambda: database.write_with_others(batch, None)] * 2)
    # when: another one writes alone
    assert database.write_with_others(batch, None) == 1
    # then: from then on nobody is waited for at all
    monkeypatch.setattr(group_commit, "GATHER", LONGEST)
    assert database.write_with_others(batch, None) == 1


def test_one_that_the_database_refuses_takes_nobody_along(database: Database) -> None:
    # given: three that come together, of which two bring the same name
    meta = tables.meta
    add = Statement(sa.insert(meta).values(name=bind("name"), value=1), "name")

    def put(tx: StoreTransaction, names: Sequence[str]) -> Sequence[str]:
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

    def get(self, block: bool, timeout: float, /) -> None:
        raise KeyboardInterrupt

    def put(self, item: None, /) -> None:
        """Nobody waits."""


def test_one_that_is_interrupted_while_it_waits_holds_nobody_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: of two that wait, the first one's wait is interrupted
    made: list[Any] = [Interrupted(), SimpleQueue()]
    done: list[str] = []

    def write(name: str) -> Any:
        return lambda: database.write(lambda tx: done.append(name))

    with held_up(database) as line, ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(database.queue, "make_wakeup", lambda: made.pop(0))
        first = pool.submit(write("a"))
        line.wait_for(1)
        second = pool.submit(write("b"))
        line.wait_for(2)
        monkeypatch.undo()
        # when, then
        with pytest.raises(KeyboardInterrupt):
            first.result(LONGEST)
        line.go_on.set()
        second.result(LONGEST)
    # then: it was not written, and the others are
    write("c")()
    assert done == ["b", "c"]


def test_one_that_is_interrupted_while_it_leads_lets_others_lead(database: Database) -> None:
    def interrupted(tx: StoreTransaction) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.write(interrupted)
    assert database.write(lambda tx: 1) == 1


class Interruption:
    """Interrupts a thread at the n-th place in the queue's code where Python looks for signals."""

    def __init__(self, place: int) -> None:
        self.came = False
        self.armed = False
        self._left = place

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """As `sys.settrace` wants it."""
        if frame.f_code.co_filename != group_commit.__file__:
            return None
        frame.f_trace_opcodes = True
        before = ["RESUME"]

        def each(frame: FrameType, event: str, _: Any) -> Any:
            if event == "opcode":
                looked = before[0].startswith(("RESUME", "CALL", "JUMP_BACKWARD"))
                before[0] = OPCODES[frame.f_code][frame.f_lasti]
                if looked and self.armed and not self.came:
                    self._left -= 1
                    if self._left == 0:
                        self.came = True
                        raise KeyboardInterrupt
            return each

        return each


class Opcodes(dict[Any, dict[int, str]]):
    """The names of the instructions of a code object, by their offsets."""

    def __missing__(self, code: Any) -> dict[int, str]:
        names = {one.offset: one.opname for one in dis.get_instructions(code)}
        self[code] = names
        return names


OPCODES = Opcodes()


def interrupted_at(place: int) -> bool:
    """Interrupt the leader of three at that place; returns whether there was such a place."""
    holding, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def commit(group: list[Ticket[Any]]) -> None:
        for ticket in group:
            if ticket.item == "first":
                holding.set()
                assert go_on.wait(LONGEST)
            seen.append(ticket.item)

    queue, line = GroupCommit(commit, mixed=True), Line()
    queue._waiting = line
    interruption = Interruption(place)

    def write(name: str, traced: bool = False) -> None:
        ticket: Ticket[Any] = Ticket(lambda tx: None, item=name)
        if traced:
            # Python 3.12 tells of single instructions only if they were asked for before, Python
            # 3.13 only from a function's second call on.
            sys._getframe().f_trace_opcodes = True
            sys.settrace(interruption.trace)
            GroupCommit(lambda _: None, mixed=True).write(Ticket(lambda tx: None))
            interruption.armed = True
        try:
            queue.write(ticket)
        finally:
            sys.settrace(None)
        assert ticket.done
        assert ticket.item in seen or isinstance(ticket.error, (StoreError, KeyboardInterrupt))

    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(write, "first")]
        assert holding.wait(LONGEST)
        for name in ("leader", "second", "third"):
            before = line.came
            writes.append(pool.submit(write, name, traced=name == "leader"))
            line.wait_for(before + 1, or_gone=writes[-1])
        go_on.set()
        ended = wait(writes, LONGEST)
        assert not ended.not_done, f"place {place}: {len(ended.not_done)} hang"
        for one in writes:
            error = one.exception()
            assert error is None or (one is writes[1] and isinstance(error, KeyboardInterrupt))
        pool.submit(write, "later").result(LONGEST)
    assert "later" in seen
    return interruption.came


def test_an_interrupt_of_the_leader_hangs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "LOOK", 0.01)
    places = 0
    while interrupted_at(places + 1):
        places += 1
    assert places > 20
