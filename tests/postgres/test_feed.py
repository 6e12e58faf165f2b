"""Transactions that commit side by side: each event comes once, and a run's in their order."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import InvalidInput
from stepwell.engine.events import BEGINNING, NOW, Event
from stepwell.engine.model import DEFAULT_QUEUE, Queue
from stepwell.stores.opening import open_run_store
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import new_run, new_step
from stepwell.testing.run_store.feed import Reader, told

Open = Callable[[], "Writer"]


class Writer:
    """A transaction of its own, that adds events as any other and ends when the test says so."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url)

    def tell(self, run: str, count: int = 1) -> None:
        """Add events to a run."""
        (key, last) = self._one(
            "UPDATE runs SET event_seq = event_seq + %s WHERE run_id = %s RETURNING id, event_seq",
            (count, run),
        )
        for seq in range(last - count + 1, last + 1):
            self.connection.execute(
                "INSERT INTO events (run_key, seq, type, at) VALUES (%s, %s, 'run.started', 1)",
                (key, seq),
            )

    def begin(self) -> int:
        """Get the number of a transaction, before it has done anything."""
        return int(self._one("SELECT pg_current_xact_id()::text", ())[0])

    def await_lock(self) -> None:
        """Wait until somebody waits for the table of runs."""
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'runs'::regclass"
        while self._one(waiting, ()) == (0,):
            pass

    def _one(self, sql: str, values: tuple[object, ...]) -> tuple[int, ...]:
        row = self.connection.execute(sql.encode(), values).fetchone()
        assert row is not None
        return row

    def commit(self) -> None:
        self.connection.commit()

    def roll_back(self) -> None:
        self.connection.rollback()


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlRunStore]:
    store: SqlRunStore = open_run_store(postgres_url, clock=SystemClock())
    store.define_queues([Queue(DEFAULT_QUEUE)])
    for run in ("a", "b", "c"):
        store.create_run(new_run(run, new_step("s")))
    yield store
    store.close()


@pytest.fixture
def open_writer(postgres_url: str) -> Iterator[Open]:
    writers: list[Writer] = []

    def open_one() -> Writer:
        writers.append(Writer(postgres_url))
        return writers[-1]

    yield open_one
    for writer in writers:
        writer.connection.close()


@pytest.fixture
def reader(store: SqlRunStore) -> Reader:
    reader = Reader(store, NOW)
    reader.page()
    return reader


def test_one_that_commits_later_is_not_missed(reader: Reader, open_writer: Open) -> None:
    slow, quick = open_writer(), open_writer()
    slow.tell("a")
    quick.tell("b")

    quick.commit()
    assert reader.told() == [("b", 2)]
    assert reader.told() == []
    slow.commit()
    assert reader.told() == [("a", 2)]
    assert reader.told() == []


def test_one_that_never_commits_holds_nobody_up(reader: Reader, open_writer: Open) -> None:
    stuck, busy = open_writer(), open_writer()
    stuck.tell("a")

    for seq in range(2, 12):
        busy.tell("b")
        busy.commit()
        assert reader.told() == [("b", seq)]
    stuck.roll_back()
    assert reader.told() == []


def test_one_that_was_open_before_the_first_page_is_not_missed(
    store: SqlRunStore, open_writer: Open
) -> None:
    Reader(store).all()
    slow = open_writer()
    slow.tell("a")

    reader = Reader(store)

    assert reader.told() == [("a", 1), ("b", 1), ("c", 1)]
    slow.commit()
    assert reader.told() == [("a", 2)]


def test_events_of_a_run_are_in_order_though_their_transactions_began_in_another(
    reader: Reader, open_writer: Open
) -> None:
    first, second = open_writer(), open_writer()
    assert second.begin() < first.begin()
    first.tell("a")
    first.commit()
    second.tell("a")
    second.commit()

    assert reader.told() == [("a", 2), ("a", 3)]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_what_is_committed_between_two_pages_comes_after_them(
    reader: Reader, open_writer: Open, limit: int
) -> None:
    reader.limit = limit
    early, late, third = open_writer(), open_writer(), open_writer()
    early.tell("a", 2)
    late.tell("b", 3)
    third.tell("c", 3)
    third.commit()

    found = reader.page()
    late.commit()
    found += reader.page()
    late.tell("c")
    late.commit()
    early.commit()
    found += reader.all()

    assert sorted(told(found)) == [
        *(("a", seq) for seq in (2, 3)),
        *(("b", seq) for seq in (2, 3, 4)),
        *(("c", seq) for seq in (2, 3, 4, 5)),
    ]
    assert told(found)[:3] == [("c", 2), ("c", 3), ("c", 4)]


