"""A cursor that makes few round trips: what nobody reads the rows of waits for what somebody does.

A message to the server and back costs more than many a statement. So statements are kept until
the rows of one are asked for, and then all of them go in one message, in their order::

    BEGIN; EXECUTE lock_runs('{1}'); EXECUTE succeed(…)      ──▶ rows
    COMMIT                                                    ──▶ it is on disk

What fails is told when the message is sent. The server prepares each statement once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

# A statement is prepared when it comes for the second time; many are for once only.
PREPARE_AFTER = 1
# Longer texts, in characters, are bound, in a message of their own. For shorter ones that message
# costs more than it takes the server to read them as part of a statement.
MAX_LITERAL = 16_384


class Rows:
    """The rows of one statement. Asking for them sends it, if it was not sent yet."""

    __slots__ = ("_cursor", "_next", "_rows")

    def __init__(self, cursor: PipelinedCursor) -> None:
        self._cursor = cursor
        self._rows: list[Any] | None = None
        self._next = 0

    def arrived(self, rows: list[Any]) -> None:
        """These are the rows."""
        self._rows = rows

    @property
    def here(self) -> bool:
        """Whether they were fetched from the server."""
        return self._rows is not None

    def first(self) -> Any:
        """The first row, also if it was fetched already."""
        if self._rows is None:
            self._cursor.send()
        return (self._rows or [None])[0]

    def fetchall(self) -> list[Any]:
        """All rows that were not fetched yet."""
        if self._rows is None:
            self._cursor.send()
        rows = (self._rows or [])[self._next :]
        self._next += len(rows)
        return rows

    def fetchone(self) -> Any:
        """The next row; None after the last one."""
        if self._rows is None:
            self._cursor.send()
        if self._rows is None or self._next >= len(self._rows):
            return None
        self._next += 1
        return self._rows[self._next - 1]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())

    def close(self) -> None:
        """Nothing to give back."""


class BegunAt:
    """A time that the server knows: it is read there, so that nobody waits to be told of it.

    `sql` gives it, and so does the one row of `rows`; `later` is added to both (µs).
    """

    __slots__ = ("_later", "_rows", "_sql", "_told")

    def __init__(self, sql: str, rows: Rows, later: int = 0) -> None:
        self._sql, self._rows, self._later = sql, rows, later
        self._told: int | None = None

    def __add__(self, micros: int) -> BegunAt:
        later = BegunAt(self._sql, self._rows, self._later + micros)
        later._told = None if self._told is None else self._told + micros
        return later

    def __int__(self) -> int:
        if self._told is None:
            self._told = int(self._rows.first()[0]) + self._later
        return self._told

    def literal(self) -> str:
        """As SQL; the number, once that is known."""
        if self._told is not None or self._rows.here:
            return str(int(self))
        return f"{self._sql} + {self._later}" if self._later else self._sql


class PipelinedCursor:
    """Used as the cursor of a psycopg connection whose cursors take `$1` and prepare nothing.

    The server must read backslashes in literals as they are (`standard_conforming_strings`).
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._cursor = connection.cursor()
        self._seen: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._made = 0
        self._waiting: list[tuple[str, Rows | None]] = []
        self._preparing: list[str] = []
        # Whether the server answered since the transaction was begun.
        self.answered = False

    @property
    def description(self) -> Any:
        """The columns of the last command."""
        return self._cursor.description

    def begin(self, command: str) -> None:
        """Begin a transaction, together with what comes first in it."""
        self._waiting.append((command, None))
        self.answered = False

    def execute(self, sql: str, values: Sequence[Any] | None = None) -> Any:
        """Run a statement, at the latest when its rows are asked for.

        A command, which has no `values`, is run at once.
        """
        if values is None:
            self.send()
            return self._cursor.execute(sql)
        name = self._names.get(sql)
        literals = None if name is None and not self._is_used_again(sql) else _literals(values)
        rows = Rows(self)
        if literals is None:
            self.send()
            self._cursor.execute(sql, _plain(values), prepare=name is not None)
            rows.arrived(self._fetched())
            return rows
        if name is None:
            name = self._prepare(sql, values)
        self._waiting.append((f"EXECUTE {name}({literals})" if values else f"EXECUTE {name}", rows))
        return rows

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each of `rows`."""
        self.send()
        self._cursor.executemany(sql, rows)

    def send(self, *commands: str) -> None:
        """Send what waits, and these commands after it. Nothing waits if it fails."""
        waiting, self._waiting = self._waiting, []
        waiting += [(command, None) for command in commands]
        if not waiting:
            return
        preparing, self._preparing = self._preparing, []
        try:
            self._cursor.execute("; ".join([text for text, _ in waiting]))
        except BaseException:
            for sql in preparing:  # it may have been prepared, or not: it gets another name
                del self._names[sql]
            raise
        self.answered = True
        for _, rows in waiting:
            if rows is not None:
                rows.arrived(self._fetched())
            self._cursor.nextset()

    def close(self) -> None:
        """Close the cursor."""
        self._cursor.close()

    def _fetched(self) -> list[Any]:
        return [] if self._cursor.description is None else list(self._cursor.fetchall())

    def _is_used_again(self, sql: str) -> bool:
        times = self._seen[sql] = self._seen.get(sql, 0) + 1
        return times > PREPARE_AFTER

    def _prepare(self, sql: str, values: Sequence[Any]) -> str:
        self._made += 1
        name = self._names[sql] = f"stepwell_{self._made}"
        # A text takes the type of what it is used as.
        types = ["bigint" if isinstance(value, int | BegunAt) else "unknown" for value in values]
        kinds = f"({', '.join(types)})" if types else ""
        self._waiting.append((f"PREPARE {name}{kinds} AS {sql}", None))
        self._preparing.append(sql)
        return name


def _plain(values: Sequence[Any]) -> Sequence[Any]:
    return [int(value) if isinstance(value, BegunAt) else value for value in values]


def _literals(values: Sequence[Any]) -> str | None:
    """Values as SQL; None if one of them had better be a parameter."""
    literals = []
    for value in values:
        if value is None:
            literals.append("NULL")
        elif isinstance(value, str):
            if len(value) > MAX_LITERAL or "\0" in value:
                return None
            literals.append("'" + value.replace("'", "''") + "'")
        elif type(value) is int:
            literals.append(str(value))
        elif isinstance(value, BegunAt):
            literals.append(value.literal())
        else:
            return None
    return ", ".join(literals)
