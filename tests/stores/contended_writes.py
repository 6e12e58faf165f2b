"""Writes of many threads that all wait for the same one before them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.statements import StoreTransaction

LONGEST = 30


class Line(deque[Any]):
    """The tickets that wait; tells how many have come. Those before them end after `go_on`."""

    def __init__(self) -> None:
        super().__init__()
        self.came = 0
        self.go_on = threading.Event()
        self._changed = threading.Condition()

    def append(self, item: Any) -> None:
        with self._changed:
            super().append(item)
            self.came += 1
            self._changed.notify_all()

    def wait_for(self, count: int, or_gone: Future[Any] | None = None) -> None:
        """Until so many have come, or that one is not coming any more."""
        if or_gone is not None:
            or_gone.add_done_callback(self._look)
        with self._changed:
            assert self._changed.wait_for(
                lambda: self.came >= count or (or_gone is not None and or_gone.done()), LONGEST
            )

    def _look(self, _: Any) -> None:
        with self._changed:
            self._changed.notify_all()


@contextmanager
def held_up(database: Database) -> Iterator[Line]:
    """A write that does not end before the block does; gives the line of those that wait for it."""
    line = database.queue._waiting = Line()
    begun = threading.Event()

    def first(tx: StoreTransaction) -> None:
        begun.set()
        assert line.go_on.wait(LONGEST)

    thread = threading.Thread(target=database.write, args=(first,))
    thread.start()
    assert begun.wait(LONGEST)
    line.came = 0  # without the one that holds up the others
    try:
        yield line
    finally:
        line.go_on.set()
        thread.join()


def write_together(database: Database, writes: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each write gave or raised; they came in this order, while another one was going on."""
    results: list[Any] = [None] * len(writes)

    def write(number: int) -> None:
        try:
            results[number] = writes[number]()
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(writes))]
    with held_up(database) as line:
        for count, thread in enumerate(threads, 1):
            thread.start()
            line.wait_for(count)
    for thread in threads:
        thread.join()
    return results
