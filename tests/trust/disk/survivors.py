"""What is there, after a disk failed or the power went, of what was acknowledged."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from stepwell import NoCheckpoint, connect
from stepwell.stores.checkpoints.file import FileCheckpointer

_STORED = """
SELECT 'run ' || run_id FROM runs
UNION ALL SELECT 'end ' || run_id FROM runs WHERE status = 'succeeded'
UNION ALL SELECT 'step ' || r.run_id || ' ' || s.step_id
    FROM steps s JOIN runs r ON r.id = s.run_key JOIN results ON results.step = s.id
    WHERE s.status = 'succeeded'
"""
# What a part made beside its result is stored with it, or nothing is.
_HALF = """
SELECT s.step_id FROM steps s
WHERE s.kind = 'disk.part'
  AND (s.status = 'succeeded') * 2 != (SELECT count(*) FROM artifacts a WHERE a.step = s.id)
"""


class Torn(Exception):
    """What is there cannot be read, or is half of something."""


def stored_in(database: Path, *, thoroughly: bool = False) -> set[str]:
    """The facts that a run store holds. Raises Torn."""
    if not database.exists():
        return set()
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            # Nobody else is there: the index of the log need not be a file.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA synchronous = OFF")
            if thoroughly:
                _check_whole(connection)
            tables = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'results'")
            if not tables.fetchone():
                return set()
            half = connection.execute(_HALF).fetchall()
            facts = {row[0] for row in connection.execute(_STORED)}
    except sqlite3.Error as error:
        raise Torn(f"{database.name}: {error}") from error
    if half:
        raise Torn(f"{database.name}: half of {half}")
    return facts


def rows_in(database: Path, table: str, *, thoroughly: bool = False) -> set[str]:
    """The rows of a projection as facts. Raises Torn."""
    if not database.exists():
        return set()
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            if thoroughly:
                _check_whole(connection)
            tables = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,))
            if not tables.fetchone():
                return set()
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    except sqlite3.Error as error:
        raise Torn(f"{database.name}: {error}") from error
    facts = {" ".join(map(str, ("row", *row))) for row in rows}
    if len(facts) < len(rows):
        raise Torn(f"{database.name}: a row is there twice")
    return facts


def _check_whole(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA integrity_check").fetchall()
    found += connection.execute("PRAGMA foreign_key_check").fetchall()
    if found != [("ok",)]:
        raise sqlite3.DatabaseError(f"integrity: {found[:3]}")


def artifacts_in(root: Path) -> set[str]:
    """The artifacts that are there and whole. Raises Torn for one that is not what it is named."""
    facts = set()
    for path in root.glob("[0-9a-f][0-9a-f]/*"):
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            raise Torn(f"artifact {path.name}: not whole")
        facts.add(f"artifact {path.name}")
    return facts


def violations(home: Path) -> list[str]:
    """What `runtime.verify()` finds wrong in a home folder."""
    if not (home / "engine.db").exists():
        return []
    with connect(home=home) as runtime:
        return [str(violation) for violation in runtime.verify().violations]


def missing(home: Path, acknowledged: Iterable[str]) -> set[str]:
    """What was acknowledged and is not in a home folder. Raises Torn."""
    there = stored_in(home / "engine.db", thoroughly=True)
    there |= artifacts_in(home / "artifacts")
    there |= rows_in(home / "projections" / "parts.db", "parts", thoroughly=True)
    return set(acknowledged) - there


def check_versions(root: Path, acknowledged: Iterable[str]) -> list[str]:
    """Checkpoints that are older than what was acknowledged of them. Raises CheckpointCorrupt."""
    newest: dict[str, tuple[int, int]] = {}
    deleting = set()
    for fact in acknowledged:
        kind, *words = fact.split()
        if kind == "version":
            newest[words[0]] = (int(words[1]), int(words[2]))
            deleting.discard(words[0])
        elif kind == "deleting":
            deleting.add(words[0])
        elif kind == "deleted":
            newest[words[0]] = (int(words[1]), 99)
    store = FileCheckpointer(root)
    lost = []
    for id, version in newest.items():
        try:
            found = store.load_checkpoint(id)
        except NoCheckpoint:
            if id not in deleting:
                lost.append(f"{id}: is gone, acknowledged was {version}")
            continue
        there = (found.variables["version"], found.variables["operations"])
        steps = len(found.operations)
        if there < version or (there[1] <= 5 and steps != there[1]):
            lost.append(f"{id}: {there} with {steps} operations, acknowledged was {version}")
    return lost
