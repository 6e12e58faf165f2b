"""A queue from many threads to one, which waits with a timeout."""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty
from typing import Generic, TypeVar

T = TypeVar("T")


class OutcomeQueue(Generic[T]):
    """A queue with one reader; anything may write, a signal handler too.

    Not a `queue.SimpleQueue`: its timed `get` waits for ever if a signal's handler runs during it
    and returns after its time (seen in CPython 3.11). A lock's timed `acquire` does not.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._empty = threading.Lock()  # locked: nothing came since the reader looked
        self._empty.acquire()

    def put(self, item: T) -> None:
        """Add an item; wakes the reader."""
        self._items.append(item)
        if self._empty.locked():
            try:
                self._empty.release()
            except RuntimeError:  # another writer did
                return

    def empty(self) -> bool:
        return not self._items

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """The oldest item, waited for if `block`, up to `timeout` seconds. Raises queue.Empty."""
        rang = block
        while True:
            try:
                return self._items.popleft()
            except IndexError:
                if not rang:
                    raise Empty from None
            # It may have rung for an item that was taken before: then wait once more.
            rang = self._empty.acquire(timeout=-1 if timeout is None else timeout)
