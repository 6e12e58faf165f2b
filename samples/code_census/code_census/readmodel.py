"""The projection database: one row for each file and each failure of each census.

Rows have the id of their run, so that censuses can be compared. The SQL is common to SQLite and
PostgreSQL, because a projection may be on either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from code_census.model import FileFailure, FileMetrics
from stepwell import Transaction

TOP_PACKAGES = 15
TOP_FILES = 15

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS files (
        run_id TEXT NOT NULL, path TEXT NOT NULL, package TEXT NOT NULL,
        bytes BIGINT NOT NULL, lines BIGINT NOT NULL, code BIGINT NOT NULL,
        comments BIGINT NOT NULL, docstrings BIGINT NOT NULL, blank BIGINT NOT NULL,
        functions BIGINT NOT NULL, classes BIGINT NOT NULL, imports BIGINT NOT NULL,
        branches BIGINT NOT NULL, depth BIGINT NOT NULL, seconds DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (run_id, path)
    )""",
    """CREATE TABLE IF NOT EXISTS failures (
        run_id TEXT NOT NULL, path TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
        PRIMARY KEY (run_id, path)
    )""",
)
# SQLite takes 32,766 parameters in a statement, PostgreSQL 65,535.
ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Package:
    """A top-level package and its lines."""

    name: str
    files: int
    lines: int
    code: int
    notes: int
    blank: int


@dataclass(frozen=True, slots=True)
class File:
    """One line of a table of files."""

    path: str
    lines: int
    functions: int
    branches: int
    depth: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Census:
    """One census, prepared for readers; `packages` and the lists are sorted, largest first."""

    files: int
    lines: int
    code: int
    notes: int
    functions: int
    classes: int
    seconds: float
    packages: list[Package]
    sizes: list[int]
    slowest: list[File]
    largest: list[File]
    failures: list[FileFailure]


def write(
    database: Transaction,
    run_id: str,
    files: Sequence[FileMetrics],
    failures: Sequence[FileFailure],
) -> None:
    """Insert one census, many rows per statement."""
    for statement in SCHEMA:
        database.execute(statement)
    _insert(database, "files", run_id, FileMetrics, files)
    _insert(database, "failures", run_id, FileFailure, failures)


def _insert(
    database: Transaction,
    table: str,
    run_id: str,
    model: type[FileMetrics] | type[FileFailure],
    items: Sequence[FileMetrics] | Sequence[FileFailure],
) -> None:
    names = ("run_id", *model.model_fields)
    row = f"({', '.join('?' * len(names))})"
    for start in range(0, len(items), ROWS_AT_ONCE):
        some = items[start : start + ROWS_AT_ONCE]
        values = [value for item in some for value in (run_id, *item.model_dump().values())]
        database.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([row] * len(some))}",
            values,
        )


def read(database: Transaction, run_id: str) -> Census:
    """The census of one run."""

    def rows(sql: str, *more: Any) -> list[dict[str, Any]]:
        return database.query(sql, (run_id, *more))

    def top(order: str) -> list[File]:
        return [
            File(**row)
            for row in rows(
                "SELECT path, lines, functions, branches, depth, seconds FROM files"
                f" WHERE run_id = ? ORDER BY {order} DESC, path LIMIT ?",
                TOP_FILES,
            )
        ]

    (totals,) = rows(
        "SELECT count(*) AS files, coalesce(sum(lines), 0) AS lines,"
        " coalesce(sum(code), 0) AS code, coalesce(sum(comments + docstrings), 0) AS notes,"
        " coalesce(sum(functions), 0) AS functions, coalesce(sum(classes), 0) AS classes,"
        " coalesce(sum(seconds), 0) AS seconds FROM files WHERE run_id = ?"
    )
    packages = rows(
        "SELECT package AS name, count(*) AS files, sum(lines) AS lines, sum(code) AS code,"
        " sum(comments + docstrings) AS notes, sum(blank) AS blank"
        " FROM files WHERE run_id = ? GROUP BY package ORDER BY sum(lines) DESC, package"
    )
    sizes = rows("SELECT lines FROM files WHERE run_id = ? ORDER BY lines DESC")
    failures = rows("SELECT path, code, message FROM failures WHERE run_id = ? ORDER BY path")
    return Census(
        seconds=totals.pop("seconds"),
        **{name: int(value) for name, value in totals.items()},
        packages=[Package(**row) for row in packages],
        sizes=[row["lines"] for row in sizes],
        slowest=top("seconds"),
        largest=top("lines"),
        failures=[FileFailure(**row) for row in failures],
    )
