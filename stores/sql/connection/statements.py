"""Statements: written once with SQLAlchemy Core, compiled once, run on the driver's cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from types import SimpleNamespace
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.ext.compiler import compiles

from stepwell.engine.states import Act, StepStatus, sources, target
from stepwell.stores.sql.connection.dialect import Dialect, Moment

N = TypeVar("N", bound=tuple[Any, ...])


class Parameter(sa.BindParameter[Any]):
    """A value given with each call; what else is in a statement is written into its text."""

    inherit_cache = True


@compiles(Parameter)
def _parameter(element: Parameter, compiler: Any, **options: Any) -> str:
    options["literal_binds"] = False
    return str(compiler.visit_bindparam(element, **options))


def bind(name: str, kind: Any = None) -> Parameter:
    """A parameter; `kind` is its type, where the database could not tell it from its place."""
    return Parameter(name, type_=kind)


class Statement:
    """One statement with its parameters in a fixed order; call it with a cursor and values.

    Constants inside the statement (`values(status="ready")`) are part of its text.
    """

    __slots__ = ("_arrange", "_clause", "_names", "_sql")

    def __init__(self, clause: sa.ClauseElement, *names: str) -> None:
        self._clause = clause
        self._names = names
        self._sql: str | None = None
        # From values by name to values by position; None where they are the same.
        self._arrange: Callable[[Sequence[Any]], tuple[Any, ...]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its parameters, in the order of the values that it is called with."""
        return self._names

    def compile(self, dialect: Dialect) -> str:
        """Its text for this database, which it keeps."""
        # All that plain text has is its parameters.
        literal = not isinstance(self._clause, sa.TextClause)
        compiled: Any = self._clause.compile(
            dialect=dialect.sqlalchemy, compile_kwargs={"literal_binds": literal}
        )
        order = compiled.positiontup or []
        # Some constants stay parameters all the same, as those of a cast.
        left = [name for name in dict.fromkeys(order) if name not in self._names]
        constants = tuple(compiled.params[name] for name in left)
        names = [*self._names, *left]
        places = [names.index(name) for name in order]
        if unknown := set(self._names).difference(order):
            raise AssertionError(f"no parameters {unknown} in: {compiled}")
        if places != list(range(len(self._names))):
            self._arrange = _arranger(places, constants)
        self._sql = str(compiled)
        return self._sql

    def __call__(self, tx: StoreTransaction, *values: Any) -> Any:
        """Run it; returns the cursor, for its rows."""
        sql = self._sql or self.compile(tx.dialect)
        arrange = self._arrange
        return tx.cursor.execute(sql, values if arrange is None else arrange(values))

    def rows(self, tx: StoreTransaction, *values: Any) -> Any:
        """Run it; returns a cursor for rows that are read one by one, whatever runs next.

        Close it.
        """
        if tx.dialect.pipelined:
            return self(tx, *values)
        return self(StoreTransaction(tx.cursor.connection.cursor(), tx.dialect, tx.now), *values)

    def many(self, tx: StoreTransaction, rows: Sequence[Sequence[Any]]) -> None:
        """Run it once for each of `rows` of values."""
        if len(rows) == 1:
            self(tx, *rows[0])
        else:
            self._each(tx, rows)

    def _each(self, tx: StoreTransaction, rows: Iterable[Sequence[Any]]) -> None:
        sql = self._sql or self.compile(tx.dialect)
        tx.cursor.executemany(sql, rows if self._arrange is None else map(self._arrange, rows))


def _arranger(
    places: Sequence[int], constants: tuple[Any, ...]
) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Puts values, with the constants after them, in the places of a statement's parameters."""
    if len(places) == 1:
        return lambda values: ((*values, *constants)[places[0]],)
    pick = itemgetter(*places)
    if not constants:
        return pick
    return lambda values: pick((*values, *constants))


# Rows in one statement, and the longest JSON text they may make, in bytes.
MAX_ROWS = 2_000
MAX_ROWS_JSON = 32 << 20


# Rows in one statement whose values are parameters. What the driver does for a statement is a third
# of what an edge costs; with more rows than this it becomes hardly less.
GROUP = 8


