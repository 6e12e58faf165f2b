"""Counts what really reaches a database: SQLite's own trace, and libpq's trace of the wire.

Every connection that this process opens meanwhile is listened to, whoever opens it. What fires a
trigger on SQLite is heard once more for it; the schema has none.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from unittest import mock

import psycopg

# Timestamps would only be in the way (PQTRACE_SUPPRESS_TIMESTAMPS).
NO_TIMES = 1
BEGIN, END = {"BEGIN"}, {"COMMIT", "ROLLBACK"}
IGNORED = {"PRAGMA", "SET", "LISTEN", "NOTIFY", "PREPARE"}
WRITES = {"INSERT", "UPDATE", "DELETE"}


@dataclass(frozen=True, slots=True)
class Counts:
    """Committed write transactions, the statements in them, and those beside them: reads, and
    what was rolled back. A statement that is run for each of many rows counts as often.
    """

    transactions: int
    statements: int
    reads: int

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.transactions - other.transactions,
            self.statements - other.statements,
            self.reads - other.reads,
        )


class Connection:
    """What one connection did, told word by word: the first word of each statement."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self._open: Counter[str] | None = None

    def heard(self, word: str, *, reading: bool = False) -> None:
        if word in IGNORED:
            return
        if word in BEGIN:
            self._open = Counter(reading=int(reading))
        elif word in END:
            opened, self._open = self._open or Counter(), None
            writes = word == "COMMIT" and not opened["reading"]
            self.done["transactions"] += writes
            self.done["statements" if writes else "reads"] += opened["statements"]
        elif self._open is not None:
            self._open["statements"] += 1
        elif word in WRITES:  # a transaction of its own
            self.done.update(transactions=1, statements=1)
        else:
            self.done["reads"] += 1


class Listener:
    """Hears the connections of this process."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self._folder = folder
        self._open = opened
        self._connections: list[Connection] = []
        self._wires: list[tuple[IO[str], Connection]] = []

    def counts(self) -> Counts:
        """What was done until now."""
        for wire, connection in self._wires:
            for line in wire:
                _hear(line, connection)
        total: Counter[str] = Counter()
        for connection in self._connections:
            total.update(connection.done)
        return Counts(total["transactions"], total["statements"], total["reads"])

    def on_sqlite(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        heard = Connection()
        self._connections.append(heard)

        def trace(statement: str) -> None:
            word = statement.split(None, 1)[0].upper()
            heard.heard(word, reading=statement.upper() == "BEGIN")

        connection.set_trace_callback(trace)
        return connection

    def on_postgres(self, connection: Any) -> Any:
        heard = Connection()
        self._connections.append(heard)
        place = self._folder / str(len(self._connections))
        into = self._open.enter_context(place.open("w", encoding="utf-8"))
        # Another description of the same file: the two have a place of their own in it.
        self._wires.append((self._open.enter_context(place.open(encoding="utf-8")), heard))
        connection.pgconn.trace(into.fileno())
        connection.pgconn.set_trace_flags(NO_TIMES)
        return connection


def _hear(line: str, connection: Connection) -> None:
    """A line is `B`, a length, the kind of message, and its fields."""
    parts = line.split("\t")
    if len(parts) >= 4 and parts[0] == "B" and parts[2] == "CommandComplete":
        connection.heard(parts[3].strip().strip('"').split()[0])


@contextmanager
def listening() -> Iterator[Listener]:
    """Hear every connection that is opened in the block."""
    sqlite: Any = sqlite3.connect
    postgres: Any = psycopg.connect
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        the = Listener(Path(folder), stack)
        for module, connect in (
            (sqlite3, lambda *given, **options: the.on_sqlite(sqlite(*given, **options))),
            (psycopg, lambda *given, **options: the.on_postgres(postgres(*given, **options))),
        ):
            stack.enter_context(mock.patch.object(module, "connect", connect))
        yield the
