"""The events of all runs, read one page after the other."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator

import pytest

from stepwell.engine.clock import VirtualClock
from stepwell.engine.errors import InvalidInput
from stepwell.engine.events import BEGINNING, NOW, Event
from stepwell.engine.model import RunFilter
from stepwell.engine.ports import RunStore
from stepwell.testing.builders import completed, new_step
from stepwell.testing.run_store.case import (
    OPERATOR,
    SECOND,
    Bench,
    OpenStore,
    RunStoreCase,
    WallClock,
)
from stepwell.testing.run_store.sharing import at_once

WRITERS = 6
RUNS_EACH = 12

Told = tuple[str | None, int | None]


class Reader:
    """Reads what is new, and knows how far it has come."""

    def __init__(self, store: RunStore, cursor: str = BEGINNING, limit: int = 100) -> None:
        self.store = store
        self.cursor = cursor
        self.limit = limit

    def page(self) -> list[Event]:
        """The next page; empty at the end."""
        events, self.cursor = self.store.events_since(self.cursor, self.limit)
        assert len(events) <= self.limit
        return events

    def all(self) -> list[Event]:
        """Everything up to the end."""
        return list(self._all())

    def _all(self) -> Iterator[Event]:
        while events := self.page():
            yield from events

    def told(self) -> list[Told]:
        """Everything up to the end, as runs and the events' numbers in them."""
        return told(self.all())


def told(events: list[Event]) -> list[Told]:
    """Events as runs and the events' numbers in them."""
    return [(event.run_id, event.seq) for event in events]


def check_each_once(bench: Bench, events: list[Event]) -> None:
    """Assert that these are all events there are, each once, and each run's in their order."""
    by_run: dict[str | None, list[Event]] = defaultdict(list)
    for event in events:
        by_run[event.run_id].append(event)
    runs = bench.store.runs(RunFilter(limit=10_000))
    assert by_run == {run.id: bench.store.events(run.id) for run in runs}


