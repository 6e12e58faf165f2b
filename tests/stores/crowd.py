"""Writes of many threads that all wait for the same one before them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stepwell.stores.sql.database import Database
from stepwell.stores.sql.statements import Transaction

LONGEST = 30


class Line(deque[Any]):
    """The tickets that wait; tells how many have come."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._came = threading.Condition()

    def append(self, item: Any) -> None:
        with self._came:
            super().append(item)
            self._count += 1
            self._came.notify_all()

    def wait_for(self, count: int) -> None:
        """Until so many have come."""
        with self._came:
            assert self._came.wait_for(lambda: self._count >= count, LONGEST)


@contextmanager
def held_up(database: Database) -> Iterator[Line]:
    """A write that does not end before the block does; gives the line of those that wait for it."""
    line = database.queue._waiting = Line()
    begun, go_on = threading.Event(), threading.Event()

    def first(tx: Transaction) -> None:
        begun.set()
        assert go_on.wait(LONGEST)

    thread = threading.Thread(target=database.write, args=(first,))
    thread.start()
    assert begun.wait(LONGEST)
    try:
        yield line
    finally:
        go_on.set()
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