class Insert(Statement):
    """An insert of rows.

    `together`, where there is one, takes them all as one JSON parameter; `several` takes the
    values of `GROUP` rows, one after the other.
    """

    __slots__ = ("_several", "_together")

    def __init__(
        self, one: Any, names: Sequence[str], together: Any | None, several: Any | None = None
    ) -> None:
        super().__init__(one, *names)
        self._together = None if together is None else Statement(together, "rows")
        self._several: Statement | None = None
        if several is not None:
            numbered = (_numbered(name, row) for row in range(GROUP) for name in names)
            self._several = Statement(several, *numbered)

    def many(self, tx: StoreTransaction, rows: Sequence[Sequence[Any]]) -> None:
        """Insert the rows."""
        if self._together is not None and len(rows) > 1:
            for start in range(0, len(rows), MAX_ROWS):
                part = rows[start : start + MAX_ROWS]
                text = rows_json(part)
                if len(text) > MAX_ROWS_JSON:
                    super().many(tx, part)
                else:
                    self._together(tx, text)
            return
        if self._several is not None and len(rows) >= GROUP:
            whole = len(rows) // GROUP * GROUP
            groups = (rows[start : start + GROUP] for start in range(0, whole, GROUP))
            self._several._each(tx, map(tuple, map(chain.from_iterable, groups)))
            rows = rows[whole:]
        if rows:
            super().many(tx, rows)


# Rows that are too few for one statement about all of them to be cheaper.
FEW = 4


class Each:
    """A statement about each of some rows of values.

    `clause` makes it for a source of rows, whose columns are in its `c`; `names` are its other
    parameters. All rows go in one JSON parameter; but where statements run in this process, a few
    rows are taken one by one.
    """

    def __init__(
        self,
        dialect: Dialect,
        clause: Callable[[Any], Any],
        *names: str,
        **columns: type[sa.types.TypeEngine[Any]],
    ) -> None:
        self._all = Statement(clause(dialect.rows("rows", **columns)), *names, "rows")
        self._one = _of_one(clause, names, columns) if dialect.in_process else None

    def __call__(
        self, tx: StoreTransaction, rows: Sequence[Sequence[Any]], *values: Any
    ) -> list[Any]:
        """Run it; returns the rows that it tells."""
        told: list[Any]
        if self._one is None or len(rows) > FEW:
            told = self._all(tx, *values, rows_json(rows)).fetchall()
        elif len(rows) == 1:
            told = self._one(tx, *values, *rows[0]).fetchall()
        else:
            told = []
            for row in rows:
                told += self._one(tx, *values, *row).fetchall()
        return told


class Guarded:
    """An update of each of some rows, found by the `id` they begin with, if it is as expected."""

    def __init__(
        self,
        dialect: Dialect,
        clause: Callable[[Any], Any],
        *names: str,
        **columns: type[sa.types.TypeEngine[Any]],
    ) -> None:
        everything = clause(dialect.rows("rows", **columns))
        told = everything.returning(everything.table.c.id)
        self._all = Statement(told, *names, "rows")
        self._one = _of_one(clause, names, columns) if dialect.in_process else None

    def __call__(
        self, tx: StoreTransaction, rows: Sequence[Sequence[Any]], *values: Any
    ) -> set[int]:
        """Run it; returns the ids of those that were changed."""
        one = self._one
        if one is None or len(rows) > FEW:
            return {row[0] for row in self._all(tx, *values, rows_json(rows)).fetchall()}
        # To be told of them costs twice as much as the change itself.
        return {row[0] for row in rows if one(tx, *values, *row).rowcount}


def _of_one(
    clause: Callable[[Any], Any], names: Sequence[str], columns: Iterable[str]
) -> Statement:
    """The statement for a row that is given as parameters."""
    given = SimpleNamespace(c=SimpleNamespace(**{name: bind(name) for name in columns}))
    return Statement(clause(given), *names, *columns)


