"""The place where a scenario is played: its folder, its store, and what was acknowledged there.

A scenario is played from its beginning again by each process that comes after a crash, as a client
does that asks until it is answered. Everything it was told is written down, and what its steps do
outside leaves a line for each time it was done.
"""

from __future__ import annotations

import gc
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stepwell import Package, Runtime, connect
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import NoCheckpoint
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.postgres import PostgresDialect
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.connection.statements import Statement
from stepwell.stores.sql.migrate import migrate
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.end_state import end_state

# How far the clock of a process is ahead of the one before it: leases have lapsed in between.
LATER = 3_600_000_000


class LaterClock(SystemClock):
    """The machine's clock, moved ahead."""

    ahead = 0

    def micros(self) -> int:
        return super().micros() + self.ahead


class Opener:
    """Opens one store again and again: its statements are made once, before processes fork.

    Without a `url` it is the file `engine.db` in the working folder.
    """

    def __init__(self, url: str | None = None) -> None:
        self.clock = LaterClock()
        self.url = url or "sqlite:///engine.db"
        dialect: Dialect
        if url is None:
            dialect = SqliteDialect(Path("engine.db"), clock=self.clock)
        else:
            dialect = PostgresDialect(url, clock=self.clock)
        self._store = SqlRunStore(dialect)
        for found in gc.get_objects():
            if isinstance(found, Statement) and found._sql is None:
                found.compile(dialect)

    def open(self) -> SqlRunStore:
        """The store, as `SqlRunStore.open` makes it."""
        store = self._store
        # The same objects, as their parts have them, too.
        if isinstance(store._dialect, SqliteDialect):  # a file of the folder that this is now
            SqliteDialect.__init__(store._dialect, Path("engine.db"), clock=self.clock)
        Database.__init__(store.database, store._dialect)
        store.database.open()
        migrate(store.database, apply=store._dialect.migrates_itself)
        return store


class ScenarioRun:
    """One play of a scenario. `lives`: how many processes played it before and died."""

    def __init__(self, folder: Path, lives: int, opener: Opener) -> None:
        self.folder = folder
        self.url = opener.url
        self.clock = opener.clock
        self.clock.ahead = lives * LATER
        self.cancelled = threading.Event()
        self.stop = threading.Event()
        self._opener = opener
        os.chdir(folder)

    def opened(self, *packages: Package, **options: Any) -> Runtime:
        """A runtime on the store, whose steps find this scenario as `step.app`."""
        options.setdefault("settings", {"threads": 1, "poll_interval": 0.01})
        store = self._opener.open()
        return connect(
            store, packages=packages, home=self.folder, app=self, clock=self.clock, **options
        )

    # --- what is written down -----------------------------------------------------------------

    def told(self, fact: str, *words: object) -> None:
        """Write down that this was acknowledged."""
        self._line("told", [fact, *map(str, words)])

    def done(self, *words: object) -> None:
        """Leave a line for something that was done outside."""
        self._line("done", list(map(str, words)))

    def once(self, name: str) -> bool:
        """Whether nobody asked this before here, in whatever process."""
        try:
            os.close(os.open(self.folder / f"{name}.mark", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def has(self, name: str) -> bool:
        """Whether somebody asked for this `once`."""
        return (self.folder / f"{name}.mark").exists()

    def _line(self, name: str, words: list[str]) -> None:
        file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, json.dumps(words).encode() + b"\n")
        finally:
            os.close(file)

    def lines(self, name: str) -> list[list[str]]:
        """What was written down."""
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- what must hold -----------------------------------------------------------------------------


def _has_event(runtime: Runtime, run_id: str, kind: str) -> bool:
    return any(event.type == kind for event in runtime.events(run_id))


def _has_artifact(runtime: Runtime, artifact_id: str, text: str) -> bool:
    with runtime.open_artifact(artifact_id) as stream:
        return stream.read().decode() == text


def _has_row(runtime: Runtime, projection: str, key: str) -> bool:
    rows = runtime.projection(projection).query("SELECT key FROM entries WHERE key = ?", (key,))
    return len(rows) == 1


# Each kind of acknowledgement, and how it is looked for afterwards.
FACTS: dict[str, Callable[..., bool]] = {
    "run": lambda runtime, run_id: runtime.run(run_id).id == run_id,
    "result": lambda runtime, run_id, step_id, value: (
        str(runtime.result(run_id, step_id).value) == value
    ),
    "ended": lambda runtime, run_id, status: runtime.run(run_id).status == status,
    "event": _has_event,
    "message": lambda runtime, run_id, key: (
        key in [message.key for message in runtime.messages(run_id)]
    ),
    "value": lambda runtime, run_id, key, value: str(runtime.get_value(run_id, key)) == value,
    "kv": lambda runtime, key, value: str(runtime.kv.get(key)) == value,
    "artifact": _has_artifact,
    "row": _has_row,
    "queue": lambda runtime, name, limit: (
        {queue.name: str(queue.max_in_flight) for queue in runtime.queues()}[name] == limit
    ),
    "operation": lambda runtime, run_id, step_id, operation_id: (
        operation_id in [o.id for o in runtime.checkpoint(run_id, step_id).operations]
    ),
    "checkpoint": lambda runtime, execution_id: (
        runtime.checkpointer.load_checkpoint(execution_id).execution_id == execution_id
    ),
}


def forgotten(runtime: Runtime, told: Sequence[list[str]]) -> list[str]:
    """What was acknowledged and is not there."""
    lost = []
    for fact, *words in told:
        try:
            holds = FACTS[fact](runtime, *words)
        except Exception as error:
            lost.append(f"{fact} {' '.join(words)}: {type(error).__name__}: {error}")
            continue
        if not holds:
            lost.append(f"{fact} {' '.join(words)}")
    return lost


def committed(runtime: Runtime) -> set[tuple[str, ...]]:
    """Everything that must not be done again: ended steps, and operations that are recorded."""
    found: set[tuple[str, ...]] = set()
    for run in runtime.runs(limit=1_000):
        for step in runtime.steps(run.id):
            if step.status in ("succeeded", "skipped", "canceled"):
                found.add((run.id, step.id))
            try:
                operations = runtime.checkpoint(run.id, step.id).operations
            except NoCheckpoint:
                continue
            found |= {(run.id, step.id, o.id) for o in operations if o.error is None}
    return found


def end_of(runtime: Runtime) -> dict[str, Any]:
    """What all runs left behind, without times and tokens; and the key-value store and queues."""
    runs = runtime.runs(limit=1_000)
    return {
        "runs": end_state(runtime, runs[-1].id) if runs else {},
        "kv": {entry.key: entry.value for entry in runtime.kv.list()},
        "queues": {queue.name: [queue.max_in_flight, queue.running] for queue in runtime.queues()},
    }
