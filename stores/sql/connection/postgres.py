"""PostgreSQL, through psycopg: one database for many machines.

Leases expire by the database's clock. Hints that there is work travel by LISTEN/NOTIFY; nothing
depends on their arrival.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import errors
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import psycopg as sqlalchemy_psycopg

from stepwell.engine.clock import Clock
from stepwell.engine.errors import StoreError, one_line
from stepwell.engine.forks import ForkAware, Inside, Lineage
from stepwell.stores.postgres_fork import disown
from stepwell.stores.postgres_session import CLIENT_ENCODING, prepare_session
from stepwell.stores.postgres_url import shown
from stepwell.stores.sql.connection.dialect import Moment
from stepwell.stores.sql.connection.pipeline import BegunAt, PipelinedCursor
from stepwell.stores.sql.connection.statements import Parameter, bind
from stepwell.stores.sql.schema.postgres_shape import fingerprint_of, shape_of

CHANNEL = "stepwell"
CONNECT_TIMEOUT = 10
# Whoever migrates holds this advisory lock (the letters of "stepwell").
MIGRATION_LOCK = 0x7374657077656C6C

# Every hot statement has its index and few rows. Plans are made once, for that, and do not change
# to scans and hashes with the statistics of a table that was empty a moment ago.
_PLANS = (
    "plan_cache_mode = force_generic_plan",
    "enable_seqscan = off",
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    "jit = off",
)
# … but one that reads whole tables is planned for that.
_WHOLE_TABLES = ("enable_seqscan = on", "enable_hashjoin = on", "enable_mergejoin = on")
# Rows of a stream that are in memory at a time.
_FETCHED = 2_000

# What comes in a message after the commit is a transaction of its own. Those that notify are
# committed one after another, and so must not wait for the disk; a hint may be lost.
_HINT = ("SET LOCAL synchronous_commit = off", f"NOTIFY {CHANNEL}")

# More rows than a statement is ever given. The planner does not see the number, takes any limit
# for a tenth of the rows, and so expects few of them and looks each one up by its key.
_FEW = Parameter("few", 2_000_000_000, type_=sa.BigInteger)

# When the transaction was begun, the same throughout.
_BEGUN = "(extract(epoch FROM now()) * 1000000)::bigint"
_NOW = f"SELECT {_BEGUN}"


# A value that cannot be: not of its type, not a text, or too long for the row of an index or for a
# part of a JSON document.
_UNFIT = (psycopg.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex)


class PostgresDialect:
    """The database at a libpq URL. `clock` replaces the database's own, for tests."""

    ddl: Mapping[str, str] = MappingProxyType(
        {
            "key": "BIGINT",
            "identity": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            "blob": "BYTEA",
            "clustered": "",
            "ordered": ' COLLATE "C"',
        }
    )
    functions: Mapping[str, str] = MappingProxyType(
        {"each": "jsonb_array_elements", "json": "::jsonb"}
    )
    migrates_itself = False
    concurrent = True
    in_process = False
    pipelined = True
    changes_in_with = True
    shares_connection = False
    closes_for_forks = False
    driver_errors: type[Exception] = psycopg.Error

    def __init__(self, url: str, *, durability: str = "full", clock: Clock | None = None) -> None:
        self.sqlalchemy: Any = sqlalchemy_psycopg.dialect(  # type: ignore[no-untyped-call]  # without annotations
            paramstyle="numeric_dollar"
        )
        self._url = url
        self._label = shown(url)
        self._clock = clock
        self._synchronous = "on" if durability == "full" else "off"

    def rows(self, parameter: str, **columns: type[sa.types.TypeEngine[Any]]) -> Any:
        source = sa.func.jsonb_array_elements(
            sa.cast(bind(parameter), postgresql.JSONB)
        ).table_valued("value", name="given")
        return (
            sa.select(
                *(
                    sa.cast(source.c.value.op("->>")(sa.literal_column(str(i))), kind).label(name)
                    for i, (name, kind) in enumerate(columns.items())
                )
            )
            .limit(_FEW)
            .subquery("input")
        )

    def scalars(self, parameter: str) -> Any:
        return sa.select(sa.cast(self._texts(parameter).c.value, sa.BigInteger)).limit(_FEW)

    def texts(self, parameter: str) -> Any:
        return sa.select(self._texts(parameter).c.value).limit(_FEW)

    def _texts(self, parameter: str) -> Any:
        return sa.func.jsonb_array_elements_text(
            sa.cast(bind(parameter), postgresql.JSONB)
        ).table_valued("value")

    def is_one_of(self, column: sa.ColumnElement[Any], parameter: str) -> Any:
        return column == sa.any_(sa.cast(bind(parameter), postgresql.ARRAY(sa.Text)))

    def name_list(self, names: Sequence[str]) -> str:
        escaped = (name.replace("\\", r"\\").replace('"', r"\"") for name in names)
        return "{" + ",".join(f'"{name}"' for name in escaped) + "}"

    def insert(self, table: sa.Table) -> Any:
        return postgresql.insert(table)

    def inserted(self, parameter: str, table: sa.Table, columns: Sequence[str]) -> Any | None:
        kinds: dict[str, Any] = {name: table.c[name].type for name in columns}
        if any(isinstance(kind, sa.LargeBinary) for kind in kinds.values()):
            return None
        return sa.select(self.rows(parameter, **kinds))

    def connect(self, *, readonly: bool) -> Any:
        connection: Any = None
        try:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT,
                application_name="stepwell",
                client_encoding=CLIENT_ENCODING,
                # Writers prepare their statements themselves.
                prepare_threshold=2 if readonly else None,
                cursor_factory=psycopg.RawCursor,
            )
            # The last one holds, where one is set twice.
            more: tuple[str, ...] = (*_PLANS, f"synchronous_commit = {self._synchronous}")
            if readonly:
                more += ("default_transaction_read_only = on",)
            prepare_session(connection, f"store {self.label()}", *more)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, psycopg.Error):
                raise self.translate(error) from None
            raise
        return connection

    def is_open(self, connection: Any) -> bool:
        return not connection.closed

    def check_in_place(self) -> None:
        """A server tells by itself."""

    def is_in_place(self) -> bool:
        return True

    def close(self, connections: Sequence[Any]) -> None:
        for connection in connections:
            with suppress(psycopg.Error):
                connection.close()

    leave = close

    def inherit(self, connections: Sequence[Any], in_use: bool) -> None:
        disown(connections, in_use)

    def cursor(self, connection: Any) -> PipelinedCursor:
        return PipelinedCursor(connection)

    def begin(self, cursor: PipelinedCursor) -> Moment:
        cursor.begin("BEGIN")
        if self._clock is not None:
            return self._clock.micros()
        return BegunAt(_BEGUN, cursor.execute(_NOW, ()))

    def was_lost(self, cursor: PipelinedCursor) -> bool:
        return not cursor.answered and cursor.connection.closed

    def begin_read(self, cursor: Any) -> int:
        # In one round trip.
        cursor.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_NOW}")
        cursor.nextset()
        now = int(cursor.fetchone()[0])
        return now if self._clock is None else self._clock.micros()

    def commit(self, cursor: PipelinedCursor, *, news: int) -> None:
        if not cursor.answered:
            # Alone, so that on a connection which was lost it can be tried again.
            cursor.send()
        cursor.send("COMMIT", *(_HINT if news else ()))

    def translate(self, error: Exception) -> Exception:
        advice = _advice(error)
        translated = StoreError(f"store {self.label()}: {one_line(error)}; {advice}")
        translated.unreachable = advice == _UNREACHABLE
        return translated

    def is_data_error(self, error: Exception) -> bool:
        return isinstance(error, psycopg.IntegrityError) or self.is_unfit(error)

    def is_unfit(self, error: Exception) -> bool:
        return isinstance(error, _UNFIT)

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (errors.DeadlockDetected, errors.SerializationFailure))

    def is_damage(self, error: Exception) -> bool:
        return isinstance(error, (psycopg.DataError, psycopg.InternalError))

    def damages(self, cursor: Any, most: int) -> list[str]:
        for plan in _WHOLE_TABLES:
            cursor.execute(f"SET LOCAL {plan}")
        # What the server promises of itself, as far as nobody switched it off.
        rows = cursor.execute(
            "SELECT 'index ' || indexrelid::regclass || ' is not valid' FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indrelid "
            "WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace UNION ALL "
            "SELECT 'constraint ' || conname || ' of ' || conrelid::regclass || ' is not valid' "
            "FROM pg_constraint "
            "WHERE NOT convalidated AND connamespace = current_schema()::regnamespace UNION ALL "
            "SELECT 'triggers of ' || tgrelid::regclass || ' are switched off' FROM pg_trigger t "
            "JOIN pg_class c ON c.oid = t.tgrelid WHERE tgisinternal AND tgenabled = 'D' "
            "AND relnamespace = current_schema()::regnamespace GROUP BY tgrelid"
        ).fetchall()
        return [row[0] for row in rows[:most]]

    def stream(self, cursor: Any, sql: str) -> Iterator[Sequence[Any]]:
        cursor.execute(f"DECLARE rows NO SCROLL CURSOR FOR {sql}")
        while rows := cursor.execute(f"FETCH {_FETCHED} FROM rows").fetchall():
            yield from rows
        cursor.execute("CLOSE rows")

    def tables(self, cursor: Any) -> list[str]:
        # From the catalog, as the information schema hides what this user has no rights on.
        rows = cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'f') "
            "AND relnamespace = to_regnamespace(quote_ident(current_schema())) ORDER BY relname"
        )
        found = [row[0] for row in rows.fetchall()]
        if not found and cursor.execute("SELECT current_schema()").fetchone()[0] is None:
            raise StoreError(
                f"store {self.label()}: its user may use no schema of this database; let the "
                "owner grant it: GRANT USAGE ON SCHEMA public"
            )
        return found

    def lock_migrations(self, cursor: Any) -> None:
        cursor.execute(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")

    def watch(self, version: Callable[[], int]) -> PostgresWatch:  # noqa: ARG002  # it listens
        return PostgresWatch(self)

    def connection_version(self, connection: Any) -> int:  # noqa: ARG002  # see `watch`
        return 0

    def shape(self, cursor: Any) -> frozenset[str]:
        return shape_of(cursor)

    def fingerprint(self, cursor: Any) -> str:
        return fingerprint_of(cursor)

    def label(self) -> str:
        return self._label


# The most looks without a connection before another one is tried: a second or so.
MOST_LOOKS = 128


class PostgresWatch(ForkAware):
    """Listens for hints on a connection of its own; a lost one is made again.

    While that fails it is tried less and less often: a server that is full is not helped by more.

    Hints of one's own come back, too. They are counted, not recognized: as each arrives in the
    end, it does not matter which of several is taken for it.
    """

    def __init__(self, dialect: PostgresDialect) -> None:
        self._dialect = dialect
        self._connection: Any = None
        self._own = 0
        # How many looks are let pass before the next try, and after the one that fails then.
        self._pass = 0
        self._patience = 1
        Lineage.register(self)
        self._listen()

    @property
    def _is_deaf(self) -> bool:
        return self._connection is None or self._connection.closed

    def _listen(self) -> None:
        with suppress(StoreError, psycopg.Error), Inside(self):
            self._own = 0
            self._connection = self._dialect.connect(readonly=False)
            self._connection.execute(f"LISTEN {CHANNEL}")
        if self._is_deaf:
            self._pass, self._patience = self._patience, min(2 * self._patience, MOST_LOOKS)
        else:
            self._patience = 1

    def changed(self) -> bool:
        """Whether a hint came since the last call. True after a lost connection, to be sure."""
        if self._is_deaf:
            if self._pass > 0:
                self._pass -= 1
                return False
            self._listen()
            return not self._is_deaf
        try:
            with Inside(self):
                heard = sum(1 for _ in self._connection.notifies(timeout=0))
            own = min(heard, self._own)
            self._own -= own
            return heard > own
        except psycopg.Error:
            with suppress(psycopg.Error):
                self._connection.close()
            return True

    def hinted(self) -> None:
        """One hint more is on its way that is no news."""
        self._own += 1

    def left(self) -> bool:
        """A server is not moved."""
        return False

    def after_fork(self, in_use: bool) -> None:
        """See `forks.ForkAware`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            disown([connection], in_use)

    def close(self) -> None:
        """Close its connection."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()


_UNREACHABLE = "check that the server runs and can be reached"


def _advice(error: Exception) -> str:
    text = str(error)
    if isinstance(error, errors.InsufficientPrivilege):
        return "connect as the owner of the tables, or let the owner grant this user its rights"
    if isinstance(error, errors.DiskFull):
        return "the disk of the server is full; nothing of this was stored"
    if "no password supplied" in text:
        return "give a password"
    if "server does not support SSL" in text:
        return "the server does not speak SSL; leave sslmode out of the URL"
    if "password authentication" in text or isinstance(error, errors.InvalidPassword):
        return "check user and password"
    if re.search(r'role ".*" does not exist', text):
        return "check user and password"
    if re.search(r'database ".*" does not exist', text):
        return "create the database first, or name another"
    if isinstance(error, psycopg.OperationalError):
        return _UNREACHABLE
    if isinstance(error, psycopg.IntegrityError):
        return "what is in it does not go with a new row; look at it with: stepwell verify"
    return "nothing of this was stored"
