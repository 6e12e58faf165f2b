"""Finding runs and steps by the ids that callers give, and their ids by their keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from stepwell.engine.errors import NotFound, nearest
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.roles.reads_sql import ReadStatements


class RunRow(NamedTuple):
    """A run, as acts on it look it up."""

    key: int
    status: str


class StepRow(NamedTuple):
    """A step, as acts on it look it up; `error` is JSON text."""

    key: int
    id: str
    status: str
    error: str | None


class Lookup:
    """Works in a transaction given by the caller."""

    def __init__(self, sql: ReadStatements) -> None:
        self._sql = sql

    def run(self, tx: StoreTransaction, run_id: str) -> RunRow:
        """The run. Raises NotFound, naming the nearest id."""
        row = self._sql.run_key(tx, run_id).fetchone()
        if row is None:
            raise self.no_run(tx, run_id)
        return RunRow(int(row[0]), str(row[1]))

    def step(self, tx: StoreTransaction, run_id: str, step_id: str) -> StepRow:
        """The step. Raises NotFound, naming the nearest id."""
        run = self.run(tx, run_id)
        row: Sequence[Any] | None = self._sql.step_key(tx, run.key, step_id).fetchone()
        if row is None:
            raise self.no_step(tx, run.key, run_id, step_id)
        return StepRow._make(row)

    def run_ids(self, tx: StoreTransaction, keys: Iterable[int]) -> dict[int, str]:
        """The ids of runs by their keys."""
        return dict(self._sql.run_names(tx, _keys(keys)).fetchall())

    def step_ids(self, tx: StoreTransaction, keys: Iterable[int]) -> dict[int, str]:
        """The ids of steps by their keys."""
        return dict(self._sql.step_names(tx, _keys(keys)).fetchall())

    def no_run(self, tx: StoreTransaction, run_id: str) -> NotFound:
        """The error for an id that no run has."""
        recent = [row[0] for row in self._sql.recent_runs(tx).fetchall()]
        return NotFound(f"there is no run {run_id!r}{nearest(run_id, recent)}")

    def no_step(self, tx: StoreTransaction, run_key: int, run_id: str, step_id: str) -> NotFound:
        """The error for an id that no step of the run has."""
        names = [row[0] for row in self._sql.some_steps(tx, run_key).fetchall()]
        return NotFound(f"run {run_id!r} has no step {step_id!r}{nearest(step_id, names)}")


def _keys(keys: Iterable[int]) -> str:
    return "[" + ",".join(map(str, keys)) + "]"
