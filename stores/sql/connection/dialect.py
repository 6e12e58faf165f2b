"""The seam between databases: only what differs between them is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa


class Moment(Protocol):
    """Epoch microseconds, maybe known to the database alone until somebody asks: an int is one."""

    def __add__(self, micros: int, /) -> Any: ...
    def __int__(self) -> int: ...


class Dialect(Protocol):
    """What a database brings: its SQL compiler, connections, and a few words of its own."""

    sqlalchemy: Any
    # What `{key}` and the like stand for in migrations.
    ddl: Mapping[str, str]
    # What `{each}` and the like stand for in checks.
    functions: Mapping[str, str]
    migrates_itself: bool
    # Whether several transactions write at the same time, so that order takes locks.
    concurrent: bool
    # Whether statements run in this process: then one for each of a few rows costs less than one
    # for all of them; else each is a message.
    in_process: bool
    # Whether the rows of a statement can be read after the next one, so that both are one message.
    pipelined: bool
    # Whether a statement can change rows within WITH, as the fused plan does.
    changes_in_with: bool

    def rows(self, parameter: str, **columns: type[sa.types.TypeEngine[Any]]) -> Any:
        """A row source from one JSON parameter: an array of arrays, a column for each position."""
        ...

    def scalars(self, parameter: str) -> Any:
        """A select of one integer column from one JSON parameter: an array of integers."""
        ...

    def texts(self, parameter: str) -> Any:
        """A select of one text column from one JSON parameter: an array of strings."""
        ...

    def is_one_of(self, column: sa.ColumnElement[Any], parameter: str) -> Any:
        """Whether the column is one of the names of a parameter, which `name_list` makes."""
        ...

    def name_list(self, names: Sequence[str]) -> str:
        """Names, without line breaks in them, as the parameter of `is_one_of`."""
        ...

    def insert(self, table: sa.Table) -> Any:
        """The database's own insert, which can say what to do on a conflict."""
        ...

    def inserted(self, parameter: str, table: sa.Table, columns: Sequence[str]) -> Any | None:
        """A select of many rows from one JSON parameter, typed as the table's columns.

        None where one statement for many rows is no faster than one for each.
        """
        ...

    def connect(self, *, readonly: bool) -> Any:
        """A new connection of the driver. Raises StoreError in one clear line."""
        ...

    def cursor(self, connection: Any) -> Any:
        """The cursor for writes."""
        ...

    def begin(self, cursor: Any) -> Moment:
        """Start a transaction that will write; returns the time that leases expire by (µs).

        It may be sent with what comes first in it.
        """
        ...

    def was_lost(self, cursor: Any) -> bool:
        """Whether the connection turned out to be lost before anything was done in it."""
        ...

    def begin_read(self, cursor: Any) -> int:
        """Start a transaction that sees one moment; returns the time that leases expire by."""
        ...

    def commit(self, cursor: Any, *, news: int) -> None:
        """Commit. For so many of its writes, hint to others that there may be work: see `watch`."""
        ...

    def translate(self, error: Exception) -> Exception:
        """The driver's error as one of ours, with what to do."""
        ...

    def is_data_error(self, error: Exception) -> bool:
        """Whether the error is the fault of one row and not of the database."""
        ...

    def is_unfit(self, error: Exception) -> bool:
        """Whether a value is at fault that the database could never hold."""
        ...

    def is_damage(self, error: Exception) -> bool:
        """Whether the error says that what is stored is damaged, not that it is out of reach."""
        ...

    def damages(self, cursor: Any, most: int) -> list[str]:
        """What the database itself finds wrong with what it stores: at most `most` lines of text.

        It also lets the transaction read whole tables as fast as it can.
        """
        ...

    def stream(self, cursor: Any, sql: str) -> Iterator[Sequence[Any]]:
        """The rows of a query, read a few at a time; `cursor` is not to be used meanwhile."""
        ...

    def tables(self, cursor: Any) -> list[str]:
        """The tables there are, by name."""
        ...

    def shape(self, cursor: Any) -> frozenset[str]:
        """The parts of the schema, each as a line: see `shape_lines`."""
        ...

    def fingerprint(self, cursor: Any) -> str:
        """A digest of the schema as the migrations make it here; see `shape.FINGERPRINTS`."""
        ...

    @property
    def driver_errors(self) -> type[Exception]: ...

    @property
    def shares_connection(self) -> bool:
        """Whether all use one connection, as an in-memory database must."""
        ...

    @property
    def closes_for_forks(self) -> bool:
        """Whether no connection may be open while the process forks, on either side of it."""
        ...

    def watch(self, version: Callable[[], int]) -> Any:
        """A `ports.Watch`; `version()` asks `connection_version` of the writer."""
        ...

    def connection_version(self, connection: Any) -> int:
        """A number that changes when another connection than this one commits."""
        ...

    def is_open(self, connection: Any) -> bool:
        """Whether the connection can still be used; one that cannot is made anew."""
        ...

    def check_in_place(self) -> None:
        """Raises StoreGone when others would not find what is stored through open connections."""
        ...

    def is_in_place(self) -> bool:
        """Whether there are open connections, and others would find what is stored through them."""
        ...

    def close(self, connections: Sequence[Any]) -> None:
        """Close all connections there are, or leave them where that would do harm."""
        ...

    def leave(self, connections: Sequence[Any]) -> None:
        """Let go of connections to what is not in place any more; later ones may be to another."""
        ...

    def inherit(self, connections: Sequence[Any], in_use: bool) -> str | None:
        """In a forked child: let go of connections without a word, for they are the parent's.

        `in_use` says that a thread was using them. Returns why the child cannot have any of its
        own, or None if it can.
        """
        ...

    def is_passing(self, error: Exception) -> bool:
        """Whether the same transaction may well succeed when it is tried again at once."""
        ...

    def lock_migrations(self, cursor: Any) -> None:
        """Keep other processes from migrating until this transaction ends."""
        ...

    def label(self) -> str:
        """The store's address without secrets, for messages."""
        ...
