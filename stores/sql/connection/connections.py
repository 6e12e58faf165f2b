"""The connections of one store in one process: a writer and a few readers, made when needed.

They are let go of around a fork, and when the database is not there any more::

    none ── open, or a read ──▶ open ── before a fork, in the parent ──▶ none
                                  └──── gone, or in a fork ────▶ left as they are; none
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from stepwell.engine.errors import StoreError
from stepwell.engine.forks import ForkAware, Inside, Lineage
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import StoreTransaction

# Reads at the same time; more of them wait. A server's connections are not for one process alone.
MAX_READERS = 8


class Connections(ForkAware):
    """What a `Database` reads and writes with. ForkAware of forks from `open` on."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        # Called when what comes next may be another database.
        self.forget: Callable[[], None] = lambda: None
        # Called with each connection that takes the place of an earlier one; may refuse it.
        self.check: Callable[[Any], None] = lambda _: None
        self._opened = 0
        self._closed = False
        # Why there can be no connection in this process.
        self._refusal: str | None = None
        # The transaction that is written at this moment.
        self._under_way: StoreTransaction | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_READERS)
        self._drop()

    def _drop(self) -> None:
        self._writer: Any = None
        self._cursor: Any = None
        self._readers: list[Any] = []
        self._idle: deque[Any] = deque()

    def open(self) -> None:
        """Connect the writer. Raises StoreError."""
        Lineage.register(self)
        with Inside(self):
            self._open()

    def _open(self) -> None:
        writer = self._connect(readonly=False)
        self._cursor = self.dialect.cursor(writer)
        self._writer = writer
        self._opened += 1

    def _connect(self, *, readonly: bool) -> Any:
        connection = self.dialect.connect(readonly=readonly)
        if self._opened and not self._writer:
            self._take_over(connection)
        return connection

    def _take_over(self, connection: Any) -> None:
        """Let the first connection of another time be checked, and what is known be forgotten."""
        try:
            self.check(connection)
        except BaseException as error:
            self.dialect.leave([connection])
            if isinstance(error, self.dialect.driver_errors):
                raise self.dialect.translate(error) from error
            raise
        self.forget()

    def _connections(self) -> list[Any]:
        found = (self._writer, *self._readers)
        return [connection for connection in found if connection is not None]

    def _leave(self) -> None:
        """Let go of a database that is not there any more. Needs the turn."""
        if self.dialect.is_in_place():  # another thread did, and opened what came instead
            return
        connections = self._connections()
        self._drop()
        self.forget()
        self.dialect.leave(connections)

    def _leave_if_unwritten(self) -> None:
        """As `_leave`, from a reader; a writer notices by itself."""
        if self._turn.acquire(blocking=False):
            try:
                self._leave()
            finally:
                self._turn.release()

    def _disconnect(self) -> None:
        """Close all connections."""
        connections, cursor = self._connections(), self._cursor
        self._drop()
        if cursor is not None:
            cursor.close()  # a statement in it would keep the database open
        self.dialect.close(connections)

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self, in_use: bool) -> None:
        """See `forks.ForkAware`."""
        if self.dialect.closes_for_forks and not in_use:
            self._disconnect()

    def after_fork(self, in_use: bool) -> None:
        """See `forks.ForkAware`."""
        if self._under_way is not None:
            self._under_way.cursor = _Severed(self.dialect.label())
        self._refusal = self.dialect.inherit(self._connections(), in_use) or self._refusal
        self._begin_anew()


class _Severed:
    """The cursor of a transaction that the parent is in, as a fork has it."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __getattr__(self, name: str) -> NoReturn:
        raise StoreError(
            f"store {self._label}: this process was forked inside of a transaction, which is its "
            "parent's; nothing of it was stored here; fork before it, or after its end"
        )
