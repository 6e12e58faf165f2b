"""The turn of a worker: the thread that has it may use the store, and all that the worker holds.

    ┌───────┐  lend: the worker's own thread waits  ┌──────┐  borrow  ┌──────────┐
    │ taken │ ────────────────────────────────────▶ │ free │ ───────▶ │ borrowed │
    │       │ ◀──────────────────────────────────── │      │ ◀─────── │          │
    └───────┘  something came, or time has passed   └──────┘ give_back└──────────┘

A pool's thread that brings the outcome of the only step in flight borrows the turn for one cycle,
and goes on with what it claimed: so a chain of short steps runs in one thread, and no step waits
for another thread to wake up. In the same way a thread that starts a run borrows the turn while the
worker has nothing to do, and claims in the same transaction. A thread that does not get the turn
puts an outcome, or a wake-up, into the outcome queue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class TurnLock(Protocol):
    """A thread that has it may acquire it again, and must release it as often."""

    def acquire(self, blocking: bool = True) -> bool: ...
    def release(self) -> None: ...


class Turn:
    """Once a worker runs, its turn is free only during `lend`."""

    def __init__(self, lock: TurnLock) -> None:
        # Reentrant, as an interrupt may come at any moment, and the shutdown takes the turn again.
        self._lock = lock
        self._is_free = False
        self._failure: BaseException | None = None
        # Whether it was borrowed since this was last set to False.
        self.was_borrowed = False

    def take(self) -> None:
        """Wait for the turn, and take it; nobody can borrow it before it is lent."""
        self._lock.acquire()
        self._is_free = False

    def release(self) -> None:
        """Undo `take`."""
        self._lock.release()

    def lend(self, wait: Callable[[float], T], seconds: float) -> T:
        """Leave the turn to others during `wait(seconds)`.

        Raises the error of a borrower's cycle, if there was one.
        """
        self._is_free = True
        self._lock.release()
        try:
            return wait(seconds)
        finally:
            self._lock.acquire()
            self._is_free = False
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure

    def borrow(self) -> bool:
        """Take the turn if it is free, without waiting; returns whether it was."""
        took = self._is_free and self._lock.acquire(blocking=False)
        if took and not self._is_free:  # it was taken and released meanwhile
            self._lock.release()
            return False
        return took

    def fail(self, failure: BaseException) -> None:
        """Keep the error of a borrower's cycle, for the worker's own thread to raise."""
        self._failure = failure

    @property
    def has_failed(self) -> bool:
        """Whether the worker's own thread has a borrower's failure to raise."""
        return self._failure is not None

    def give_back(self) -> None:
        """Undo `borrow`."""
        self._lock.release()

    def disown(self) -> None:
        """In a fork, let no thread get the turn any more, whoever had it in the parent."""
        self._lock = threading.RLock()
        self._lock.acquire()
