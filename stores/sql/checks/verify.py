"""Verifying a store: every check in one snapshot, on a reading connection."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from stepwell.engine.errors import one_line
from stepwell.engine.model import Failure
from stepwell.engine.payloads.payload import decode
from stepwell.engine.verification import CHECKS, Verification, Violation
from stepwell.stores.sql.checks import ALL
from stepwell.stores.sql.checks.check import Check
from stepwell.stores.sql.checks.graphs import CYCLE_CANDIDATES
from stepwell.stores.sql.connection.corruption import Unreadable, decodes
from stepwell.stores.sql.connection.statements import StoreTransaction

# (table, where its run's key is, where its step's key is, its columns with JSON)
_TEXTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("runs", "id", "NULL", ("input", "metadata", "tags")),
    ("steps", "run_key", "id", ("retry", "input", "metadata", "error", "wait")),
    ("results", "NULL", "step", ("value", "records")),
    ("records", "NULL", "step", ("value",)),
    ("artifacts", "run_key", "step", ("metadata",)),
    ("events", "run_key", "step", ("data",)),
    ("messages", "run_key", "receiver", ("payload",)),
    ('"values"', "run_key", "step", ("value",)),
    ("kv", "NULL", "NULL", ("value",)),
    ("queues", "NULL", "NULL", ("labels",)),
    ("workers", "NULL", "NULL", ("queues", "kinds", "labels")),
    ("checkpoints", "NULL", "NULL", ("head",)),
    ("checkpoint_operations", "NULL", "NULL", ("body",)),
)
_INLINE = "SELECT run_key, step, name, size, sha256, body FROM artifacts WHERE body IS NOT NULL"
_STEP_NAME = (
    "SELECT r.run_id, s.step_id FROM steps s LEFT JOIN runs r ON r.id = s.run_key WHERE s.id = {}"
)
_RUN_NAME = "SELECT run_id, NULL FROM runs WHERE id = {}"


class Inspection:
    """One verification, in a transaction that sees one moment."""

    def __init__(self, tx: StoreTransaction, most: int) -> None:
        self._tx = tx
        self._most = most
        self._violations: list[Violation] = []
        self._counts: defaultdict[str, int] = defaultdict(int)

    def verify(self) -> Verification:
        """Do every check. One that cannot be done, because of damage, is a violation itself."""
        self._attempt("integrity", self._damages)
        for check in ALL:
            self._attempt(check.name, partial(self._query, check))
        self._attempt("payloads", self._payloads)
        self._attempt("graphs", self._cycles)
        self._attempt("artifacts", self._inline_artifacts)
        return Verification(
            tuple(CHECKS),
            tuple(self._violations),
            {name: self._counts[name] for name in CHECKS if self._counts[name]},
        )

    def _attempt(self, name: str, look: Callable[[], None]) -> None:
        cursor, dialect = self._tx.cursor, self._tx.dialect
        cursor.execute("SAVEPOINT one")
        try:
            look()
        except (Unreadable, dialect.driver_errors) as error:
            if not isinstance(error, Unreadable) and not dialect.is_damage(error):
                raise
            cursor.execute("ROLLBACK TO one")
            self._add(name, f"cannot be checked: {one_line(error)}")
        cursor.execute("RELEASE one")

    def _add(
        self, check: str, message: str, run_id: str | None = None, step_id: str | None = None
    ) -> None:
        self._counts[check] += 1
        if self._counts[check] <= self._most:
            self._violations.append(Violation(check, message, run_id, step_id))

    def _damages(self) -> None:
        for line in self._tx.dialect.damages(self._tx.cursor, self._most + 1):
            self._add("integrity", line)

    def _query(self, check: Check) -> None:
        sql = check.sql.format(**self._tx.dialect.functions)
        rows = self._tx.cursor.execute(
            f"SELECT q.*, count(*) OVER () FROM ({sql}) q LIMIT {max(1, self._most)}"
        ).fetchall()
        for run_id, step_id, *values, _ in rows:
            self._add(check.name, check.message.format(*values), run_id, step_id)
        if rows:
            self._counts[check.name] += rows[0][-1] - len(rows)

    # --- what SQL cannot tell -----------------------------------------------------------------

    def _stream(self, sql: str) -> Iterator[Sequence[Any]]:
        return self._tx.dialect.stream(self._tx.cursor, sql)

    def _add_at(self, check: str, message: str, run: int | None, step: int | None) -> None:
        """Add a violation where the run and step are known by their keys."""
        names: Sequence[Any] | None = None
        if self._counts[check] < self._most:
            if step is not None:
                names = self._tx.cursor.execute(_STEP_NAME.format(_key(step))).fetchone()
            if names is None and run is not None:
                names = self._tx.cursor.execute(_RUN_NAME.format(_key(run))).fetchone()
        self._add(check, message, *(names or ()))

    def _payloads(self) -> None:
        for table, run, step, columns in _TEXTS:
            sql = f"SELECT {run}, {step}, {', '.join(columns)} FROM {table}"
            unreadable: list[tuple[str, Any, Any]] = []
            for run_key, step_key, *texts in self._stream(sql):
                for column, text in zip(columns, texts, strict=True):
                    if text is not None and not _is_readable(column, text):
                        unreadable.append((column, run_key, step_key))
            for column, run_key, step_key in unreadable:
                message = f"its {column} in {table.strip(chr(34))} cannot be read as JSON"
                self._add_at("payloads", message, run_key, step_key)

    def _cycles(self) -> None:
        found = []
        for run_key, edges in groupby(self._stream(CYCLE_CANDIDATES), itemgetter(0)):
            step_key = _in_a_cycle((needs, step) for _, needs, step in edges)
            if step_key is not None:
                found.append((run_key, step_key))
        for run_key, step_key in found:
            self._add_at("graphs", "is in a cycle of dependencies", run_key, step_key)

    def _inline_artifacts(self) -> None:
        found = []
        for run_key, step_key, name, size, sha256, body in self._stream(_INLINE):
            message = _changed(name, size, sha256, body)
            if message is not None:
                found.append((message, run_key, step_key))
        for message, run_key, step_key in found:
            self._add_at("artifacts", message, run_key, step_key)


def _is_readable(column: str, text: str) -> bool:
    try:
        value = decode(text)
        if column == "error":
            Failure(**value)
    except (ValueError, TypeError):
        return False
    return True


@decodes
def _key(stored: int) -> int:
    return int(stored)


@decodes
def _changed(name: str, size: int, sha256: str, body: bytes) -> str | None:
    """What is wrong with an inline artifact, if anything is."""
    digest = hashlib.sha256(body).hexdigest()
    if (len(body), digest) == (size, sha256):
        return None
    return (
        f"artifact {name!r} has {len(body):,} bytes with sha256 {digest}, but "
        f"{size:,} with {sha256} were stored"
    )


@decodes
def _in_a_cycle(edges: Iterator[tuple[int, int]]) -> int | None:
    """A step that is in a cycle of these edges (what is needed, who needs it), if there is one."""
    needed_by: defaultdict[int, list[int]] = defaultdict(list)
    needs: dict[int, set[int]] = {}
    for target, step in edges:
        needed_by[target].append(step)
        needs.setdefault(step, set()).add(target)
    free = [target for target in needed_by if target not in needs]
    while free:
        target = free.pop()
        for step in needed_by[target]:
            needs[step].discard(target)
            if not needs[step]:
                del needs[step]
                free.append(step)
    if not needs:
        return None
    # All that is left is in a cycle or behind one: go back until a step comes again.
    seen: set[int] = set()
    step = next(iter(needs))
    while step not in seen:
        seen.add(step)
        step = next(iter(needs[step]))
    return step
