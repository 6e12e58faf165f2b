"""Transactions: one writer with group commit, and short reads beside it.

Writes of many threads that wait for the writer at the same moment share one transaction and one
fsync; each has a savepoint of its own, so one that fails takes nothing of the others along. Where
transactions run side by side, only writes of one batch do: the others lock rows, each in order, and
several of them in one transaction would do so in no order and deadlock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from stepwell.engine.crash_points import Write, is_armed, reach
from stepwell.engine.errors import (
    CorruptData,
    InvalidInput,
    RuntimeClosed,
    StoreError,
    StoreGone,
)
from stepwell.engine.forks import Inside
from stepwell.stores.sql.connection.connections import Connections
from stepwell.stores.sql.connection.dialect import Dialect, Moment
from stepwell.stores.sql.connection.group_commit import Group, GroupCommit, Ticket
from stepwell.stores.sql.connection.statements import StoreTransaction

T = TypeVar("T")

# How often a transaction is tried that lost a deadlock, say.
MAX_TRIES = 5


class TryAgain(Exception):
    """A write that has to be begun again: another one came before it had locked what it needs."""


class Database(Connections):
    """The connections of one store in one process. Safe to use from many threads."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.queue = GroupCommit(self._commit_group, mixed=not dialect.concurrent)
        # Whether the writes of a group are run, which says where an error came from.
        self._working = False
        self.transactions = 0

    def write(self, work: Callable[[StoreTransaction], T], kind: Write | None = None) -> T:
        """Run `work` in a write transaction; durable on return.

        `work` may run in another thread, and must not touch anything but the transaction. If it
        raises, nothing of it is stored and the error is passed on; a driver's error becomes a
        StoreError, unless it is the fault of the data. `kind` gives it its crash points.
        """
        ticket = Ticket(work, kind=kind)
        self.queue.write(ticket)
        return self._result(ticket)

    def write_with_others(
        self,
        batch: Callable[[StoreTransaction, Sequence[Any]], Sequence[T]],
        item: Any,
        kind: Write | None = None,
    ) -> T:
        """As `write`, for `batch`, which works on many items as fast as on one.

        It is given `item` together with those that other threads bring at the same moment for
        the same `batch`, and returns a result for each. If it raises, each is tried by itself.
        """
        ticket = Ticket(lambda tx: batch(tx, (item,))[0], batch, item, kind)
        self.queue.write(ticket)
        return self._result(ticket)

    def _result(self, ticket: Ticket[T]) -> T:
        """What a write that is done returns or raises."""
        if ticket.error is not None:
            raise self._readable(ticket.error)
        if ticket.kind is not None:
            reach(ticket.kind.before_acknowledgement)
        return ticket.result  # type: ignore[return-value]  # set when there is no error

    def _commit_group(self, group: Group) -> None:
        """Commit the writes of a group, again if that may help, or set their errors."""
        tries = 0
        with self._turn, Inside(self):
            while True:
                tries += 1
                try:
                    self._check_open()
                    self._commit(group)
                except BaseException as error:
                    if isinstance(error, StoreGone):
                        self._leave()
                    if tries < MAX_TRIES and self._is_passing(error):
                        continue
                    if len(group) > 1 and _is_batch(group) and self._is_of_one(error):
                        tries = 0
                        for ticket in group:  # each by itself, then
                            ticket.batch = None
                        continue
                    _fail(group, error)
                return

    def _is_of_one(self, error: BaseException) -> bool:
        """Whether one write of a batch may be at fault, and certainly nothing was committed."""
        if isinstance(error, self.dialect.driver_errors):
            return self.dialect.is_data_error(error)
        return isinstance(error, Exception) and self._working

    def _is_passing(self, error: BaseException) -> bool:
        """Whether the same transaction may succeed if it is tried again."""
        if not isinstance(error, self.dialect.driver_errors):
            return isinstance(error, TryAgain)
        return self.dialect.is_passing(error) or self.dialect.was_lost(self._cursor)

    def _commit(self, group: Group) -> None:
        """Run the writes of a group in one transaction."""
        self._working = False
        if is_armed():
            _reach(group, "before_begin")
        now = self._begin()
        tx = self._under_way = StoreTransaction(self._cursor, self.dialect, now)
        try:
            self._working = True
            if len(group) == 1:
                group[0].result = group[0].work(tx)
                news: int = tx.take_news()
            else:
                news = self._run_several(group, tx)
            self._working = False
            if is_armed():
                _reach(group, "before_commit")
            self._check_in_place(tx)
            self.dialect.commit(tx.cursor, news=news)
            self.transactions += 1
            if is_armed():
                _reach(group, "after_commit")
        except BaseException:
            with suppress(self.dialect.driver_errors):
                tx.cursor.execute("ROLLBACK")
            raise
        finally:
            self._under_way = None

    def _check_in_place(self, tx: StoreTransaction) -> None:
        """Raises StoreGone when others would not find what is about to be committed."""
        if tx.cursor is not self._cursor:  # another thread noticed
            raise StoreGone(f"store {self.dialect.label()}: its file is not there any more")
        self.dialect.check_in_place()

    def _begin(self) -> Moment:
        """Begin a write; on a new connection if that was lost while nobody used it."""
        if self._writer is not None and self.dialect.is_open(self._writer):
            try:
                return self.dialect.begin(self._cursor)
            except self.dialect.driver_errors:
                if self.dialect.is_open(self._writer):
                    raise
        self._open()
        return self.dialect.begin(self._cursor)

    def _run_several(self, group: Group, tx: StoreTransaction) -> int:
        """Run the writes of a group, batches first; returns how many of them are news."""
        if _is_batch(group):
            _run_batch(group, tx)
            return tx.take_news()
        news = 0
        for ticket in self._run_batches(group, tx):
            news += tx.take_news()
            self._run_in_savepoint(ticket, tx)
        return news + tx.take_news()

    def _run_batches(self, group: Group, tx: StoreTransaction) -> Group:
        """Run what can be done together; returns those that are to be run one by one."""
        batches: dict[Any, Group] = {}
        for ticket in group:
            if ticket.batch is not None:
                batches.setdefault(ticket.batch, []).append(ticket)
        done: set[Ticket[Any]] = set()
        for tickets in batches.values():
            if len(tickets) > 1:
                together: Ticket[Any] = Ticket(partial(_run_batch, tickets))
                self._run_in_savepoint(together, tx)
                if together.error is None:
                    done.update(tickets)
        return [ticket for ticket in group if ticket not in done]

    def _run_in_savepoint(self, ticket: Ticket[Any], tx: StoreTransaction) -> None:
        tx.cursor.execute("SAVEPOINT one")
        try:
            ticket.error = None
            ticket.result = ticket.work(tx)
            tx.cursor.execute("RELEASE one")
        except Exception as error:
            if isinstance(error, self.dialect.driver_errors) and self.dialect.is_passing(error):
                raise  # the whole group is tried again
            tx.cursor.execute("ROLLBACK TO one")
            tx.cursor.execute("RELEASE one")
            ticket.error = error

    @contextmanager
    def read(self) -> Iterator[StoreTransaction]:
        """A read transaction that sees one moment. Keep it short."""
        self._check_open()
        if self.dialect.shares_connection:
            with self._turn, self._clear_errors(), Inside(self):
                cursor = self._writer.cursor()
                try:
                    yield StoreTransaction(cursor, self.dialect, self.dialect.begin_read(cursor))
                finally:
                    cursor.close()
            return
        with self._places, self._clear_errors(), Inside(self):
            connection = cursor = None
            try:
                connection, cursor, now = self._begin_read()
                yield StoreTransaction(cursor, self.dialect, now)
            finally:
                if cursor is not None and connection in self._readers:
                    with suppress(self.dialect.driver_errors):
                        # Nothing was changed. After a rollback a driver prepares all anew.
                        cursor.execute("COMMIT")
                    cursor.close()
                    self._idle.append(connection)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except StoreGone:
            self._leave_if_unwritten()
            raise
        except self.dialect.driver_errors as error:
            raise self.dialect.translate(error) from error
        except UnicodeEncodeError as error:
            raise _unfit(error) from None
        except OverflowError:  # what callers ask with is checked: this is what was read before
            raise CorruptData(
                f"store {self.dialect.label()}: a number in it is out of range; "
                "look at it with: stepwell verify"
            ) from None

    def ask(self, question: Callable[[StoreTransaction], T]) -> T:
        """What a single statement reads. It is a moment of its own and needs no transaction.

        `question` may be called twice, and cannot use the transaction's time.
        """
        if self.dialect.shares_connection:
            with self.read() as tx:
                return question(tx)
        self._check_open()
        with self._places, self._clear_errors(), Inside(self):
            self.dialect.check_in_place()
            while self._idle:
                connection = self._idle.pop()
                try:
                    with closing(connection.cursor()) as cursor:
                        return question(StoreTransaction(cursor, self.dialect, 0))
                except self.dialect.driver_errors:
                    if self.dialect.is_open(connection):
                        raise
                finally:  # one that was lost while nobody used it is left
                    self._give_back(connection)
        with self.read() as tx:  # on a new connection
            return question(tx)

    def _begin_read(self) -> tuple[Any, Any, int]:
        """A reader with its transaction begun. One that was lost while nobody used it is left."""
        self.dialect.check_in_place()
        while self._idle:
            connection = self._idle.pop()
            try:
                cursor = connection.cursor()
                return connection, cursor, self.dialect.begin_read(cursor)
            except self.dialect.driver_errors:
                self._give_back(connection)
                if self.dialect.is_open(connection):
                    raise
        connection = self._connect(readonly=True)
        self._readers.append(connection)
        if self._closed:  # meanwhile, by another thread, which may not have seen this one
            connection.close()
            self._check_open()
        cursor = connection.cursor()
        try:
            return connection, cursor, self.dialect.begin_read(cursor)
        except self.dialect.driver_errors:
            self._idle.append(connection)
            raise

    def _give_back(self, connection: Any) -> None:
        """A reader is free again; one that was lost while nobody used it is left."""
        if connection not in self._readers:  # left already
            return
        if self.dialect.is_open(connection):
            self._idle.append(connection)
        else:
            self._readers.remove(connection)

    def version(self) -> int:
        """A number that changes when another process or connection commits. Raises StoreError."""
        with self._turn, self._clear_errors(), Inside(self):
            self._check_open()
            try:
                if self._writer is None:
                    self._open()
                self.dialect.check_in_place()
            except StoreGone:
                self._leave()
                raise
            # That of another connection may be the same by chance.
            return (self._opened << 32) + self.dialect.connection_version(self._writer)

    def close(self) -> None:
        """Close all connections."""
        with self._turn, Inside(self):
            if self._closed:
                return
            self._closed = True
            self._disconnect()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeClosed(f"store {self.dialect.label()} is closed")
        if self._refusal is not None:
            raise StoreError(f"store {self.dialect.label()}: {self._refusal}")

    def after_fork(self, in_use: bool) -> None:
        """See `forks.ForkAware`."""
        super().after_fork(in_use)
        self.queue.begin_anew()

    def _readable(self, error: BaseException) -> BaseException:
        if isinstance(error, self.dialect.driver_errors) and not self.dialect.is_data_error(error):
            translated = self.dialect.translate(error)
            translated.__cause__ = error
            return translated
        return _unfit(error) if isinstance(error, (UnicodeEncodeError, OverflowError)) else error


def _is_batch(group: Sequence[Ticket[Any]]) -> bool:
    """Whether all of them are done at once, by the same function."""
    batch = group[0].batch
    return batch is not None and all(ticket.batch == batch for ticket in group[1:])


def _run_batch(tickets: Sequence[Ticket[Any]], tx: StoreTransaction) -> None:
    batch = tickets[0].batch
    assert batch is not None
    results = batch(tx, [ticket.item for ticket in tickets])
    for ticket, result in zip(tickets, results, strict=True):
        ticket.result, ticket.error = result, None


def _reach(group: Group, moment: str) -> None:
    """All writes of the group have come so far."""
    for kind in dict.fromkeys(ticket.kind for ticket in group):
        if kind is not None:
            reach(getattr(kind, moment))


def _unfit(error: UnicodeEncodeError | OverflowError) -> InvalidInput:
    """Why a driver could not even hand a value over to its database."""
    if isinstance(error, OverflowError):
        return InvalidInput("a whole number is out of range for the store: over 63 bits")
    return InvalidInput(f"{ascii(error.object)[:80]} has a lone surrogate; use valid Unicode text")


def _fail(group: Group, error: BaseException) -> None:
    for ticket in group:
        ticket.error = ticket.error or error
