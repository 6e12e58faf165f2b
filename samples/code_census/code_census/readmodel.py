"""The projection database: one row for each file and each failure of each census.

Rows carry the id of their run, so that censuses can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from code_census.model import FileFailure, FileMetrics
from stepwell import Transaction

TOP_PACKAGES = 15
TOP_FILES = 15

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS files (
        run_id TEXT NOT NULL, path TEXT NOT NULL, package TEXT NOT NULL,
        bytes INTEGER NOT NULL, lines INTEGER NOT NULL, code INTEGER NOT NULL,
        comments INTEGER NOT NULL, docstrings INTEGER NOT NULL, blank INTEGER NOT NULL,
        functions INTEGER NOT NULL, classes INTEGER NOT NULL, imports INTEGER NOT NULL,
        branches INTEGER NOT NULL, depth INTEGER NOT NULL, seconds REAL NOT NULL,
        PRIMARY KEY (run_id, path)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS failures (
        run_id TEXT NOT NULL, path TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
        PRIMARY KEY (run_id, path)
    ) WITHOUT ROWID""",
)
FILES = TypeAdapter(list[FileMetrics])
FAILURES = TypeAdapter(list[FileFailure])


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
    """One census, as a reader wants to see it; `packages` and the lists are largest first."""

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
    """Insert one census. The rows travel as one JSON parameter each for files and failures."""
    for statement in SCHEMA:
        database.execute(statement)
    _insert(database, "files", FileMetrics, run_id, FILES.dump_json(list(files)))
    _insert(database, "failures", FileFailure, run_id, FAILURES.dump_json(list(failures)))


def _insert(
    database: Transaction,
    table: str,
    model: type[FileMetrics] | type[FileFailure],
    run_id: str,
    rows: bytes,
) -> None:
    names = list(model.model_fields)
    values = ", ".join(f"json_extract(value, '$.{name}')" for name in names)
    database.execute(
        f"INSERT INTO {table} (run_id, {', '.join(names)}) SELECT ?, {values} FROM json_each(?)",
        (run_id, rows.decode()),
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
        "SELECT count(*) AS files, total(lines) AS lines, total(code) AS code,"
        " total(comments + docstrings) AS notes, total(functions) AS functions,"
        " total(classes) AS classes, total(seconds) AS seconds FROM files WHERE run_id = ?"
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
