"""Forks of this process: what is closed before one, and what the child must not inherit.

A fork copies memory and shares descriptors. It copies neither threads nor the file locks by which
SQLite keeps processes apart, and a server cannot tell two processes that share a socket. So no
thread may use a database while this process forks, and all holders of connections or locks are
notified::

    before   no thread enters a database; those inside leave; what cannot be shared is closed
    parent   goes on, and reopens what it needs
    child    has only its own thread and no connections: it makes new locks and drops the rest
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar
from weakref import WeakValueDictionary

from stepwell.engine.clock import SystemClock, pause

# How long a fork waits for other threads to leave their databases, in seconds.
PATIENCE = 10.0
# How often it checks whether they have, in seconds.
LOOK = 0.000_5

_log = logging.getLogger("stepwell.forks")


class ForkAware:
    """Is notified of forks. `in_use` means that a thread was still inside: the one that forks, or
    one that did not leave in time.
    """

    def before_fork(self, in_use: bool) -> None:
        """Close what the child must not inherit. While it is in use, only a note can be taken."""

    def after_fork(self, in_use: bool) -> None:
        """In the child: drop what belongs to the parent, without any I/O on it."""


class _Fork:
    """A fork that is about to happen or is happening."""

    def __init__(self, alone: bool) -> None:
        self.thread = threading.get_ident()
        self.alone = alone
        self.over = threading.Event()
        self.in_use: frozenset[int] = frozenset()


class Inside:
    """A context around the use of `part`, such as its connections; a fork waits for its end."""

    __slots__ = ("_mark",)

    def __init__(self, part: object) -> None:
        self._mark = (threading.get_ident(), part)

    def __enter__(self) -> None:
        try:
            Lineage.inside.append(self._mark)
            if Lineage.fork is not None:
                Lineage.stand_back(self._mark)
        except BaseException:  # an interrupt
            if self._mark in Lineage.inside:
                Lineage.inside.remove(self._mark)
            raise

    def __exit__(self, *_: object) -> None:
        Lineage.inside.remove(self._mark)


class Lineage:
    """How many forks lie between the first process and this one, and whom the next one notifies."""

    forks: ClassVar[int] = 0
    _watched: ClassVar[bool] = False
    _registered: ClassVar[WeakValueDictionary[int, ForkAware]] = WeakValueDictionary()
    _one_at_a_time: ClassVar[threading.Lock] = threading.Lock()
    # Which threads are inside of what, and the fork that waits for them.
    inside: ClassVar[list[tuple[int, object]]] = []
    fork: ClassVar[_Fork | None] = None

    @classmethod
    def watch(cls) -> None:
        """Count forks from now on. Comparing a number is cheaper for a step than a system call."""
        if not cls._watched:
            cls._watched = True
            os.register_at_fork(
                before=cls._before,
                after_in_parent=cls._after_in_parent,
                after_in_child=cls._after_in_child,
            )

    @classmethod
    def register(cls, part: ForkAware) -> None:
        """Notify `part` of each fork, for as long as it lives."""
        cls._registered[id(part)] = part
        cls.watch()

    @classmethod
    def stand_back(cls, mark: tuple[int, object]) -> None:
        """For `Inside`: wait until a fork is over, unless this thread is inside already."""
        while (fork := cls.fork) is not None and fork.thread != mark[0]:
            if sum(thread == mark[0] for thread, _ in tuple(cls.inside)) > 1:
                return
            cls.inside.remove(mark)
            fork.over.wait()
            cls.inside.append(mark)

    @classmethod
    def _before(cls) -> None:
        clock = SystemClock()
        alone = cls._one_at_a_time.acquire(timeout=PATIENCE)
        fork = cls.fork = _Fork(alone)
        deadline = clock.monotonic() + PATIENCE
        while any(thread != fork.thread for thread, _ in tuple(cls.inside)):
            if clock.monotonic() > deadline:
                break
            pause(LOOK)
        fork.in_use = frozenset(id(part) for _, part in tuple(cls.inside))
        for part in cls._parts():
            with _going_on():
                part.before_fork(id(part) in fork.in_use)

    @classmethod
    def _after_in_parent(cls) -> None:
        fork, cls.fork = cls.fork, None
        if fork is not None:
            fork.over.set()
            if fork.alone:
                cls._one_at_a_time.release()

    @classmethod
    def _after_in_child(cls) -> None:
        fork, cls.fork = cls.fork, None
        cls._one_at_a_time = threading.Lock()
        cls.forks += 1
        here = threading.get_ident()
        cls.inside[:] = [mark for mark in cls.inside if mark[0] == here]
        for part in cls._parts():
            with _going_on():
                # A fork without notice, as by a C library: anything may be in use.
                part.after_fork(fork is None or id(part) in fork.in_use)

    @classmethod
    def _parts(cls) -> Iterable[ForkAware]:
        found = [reference() for reference in cls._registered.valuerefs()]
        return [part for part in found if part is not None]


@contextmanager
def _going_on() -> Iterator[None]:
    """Log errors: Python would drop them, and skip the remaining parts."""
    try:
        yield
    except Exception:
        _log.exception("a fork could not be prepared for", extra={"action": "fork_trouble"})
