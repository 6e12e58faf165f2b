"""Statements: written once with SQLAlchemy Core, compiled once, run on the driver's cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_json

from stepwell.engine.states import Act, StepStatus, sources, target
from stepwell.stores.sql.dialect import Dialect


class Statement:
    """One statement with its parameters in a fixed order; call it with a cursor and values.

    Constants inside the statement (`values(status="ready")`) are bound by themselves.
    """

    __slots__ = ("_clause", "_names", "_plain", "_plan", "_sql")

    def __init__(self, clause: sa.ClauseElement, *names: str) -> None:
        self._clause = clause
        self._names = names
        self._sql: str | None = None
        self._plan: list[tuple[int, Any]] = []
        self._plain = False

    def _compile(self, dialect: Dialect) -> str:
        compiled: Any = self._clause.compile(dialect=dialect.sqlalchemy)
        positions = {name: index for index, name in enumerate(self._names)}
        order = compiled.positiontup or []
        unknown = set(positions) - set(order)
        if unknown:
            raise AssertionError(f"no parameters {unknown} in: {compiled}")
        self._plan = [(positions.get(name, -1), compiled.params.get(name)) for name in order]
        self._plain = [index for index, _ in self._plan] == list(range(len(self._names)))
        self._sql = str(compiled)
        return self._sql

    def __call__(self, tx: Transaction, *values: Any) -> Any:
        """Run it; returns the cursor, for its rows."""
        sql = self._sql or self._compile(tx.dialect)
        if not self._plain:
            values = tuple(values[i] if i >= 0 else constant for i, constant in self._plan)
        return tx.cursor.execute(sql, values)

    def rows(self, tx: Transaction, *values: Any) -> Any:
        """Run it on a cursor of its own; returns that, for rows read one by one. Close it."""
        return self(Transaction(tx.cursor.connection.cursor(), tx.dialect, tx.now), *values)

    def many(self, tx: Transaction, rows: Sequence[Sequence[Any]]) -> None:
        """Run it once for each row of values."""
        sql = self._sql or self._compile(tx.dialect)
        if not self._plain:
            plan = self._plan
            rows = [tuple(row[i] if i >= 0 else const for i, const in plan) for row in rows]
        if len(rows) == 1:
            tx.cursor.execute(sql, rows[0])
        else:
            tx.cursor.executemany(sql, rows)


# Rows in one statement, and the longest JSON text they may make, in bytes.
MAX_ROWS = 2_000
MAX_ROWS_JSON = 32 << 20


class Insert(Statement):
    """An insert of rows; `together`, where there is one, takes them all as one JSON parameter."""

    __slots__ = ("_together",)

    def __init__(self, one: Any, names: Sequence[str], together: Any | None) -> None:
        super().__init__(one, *names)
        self._together = None if together is None else Statement(together, "rows")

    def many(self, tx: Transaction, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows."""
        if self._together is None or len(rows) == 1:
            super().many(tx, rows)
            return
        for start in range(0, len(rows), MAX_ROWS):
            part = rows[start : start + MAX_ROWS]
            text = rows_json(part)
            if len(text) > MAX_ROWS_JSON:
                super().many(tx, part)
            else:
                self._together(tx, text)


class Transaction:
    """A driver's cursor inside a transaction, with the store's time for all of it.

    `news` is set when its commit may give other processes something to do; `made_ready` are the
    keys of steps that are ready now and will be news, unless they are claimed in it as well.
    """

    __slots__ = ("cursor", "dialect", "made_ready", "news", "now")

    def __init__(self, cursor: Any, dialect: Dialect, now: int) -> None:
        self.cursor = cursor
        self.dialect = dialect
        self.now = now
        self.news = False
        self.made_ready: set[int] = set()


class Statements:
    """Base of the rooms' statement collections: made once per store, for its dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect


def bind(name: str) -> sa.BindParameter[Any]:
    """A parameter."""
    return sa.bindparam(name)


def insert(dialect: Dialect, table: sa.Table, *columns: str) -> Insert:
    """An insert of these columns, or of all."""
    names = columns or tuple(column.name for column in table.columns)
    one = sa.insert(table).values({name: bind(name) for name in names})
    source = dialect.inserted("rows", table, names)
    return Insert(
        one, names, None if source is None else sa.insert(table).from_select(names, source)
    )


def upsert(dialect: Dialect, table: sa.Table, *key: str) -> Insert:
    """An insert of all columns that replaces the row with the same key."""
    names = tuple(column.name for column in table.columns)
    one = dialect.upsert(table, key, None)
    source = dialect.inserted("rows", table, names)
    together = None if source is None else dialect.upsert(table, key, source)
    return Insert(one, names, together)


def literal(status: str) -> sa.ColumnElement[str]:
    """A status as literal SQL: partial indexes are used only with literals."""
    return sa.literal_column(f"'{StepStatus(status)}'", sa.Text)


def status_in(column: sa.ColumnElement[Any], statuses: Iterable[StepStatus]) -> Any:
    """`column` is one of `statuses`, as literals."""
    choices = sorted(statuses)
    if len(choices) == 1:
        return column == literal(choices[0])
    return column.in_([literal(status) for status in choices])


# As in the partial index of the schema.
UNSUCCESSFUL = (StepStatus.CANCELED, StepStatus.FAILED, StepStatus.SKIPPED)


def may(act: Act, column: sa.ColumnElement[Any]) -> Any:
    """The guard of `act`, from the table of transitions."""
    return status_in(column, sources(act))


def still_may(act: Act, column: sa.ColumnElement[Any]) -> Any:
    """The guard of `act` on rows that are found by their keys.

    It is the same as `may`, but no partial index fits it: a planner that believes a hot state to
    be empty must not read all of it instead of a few keys.
    """
    return status_in(sa.func.coalesce(column, ""), sources(act))


def becomes(act: Act) -> sa.ColumnElement[str]:
    """The status `act` leads to."""
    return literal(target(act))


def rows_json(rows: Sequence[Any]) -> str:
    """Rows as the one JSON parameter that `Dialect.rows` reads."""
    return to_json(rows).decode()