def test_first_reader_waits_for_those_who_write(store: SqlRunStore, open_writer: Open) -> None:
    slow = open_writer()
    slow.tell("a")
    found: list[Event] = []
    reading = threading.Thread(target=lambda: found.extend(Reader(store).all()))
    reading.start()
    slow.await_lock()

    slow.commit()
    reading.join(30)

    assert sorted(told(found)) == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]


def test_each_event_comes_once_whatever_the_order_of_commits(
    store: SqlRunStore, postgres_url: str
) -> None:
    begin, end = threading.Event(), threading.Event()
    readers = [Reader(store, NOW, limit) for limit in (1, 5, 100)]
    found: dict[int, list[Event]] = {reader.limit: [] for reader in readers}
    for reader in readers:
        reader.page()
    errors: list[BaseException] = []

    def write(number: int) -> None:
        chance = random.Random(number)
        pause = threading.Event()
        writer = Writer(postgres_url)
        try:
            for _ in range(25):
                for run in sorted(chance.sample(("a", "b", "c"), chance.choice((1, 1, 2)))):
                    writer.tell(run, chance.randint(1, 3))
                    pause.wait(chance.random() / 200)
                if chance.random() < 0.2:
                    writer.roll_back()
                else:
                    writer.commit()
        finally:
            writer.connection.close()

    def read(reader: Reader) -> None:
        begin.wait()
        while not end.is_set():
            found[reader.limit] += reader.page()
        found[reader.limit] += reader.all()

    def guarded(work: Callable[..., None], of: object) -> None:
        try:
            work(of)
        except BaseException as error:
            errors.append(error)

    writing = [threading.Thread(target=guarded, args=(write, number)) for number in range(6)]
    reading = [threading.Thread(target=guarded, args=(read, reader)) for reader in readers]
    for thread in (*writing, *reading):
        thread.start()
    begin.set()
    for thread in writing:
        thread.join()
    end.set()
    for thread in reading:
        thread.join()

    assert errors == []
    for events in found.values():
        for run in ("a", "b", "c"):
            last = len(store.events(run))
            mine = [event.seq for event in events if event.run_id == run]
            assert mine == list(range(2, last + 1))


def test_events_of_deleted_runs_are_gone(reader: Reader, open_writer: Open) -> None:
    writer = open_writer()
    for run in ("a", "b", "c"):
        writer.tell(run, 2)
    writer.connection.execute("DELETE FROM runs WHERE run_id = 'b'")
    writer.commit()

    reader.limit = 1

    assert reader.told() == [("a", 2), ("a", 3), ("c", 2), ("c", 3)]


def test_store_without_a_reader_pays_nothing(store: SqlRunStore, open_writer: Open) -> None:
    triggers = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"

    assert open_writer().connection.execute(triggers).fetchone() == (0,)
    store.events_since(NOW, 1)
    assert open_writer().connection.execute(triggers).fetchone() == (2,)


def test_store_that_was_restored_on_another_server_gives_all_again(
    store: SqlRunStore, open_writer: Open, postgres_url: str
) -> None:
    # given a feed whose transactions are far ahead of this server's
    Reader(store).all()
    writer = open_writer()
    writer.connection.execute("UPDATE event_feed SET xid = '9000000000'")
    writer.commit()

    restored: SqlRunStore = open_run_store(postgres_url, clock=SystemClock())
    reader = Reader(restored, limit=2)

    assert reader.told() == [("a", 1), ("b", 1), ("c", 1)]
    writer.tell("b")
    writer.commit()
    assert reader.told() == [("b", 2)]
    restored.close()


def test_cursor_from_before_a_restore_is_refused(store: SqlRunStore) -> None:
    store.events_since(BEGINNING, 1)
    ahead = (
        "WzAsMCwiOTAwMDAwMDAwMDo5MDAwMDAwMDAwOiIsIiJd"  # a snapshot of transaction 9 000 000 000
    )

    with pytest.raises(InvalidInput, match=r"^cursor: is of another store"):
        store.events_since(ahead, 1)
