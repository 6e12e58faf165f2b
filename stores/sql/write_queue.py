"""Who writes when: threads that bring a write at the same moment share a transaction.

One of them leads: it commits a group of writes, its own among them, tells the others, and makes the
first of those that came meanwhile the next one to lead. So nobody waits for a transaction that has
nothing of its own in it, and a thread that comes alone meets nobody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from stepwell.engine.points import Write
from stepwell.stores.sql.statements import Transaction

T = TypeVar("T")

MAX_GROUP = 256
# How long threads that wrote together are waited for when one of them writes again, in seconds.
GATHER = 0.001


class Signal(Protocol):
    """What a thread waits on until another one releases it: a lock that was taken once."""

    def acquire(self) -> object: ...
    def release(self) -> None: ...


class Ticket(Generic[T]):
    """One write that waits for its turn, and afterwards its result or error."""

    # fmt: off
    __slots__ = (
        "batch", "done", "error", "item", "kind", "leads", "result", "signal", "thread", "work"
    )
    # fmt: on

    def __init__(
        self,
        work: Callable[[Transaction], T],
        batch: Callable[[Transaction, Sequence[Any]], Sequence[Any]] | None = None,
        item: Any = None,
        kind: Write | None = None,
    ) -> None:
        self.work = work
        self.kind = kind
        self.batch = batch
        self.item = item
        self.thread = 0
        # Whether its thread leads. If not, that waits for the signal that it is done, or leads now.
        self.leads = False
        self.signal: Signal | None = None
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None


Group = list[Ticket[Any]]


class WriteQueue:
    """`commit` writes a group, in whichever thread leads, and sets the tickets' results or errors.

    With `mixed`, a group has writes of any kind; else those of one batch only.
    """

    def __init__(self, commit: Callable[[Group], None], mixed: bool) -> None:
        self._commit = commit
        self._mixed = mixed
        # Held for a moment, by whoever comes, takes a group or stops leading.
        self._entry = threading.Lock()
        self._waiting: deque[Ticket[Any]] = deque()
        self._is_led = False
        # The threads whose writes were a batch of the last group.
        self._crowd: frozenset[int] = frozenset()
        self._expected = 0
        self._all_here = threading.Event()

    def write(self, ticket: Ticket[Any]) -> None:
        """Return when the ticket is done, by this thread or another."""
        try:
            self._enter(ticket)
            if ticket.signal is not None:
                ticket.signal.acquire()
            while not ticket.done:  # a crowd is larger than one group
                self._gather()
                self._write_group()
        finally:
            self._leave(ticket)

    def _enter(self, ticket: Ticket[Any]) -> None:
        """Stand in line, and lead if nobody does."""
        if ticket.batch is not None:
            ticket.thread = threading.get_ident()
        with self._entry:
            if self._is_led:
                ticket.signal = self.make_signal()
            else:
                self._is_led = ticket.leads = True
            self._waiting.append(ticket)
            if 0 < self._expected <= len(self._waiting):
                self._all_here.set()

    @staticmethod
    def make_signal() -> Signal:
        """A signal to wait on."""
        lock = threading.Lock()
        lock.acquire()
        return lock

    def _leave(self, ticket: Ticket[Any]) -> None:
        """Let the next one lead, if this one did; after an interrupt its write may not be done."""
        with self._entry:
            if not ticket.done and ticket in self._waiting:
                self._waiting.remove(ticket)
            if not ticket.leads:
                return
            if not self._waiting:
                self._is_led = False
                return
            heir = self._waiting[0]
            heir.leads = True
        assert heir.signal is not None
        heir.signal.release()

    def _gather(self) -> None:
        """Let those who last wrote together, and come back one by one, do so again.

        A thread that writes alone never waits for others.
        """
        with self._entry:
            if not self._crowd or self._waiting[0].batch is None:
                return
            missing = self._crowd.difference(ticket.thread for ticket in self._waiting)
            if not missing:
                return
            self._expected = len(self._waiting) + len(missing)
            self._all_here.clear()
        self._all_here.wait(GATHER)
        self._expected = 0

    def _write_group(self) -> None:
        with self._entry:
            group = self._take()
        batch = [ticket.thread for ticket in group if ticket.batch is not None]
        if batch:
            self._crowd = frozenset(batch if len(batch) > 1 else ())
        try:
            self._commit(group)
        except BaseException as error:  # an interrupt; theirs was not committed
            for ticket in group:
                ticket.error = ticket.error or error
            raise
        finally:
            for ticket in group:
                ticket.done = True
                if ticket.signal is not None:
                    ticket.signal.release()

    def _take(self) -> Group:
        """Take the writes of the next transaction from those that wait, the oldest first."""
        group: Group = []
        later: Group = []
        while self._waiting and len(group) < MAX_GROUP:
            ticket = self._waiting.popleft()
            fits = self._mixed or not group
            if fits or (ticket.batch is not None and ticket.batch == group[0].batch):
                group.append(ticket)
            else:
                later.append(ticket)
                if group[0].batch is None:
                    break
        self._waiting.extendleft(reversed(later))
        return group