class FeedTests(RunStoreCase):
    """What one reader sees of all runs."""

    def test_events_of_all_runs_come_in_the_order_of_their_commits(self, bench: Bench) -> None:
        reader = Reader(bench.store, NOW)
        reader.page()
        bench.create(new_step("a"), id="first")
        bench.create(new_step("a"), id="second")
        one, other = bench.claim()
        bench.complete(other)
        bench.complete(one)

        found = reader.told()

        assert found[:2] == [("first", 1), ("second", 1)]
        assert sorted(found[2:4]) == [("first", 2), ("second", 2)]  # of one transaction
        assert found[4:] == [("second", 3), ("second", 4), ("first", 3), ("first", 4)]

    def test_events_are_those_of_their_runs(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), id="first")
        bench.create(new_step("a"), id="second")
        bench.work_off("b")

        check_each_once(bench, Reader(bench.store).all())

    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    def test_pages_of_any_size_give_the_same(self, bench: Bench, limit: int) -> None:
        Reader(bench.store).all()
        bench.create(*(new_step(f"s{n}") for n in range(5)), id="first")
        bench.create(new_step("a"), id="second")
        bench.work_off("s3")

        assert Reader(bench.store, limit=limit).told() == Reader(bench.store).told()

    def test_now_is_the_end_of_what_was_committed(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="before")

        events, cursor = bench.store.events_since(NOW, 10)

        assert events == []
        assert Reader(bench.store, cursor).told() == []
        bench.create(new_step("a"), id="after")
        assert Reader(bench.store, cursor).told() == [("after", 1)]

    def test_cursor_gives_the_same_when_it_is_used_again(self, bench: Bench) -> None:
        cursor = bench.store.events_since(NOW, 1).cursor
        bench.create(new_step("a"))
        bench.work_off()

        first = bench.store.events_since(cursor, 2)

        assert bench.store.events_since(cursor, 2) == first
        assert told(first.events) == [("r", 1), ("r", 2)]
        assert bench.store.events_since(first.cursor, 1) == bench.store.events_since(
            first.cursor, 1
        )

    def test_history_from_before_the_first_reader_comes_run_by_run(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="first")
        bench.create(new_step("a"), id="second")
        bench.work_off()

        reader = Reader(bench.store, limit=3)
        events = reader.all()

        assert told(events) == [(run, seq) for run in ("first", "second") for seq in (1, 2, 3, 4)]
        check_each_once(bench, events)
        bench.create(new_step("a"), id="third")
        assert reader.told() == [("third", 1)]

    def test_clock_that_is_set_back_hides_nothing(self, bench: Bench, clock: WallClock) -> None:
        reader = Reader(bench.store)
        bench.create(new_step("a"), id="first")
        assert reader.told() == [("first", 1)]

        clock.set_back(10 * SECOND)
        bench.create(new_step("a"), id="second")

        assert reader.told() == [("second", 1)]

    def test_what_was_rolled_back_is_not_there(self, bench: Bench) -> None:
        reader = Reader(bench.store)
        bench.create(new_step("a"))
        reader.all()

        step = bench.claim_one()
        bench.store.cancel_run("r", by=OPERATOR)
        bench.settle(completed(step))

        events = reader.all()
        assert told(events) == [("r", seq) for seq in range(2, 2 + len(events))]

    @pytest.mark.parametrize(
        "cursor", ["", "later", "!!!!", "W10", "eyJhIjoxfQ", "Wy0xLDAsIiIsIiJd", "WzEsMCwwLDBd"]
    )
    def test_what_is_no_cursor_is_refused(self, store: RunStore, cursor: str) -> None:
        with pytest.raises(InvalidInput, match=r"^cursor: "):
            store.events_since(cursor, 10)

    def test_each_event_comes_once_while_many_threads_commit(self, bench: Bench) -> None:
        is_over = threading.Event()
        found: list[Event] = []

        def read() -> None:
            reader = Reader(bench.store, limit=7)
            while not is_over.is_set():
                found.extend(reader.page())
            found.extend(reader.all())

        def write(number: int) -> None:
            for place in range(RUNS_EACH):
                bench.create(new_step("a"), new_step("b", "a"), id=f"{number}-{place}")
                for step in bench.claim(3, worker=f"w{number}"):
                    bench.settle(completed(step))

        reading = threading.Thread(target=read)
        reading.start()
        try:
            assert at_once(WRITERS, write) == [None] * WRITERS
        finally:
            is_over.set()
            reading.join()

        assert len(found) > 2 * WRITERS * RUNS_EACH
        check_each_once(bench, found)


class VersionTests(RunStoreCase):
    """The sign that something was committed."""

    def test_version_is_another_one_after_each_commit(self, bench: Bench) -> None:
        seen = [bench.store.version()]
        bench.create(new_step("a"))
        seen.append(bench.store.version())
        step = bench.claim_one()
        seen.append(bench.store.version())
        bench.complete(step)
        seen.append(bench.store.version())

        assert len(set(seen)) == len(seen)

    def test_version_stays_while_nobody_commits(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        before = bench.store.version()
        bench.store.runs(RunFilter())

        assert bench.store.version() == before


class SharedFeedTests(RunStoreCase):
    """Readers and writers that have the store open side by side, and one after the other."""

    def test_reader_sees_what_others_commit(
        self, open_store: OpenStore, bench: Bench, clock: VirtualClock
    ) -> None:
        other = open_store(clock)
        reader, version = Reader(other), other.version()
        reader.all()

        bench.create(new_step("a"))
        bench.work_off()

        assert other.version() != version
        check_each_once(bench, Reader(other).all())
        assert reader.told() == Reader(bench.store).told()
        other.close()

    def test_cursor_is_good_for_whoever_opens_the_store(
        self, open_store: OpenStore, bench: Bench, clock: VirtualClock
    ) -> None:
        bench.create(new_step("a"))
        reader = Reader(bench.store)
        reader.page()
        bench.work_off()

        other = open_store(clock)

        assert Reader(other, reader.cursor).told() == reader.told()
        other.close()
