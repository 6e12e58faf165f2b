"""The seam between databases: only what differs between them is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa


class Moment(Protocol):
    """Epoch microseconds, which only the database may know until somebody asks; an int is one."""

    def __add__(self, micros: int, /) -> Any: ...
    def __int__(self) -> int: ...


class Dialect(Protocol):
    """What differs between databases: SQL compiler, connections, and a few constructs."""

    sqlalchemy: Any
    # The values of `{key}` and other names in migrations.
    ddl: Mapping[str, str]
    # The values of `{each}` and other names in checks.
    functions: Mapping[str, str]
    migrates_itself: bool
    # Whether several transactions write at the same time, so that rows have to be locked.
    concurrent: bool
    # Whether statements run in this process: then one statement for each of a few rows costs less
    # than one for all rows. Otherwise each statement is a message to a server.
    in_process: bool
    # Whether the rows of a statement can be read after the next one was sent: one round trip.
    pipelined: bool
    # Whether a statement can change rows within WITH, as the fused plan does.
    changes_in_with: bool

    def rows(self, parameter: str, **columns: type[sa.types.TypeEngine[Any]]) -> Any:
        """Rows from one JSON parameter: an array of arrays, with a column for each position."""
        ...

    def scalars(self, parameter: str) -> Any:
        """A select of one integer column from one JSON parameter: an array of integers."""
        ...

    def texts(self, parameter: str) -> Any:
        """A select of one text column from one JSON parameter: an array of strings."""
        ...

    def is_one_of(self, column: sa.ColumnElement[Any], parameter: str) -> Any:
        """Whether the column is one of the names in a parameter that `name_list` made."""
        ...

    def name_list(self, names: Sequence[str]) -> str:
        """The parameter of `is_one_of` for these names, which contain no line breaks."""
        ...

    def insert(self, table: sa.Table) -> Any:
        """The database's own insert, which can say what to do on a conflict."""
        ...

    def inserted(self, parameter: str, table: sa.Table, columns: Sequence[str]) -> Any | None:
        """A select of many rows from one JSON parameter, typed as the table's columns.

        None if one statement for many rows is no faster than one for each row.
        """
        ...

    def connect(self, *, readonly: bool) -> Any:
        """A new connection of the driver. Raises StoreError with one clear line."""
        ...

    def cursor(self, connection: Any) -> Any:
        """The cursor for writes."""
        ...

    def begin(self, cursor: Any) -> Moment:
        """Start a transaction that will write; returns the time that leases expire by (µs).

        It may be sent together with the first statement.
        """
        ...

    def was_lost(self, cursor: Any) -> bool:
        """Whether the connection was found to be lost before the transaction did anything."""
        ...

    def begin_read(self, cursor: Any) -> int:
        """Start a transaction that sees one moment; returns the time that leases expire by."""
        ...

    def commit(self, cursor: Any, *, news: int) -> None:
        """Commit, and hint to others that `news` of its writes may have made work: see `watch`."""
        ...

    def translate(self, error: Exception) -> Exception:
        """The driver's error as one of ours, which says what to do."""
        ...

    def is_data_error(self, error: Exception) -> bool:
        """Whether one row is at fault and not the database."""
        ...

    def is_unfit(self, error: Exception) -> bool:
        """Whether the cause is a value that the database can never store."""
        ...

    def is_damage(self, error: Exception) -> bool:
        """Whether the error means that stored data is damaged, not that it is out of reach."""
        ...

    def damages(self, cursor: Any, most: int) -> list[str]:
        """What the database itself finds wrong with its data, as at most `most` lines of text.

        It also lets the transaction read whole tables as fast as it can.
        """
        ...

    def stream(self, cursor: Any, sql: str) -> Iterator[Sequence[Any]]:
        """The rows of a query, read a few at a time; do not use `cursor` meanwhile."""
        ...

    def tables(self, cursor: Any) -> list[str]:
        """The names of the existing tables."""
        ...

    def shape(self, cursor: Any) -> frozenset[str]:
        """The parts of the schema, each as a line: see `shape_lines`."""
        ...

    def fingerprint(self, cursor: Any) -> str:
        """A digest of the schema, to compare with `shape.FINGERPRINTS`."""
        ...

    @property
    def driver_errors(self) -> type[Exception]: ...

    @property
    def shares_connection(self) -> bool:
        """Whether all use one connection, as an in-memory database must."""
        ...

    @property
    def closes_for_forks(self) -> bool:
        """Whether no connection may be open while the process forks, in parent or child."""
        ...

    def watch(self, version: Callable[[], int]) -> Any:
        """A `ports.Watch`; `version()` asks `connection_version` of the writer."""
        ...

    def connection_version(self, connection: Any) -> int:
        """A number that changes when another connection than this one commits."""
        ...

    def is_open(self, connection: Any) -> bool:
        """Whether the connection can still be used; otherwise it is replaced."""
        ...

    def check_in_place(self) -> None:
        """Raises StoreGone if others would not see what is stored through the open connections."""
        ...

    def is_in_place(self) -> bool:
        """Whether there are open connections, and others see what is stored through them."""
        ...

    def close(self, connections: Sequence[Any]) -> None:
        """Close all connections, or leave them open if closing would do harm."""
        ...

    def leave(self, connections: Sequence[Any]) -> None:
        """Give up connections to a database that is no longer in place; another may be opened."""
        ...

    def inherit(self, connections: Sequence[Any], in_use: bool) -> str | None:
        """In a forked child: give up connections without sending anything, as the parent has them.

        `in_use` says that a thread was using them. Returns why the child cannot have connections of
        its own, or None if it can.
        """
        ...

    def is_passing(self, error: Exception) -> bool:
        """Whether the same transaction may succeed if it is tried again at once."""
        ...

    def lock_migrations(self, cursor: Any) -> None:
        """Keep other processes from migrating until this transaction ends."""
        ...

    def label(self) -> str:
        """The store's address without secrets, for messages."""
        ...
