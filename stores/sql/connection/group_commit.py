"""Who writes when: threads that bring a write at the same moment share a transaction.

One of them leads: it commits a group of writes, its own among them as a rule, tells the others that
theirs are done, and wakes the first of those that came meanwhile, to lead. So nobody waits for a
transaction that has nothing of its own in it.

An interrupt may come at any moment, in whichever thread leads. Then the lead is free again, and
whoever waits looks for that from time to time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from stepwell.engine.crash_points import Write
from stepwell.engine.errors import StoreError
from stepwell.stores.sql.connection.statements import StoreTransaction

T = TypeVar("T")

MAX_GROUP = 256
# How long threads that wrote together are waited for when one of them writes again, in seconds.
GATHER = 0.001
# How often who waits looks whether an interrupt has left nobody to lead, in seconds.
LOOK = 1.0


class Wakeup(Protocol):
    """What a thread waits on for another one: a `SimpleQueue`."""

    def put(self, item: None, /) -> None: ...
    def get(self, block: bool, timeout: float, /) -> None: ...


class Ticket(Generic[T]):
    """One write that waits for its turn, and afterwards its result or error.

    `signal` comes to its thread when it is done, and when it may lead.
    """

    __slots__ = ("batch", "done", "error", "item", "kind", "result", "thread", "wakeup", "work")

    def __init__(
        self,
        work: Callable[[StoreTransaction], T],
        batch: Callable[[StoreTransaction, Sequence[Any]], Sequence[Any]] | None = None,
        item: Any = None,
        kind: Write | None = None,
    ) -> None:
        self.work = work
        self.kind = kind
        self.batch = batch
        self.item = item
        self.thread = 0 if batch is None else threading.get_ident()
        self.wakeup: Wakeup | None = None
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None

    def end(self) -> None:
        """Tell its thread that it is done."""
        self.done = True
        if self.wakeup is not None:
            self.wakeup.put(None)


Group = list[Ticket[Any]]


class GroupCommit:
    """`commit` writes a group, in whichever thread leads, and sets the tickets' results or errors.

    With `mixed`, a group has writes of any kind; else those of one batch only.
    """

    def __init__(self, commit: Callable[[Group], None], mixed: bool) -> None:
        self.make_wakeup: Callable[[], Wakeup] = SimpleQueue
        self._commit = commit
        self._mixed = mixed
        self.begin_anew()

    def begin_anew(self) -> None:
        """In a fork: what was waiting is the parent's, and so are the threads that led."""
        self._waiting: deque[Ticket[Any]] = deque()
        self._leader: Ticket[Any] | None = None
        # Held for a moment by whoever would lead.
        self._entry = threading.Lock()
        # The threads whose writes were a batch of the last group.
        self._crowd: frozenset[int] = frozenset()
        self._expected = 0
        self._all_here = threading.Event()

    def write(self, ticket: Ticket[Any]) -> None:
        """Return when the ticket is done, by this thread or another."""
        try:
            ticket.wakeup = self.make_wakeup()
            self._waiting.append(ticket)
            if 0 < self._expected <= len(self._waiting):
                self._all_here.set()
            while not ticket.done:
                if self._leads(ticket):
                    self._lead(ticket)
                else:
                    with suppress(Empty):
                        ticket.wakeup.get(True, LOOK)
        finally:
            # Without a call before it, as an interrupt could come with that.
            led = self._leader is ticket
            if led:
                self._leader = None
            if not ticket.done:
                with suppress(ValueError):
                    self._waiting.remove(ticket)
            if led or not ticket.done:
                self._wake_next()

    def _leads(self, ticket: Ticket[Any]) -> bool:
        """Whether its thread leads, as it does from now on if nobody else did."""
        with self._entry:
            if self._leader is None:
                self._leader = ticket
            return self._leader is ticket

    def _wake_next(self) -> None:
        """Let the first that waits see that it may lead."""
        with suppress(IndexError):
            wakeup = self._waiting[0].wakeup
            if wakeup is not None:
                wakeup.put(None)

    def _lead(self, ticket: Ticket[Any]) -> None:
        """Commit a group, unless the ticket was done meanwhile."""
        if ticket.done:
            return
        if ticket not in self._waiting:  # whoever took it was interrupted
            ticket.error = StoreError("a write was interrupted; it may have been stored, or not")
            ticket.done = True
            return
        self._gather()
        group: Group = []
        try:
            self._take(group)
            batch = [taken.thread for taken in group if taken.batch is not None]
            if batch:
                self._crowd = frozenset(batch if len(batch) > 1 else ())
            self._commit(group)
        except BaseException as error:  # an interrupt
            for taken in group:
                taken.error = taken.error or error
            raise
        finally:
            for taken in group:
                taken.end()

    def _gather(self) -> None:
        """Let those who last wrote together, and come back one by one, do so again.

        Who wrote alone the last time waits for nobody.
        """
        if not self._crowd or self._waiting[0].batch is None:
            return
        waiting = tuple(self._waiting)
        missing = self._crowd.difference(ticket.thread for ticket in waiting)
        self._all_here.clear()
        self._expected = len(waiting) + len(missing)
        if len(self._waiting) < self._expected:
            self._all_here.wait(GATHER)
        self._expected = 0

    def _take(self, group: Group) -> None:
        """Take the writes of the next transaction from those that wait, the oldest first."""
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