class StoreTransaction:
    """A driver's cursor inside a transaction, with the store's time for all of it.

    Ask for `moment` rather than `now` where it is only the value of a statement.

    `news` is set when its commit may give other processes something to do; `made_ready` are the
    keys of steps that are ready now and will be news, unless they are claimed in it as well;
    `more_ready` is set when others may be, too.
    """

    __slots__ = ("cursor", "dialect", "made_ready", "moment", "more_ready", "news")

    def __init__(self, cursor: Any, dialect: Dialect, now: Moment) -> None:
        self.cursor = cursor
        self.dialect = dialect
        self.moment = now
        self.news = False
        self.made_ready: set[int] = set()
        self.more_ready = False

    @property
    def is_news(self) -> bool:
        """Whether others should look, once it is committed."""
        return self.news or bool(self.made_ready)

    def take_news(self) -> bool:
        """`is_news` of what was written since this was last called."""
        news = self.is_news
        self.news = self.more_ready = False
        self.made_ready = set()
        return news

    @property
    def now(self) -> int:
        """When it was begun, by the database's clock."""
        return self.moment if type(self.moment) is int else int(self.moment)


def named(kind: type[N]) -> Callable[[Iterable[Any]], N]:
    """Makes rows of a NamedTuple as its `_make` does, but at the cost of a plain tuple.

    It does not count the values: they are those of a statement whose columns are the fields.
    """
    return partial(tuple.__new__, kind)


class Statements:
    """Base of the rooms' statement collections: made once per store, for its dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect


def insert(dialect: Dialect, table: sa.Table, *columns: str) -> Insert:
    """An insert of these columns, or of all."""
    names = columns or tuple(column.name for column in table.columns)
    one = sa.insert(table).values({name: bind(name) for name in names})
    source = dialect.inserted("rows", table, names)
    if source is not None:
        return Insert(one, names, sa.insert(table).from_select(names, source))
    several = [{name: bind(_numbered(name, row)) for name in names} for row in range(GROUP)]
    return Insert(one, names, None, sa.insert(table).values(several))


def _numbered(name: str, row: int) -> str:
    """The parameter for one of several rows."""
    return f"{name}_{row}"


def upsert(dialect: Dialect, table: sa.Table, *key: str) -> Insert:
    """An insert of all columns that replaces the row with the same key."""
    names = tuple(column.name for column in table.columns)
    one = upsert_of(dialect, table, key)
    source = dialect.inserted("rows", table, names)
    together = None if source is None else upsert_of(dialect, table, key, source)
    return Insert(one, names, together)


def upsert_of(
    dialect: Dialect, table: sa.Table, key: Sequence[str], source: sa.Select[Any] | None = None
) -> Any:
    """The clause of an `upsert`: of one row from parameters, or of all rows of `source`."""
    names = [column.name for column in table.columns]
    insert = dialect.insert(table)
    if source is None:
        insert = insert.values({name: bind(name) for name in names})
    else:
        insert = insert.from_select(names, source)
    return insert.on_conflict_do_update(
        index_elements=list(key),
        set_={name: insert.excluded[name] for name in names if name not in key},
    )


def literal(status: str) -> sa.ColumnElement[str]:
    """A status as literal SQL: partial indexes are used only with literals."""
    return sa.literal_column(f"'{StepStatus(status)}'", sa.Text)


def status_in(column: sa.ColumnElement[Any], statuses: Iterable[StepStatus]) -> Any:
    """`column` is one of `statuses`, as literals."""
    choices = sorted(statuses)
    if len(choices) == 1:
        return column == literal(choices[0])
    return column.in_([literal(status) for status in choices])


def unsuccessful(column: sa.ColumnElement[Any]) -> Any:
    """`column` is the status of a step that ended without success, as in the partial index."""
    return sa.or_(
        *(
            column == literal(status)
            for status in (StepStatus.CANCELED, StepStatus.FAILED, StepStatus.SKIPPED)
        )
    )


def may(act: Act, column: sa.ColumnElement[Any]) -> Any:
    """The guard of `act`, from the table of transitions."""
    return status_in(column, sources(act))


def still_may(act: Act, column: sa.ColumnElement[Any]) -> Any:
    """The guard of `act` on rows that are found by their keys.

    It is the same as `may`, but no partial index fits it: a planner that believes a hot state to
    be empty must not read all of it instead of a few keys.
    """
    return status_in(sa.func.coalesce(column, sa.literal_column("''")), sources(act))


def becomes(act: Act) -> sa.ColumnElement[str]:
    """The status `act` leads to."""
    return literal(target(act))


def rows_json(rows: Sequence[Any]) -> str:
    """Rows as the one JSON parameter that `Dialect.rows` reads."""
    return to_json(rows).decode()
