"""The package that works while the disk fails, and the programs that use it.

Whatever it was told is stored it notes in the shim's log, at the moment it was told.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from stepwell import Conflict, Package, Retry, RunBuilder, StepContext, StepwellError, connect
from stepwell.engine.checkpoints.checkpoint import Checkpoint, CheckpointUpdate
from stepwell.engine.clock import SystemClock
from stepwell.engine.events import Event, EventType
from stepwell.engine.ports import Transaction
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.states import RunStatus
from stepwell.stores.artifacts.file import FileArtifactStore
from stepwell.stores.checkpoints.file import FileCheckpointer
from stepwell.stores.checkpoints.folder import Folder
from stepwell.stores.checkpoints.lines import seal
from stepwell.stores.projections.sqlite import SqliteProjection
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.checkpointers.case import checkpoint, operation

PARTS = 3
# Artifacts over this size go to the artifact store.
INLINE = 512
SETTINGS = {
    "inline_limit": INLINE,
    "lease": 0.8,
    "max_lost_leases": 50,
    "poll_interval": 0.05,
    "threads": 3,
}
RETRY = Retry(max_attempts=3, initial=0.001)

_mark: Callable[[bytes], object] | None = getattr(ctypes.CDLL(None), "disk_mark", None)

disk = Package("disk")


def acknowledged(*fact: object) -> None:
    """Note that this was told to be stored."""
    if _mark is not None:
        _mark(" ".join(map(str, fact)).encode())


@disk.executor("disk.part", retry=RETRY)
def part(step: StepContext, number: int) -> int:
    doubled = step.do("double", lambda: 2 * number)
    _told_of_dependencies(step)
    ref = step.store_artifact("large", large(number))
    acknowledged("artifact", ref.sha256)
    step.artifact("small", f"part {number}")
    step.record("parts", str(number), {"number": number})
    rows = step.projection("parts")
    rows.execute("CREATE TABLE IF NOT EXISTS parts (run TEXT, number INTEGER)")
    key = step.run.id
    rows.once(lambda tx: tx.execute("INSERT INTO parts VALUES (?, ?)", (key, number)))
    acknowledged("row", key, number)
    return int(step.do("add", lambda: doubled + 1))


@disk.executor("disk.fan", retry=RETRY)
def fan(step: StepContext, parts: int) -> int:
    for number in range(parts):
        step.emit(part, number, id=f"part:{number}")
    return parts


@disk.executor("disk.sum", retry=RETRY)
def total(step: StepContext, parts: int) -> int:
    _told_of_dependencies(step)
    return sum(range(parts))


@disk.entrypoint
def start(run: RunBuilder, parts: int) -> None:
    first = run.step(fan, parts, id="fan")
    run.step(total, parts, id="sum", after_subtree=[first])


def large(number: int) -> bytes:
    """An artifact that does not go into the store's database."""
    return hashlib.sha256(str(number).encode()).digest() * 40


def _told_of_dependencies(step: StepContext) -> None:
    """A step that runs was claimed after its dependencies were stored."""
    for id in step.dependencies():
        acknowledged("step", step.run.id, id)


def _told(event: Event) -> None:
    if event.type is EventType.STEP_SUCCEEDED:
        acknowledged("step", event.run_id, event.step_id)
    elif event.type is EventType.RUN_SUCCEEDED:
        acknowledged("end", event.run_id)


def runs(home: str, durability: str, first: int = 0, count: int = 1, sessions: int = 1) -> None:
    """Start runs and work until they end, with checkpoints in files; what `connect()` does.

    `durability` "off" is none the product has: it writes without waiting for the disk at all.
    """
    try:
        for session in range(sessions):
            with _connected(Path(home), durability) as runtime:
                runtime.observe(_told)
                for number in range(count):
                    run_id = f"run-{first + session * count + number}"
                    runtime.start_run("disk", PARTS, run_id=run_id)
                    acknowledged("run", run_id)
                    if number % 2 or number + 1 == count:
                        runtime.drain(timeout=30)
                        _fold_back(Path(home) / "engine.db")
    except StepwellError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def finish(home: str) -> None:
    """Work until every run ended, in a process that knows nothing of the faults before."""
    with _connected(Path(home), "full") as runtime:
        with suppress(Conflict):  # it is there
            runtime.start_run("disk", PARTS, run_id="run-0")
        for run in runtime.runs(status=RunStatus.FAILED):
            runtime.retry_run(run.id)
        runtime.drain(timeout=30)
        sys.exit(sum(run.status is not RunStatus.SUCCEEDED for run in runtime.runs()))


def _connected(home: Path, durability: str) -> Runtime:
    parts: dict[str, Any] = {
        "packages": [disk],
        "home": home,
        "checkpoints": f"file://{home}/checkpoints",
    }
    if durability != "off":
        return connect(settings={**SETTINGS, "durability": durability}, **parts)
    home.mkdir(exist_ok=True)
    dialect = SqliteDialect(home / "engine.db", clock=SystemClock(), durability="relaxed")
    dialect._synchronous = "OFF"
    return connect(SqlRunStore.open(dialect, None), settings=SETTINGS, **parts)


def _fold_back(database: Path) -> None:
    """Have the write-ahead log begin anew, as it does after more pages than there are here."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def files(root: str, syncs: str = "all") -> None:
    """What checkpointers and artifact stores do to files, until each thing was done often.

    `syncs` "files" leaves out those of folders, and "none" all.
    """
    if syncs != "all":
        _sync_only(folders=False, files=syncs == "files")
    store = FileCheckpointer(Path(root) / "checkpoints")
    artifacts = FileArtifactStore(Path(root) / "artifacts")
    for number in range(12):
        id = f"execution-{number % 5}"
        store.save_checkpoint(checkpoint(id, variables={"version": number, "operations": 0}))
        acknowledged("version", id, number, 0)
        for done in range(1, 6):
            head = checkpoint(id, variables={"version": number, "operations": done})
            store.record(_update(head, done))
            acknowledged("version", id, number, done)
            if number % 4 == done % 4:
                _leave_unfinished(Path(root) / "checkpoints", id)
        if number % 3 == 1:
            store.atomic_update(id, lambda found: found.variables.update(operations=9))
            acknowledged("version", id, number, 9)
        if number % 5 == 4:
            acknowledged("deleting", id, number)
            store.delete_checkpoint(id)
            acknowledged("deleted", id, number)
        blob = artifacts.put(large(number % 7) * (1 + number % 4))
        acknowledged("artifact", blob.sha256)


def _leave_unfinished(root: Path, id: str) -> None:
    """The beginning of a line, as a writer that was killed leaves it."""
    with Folder(root).path(id).open("ab") as file:
        file.write(seal("x" * 2_000)[:1_500])
        file.flush()
        os.fsync(file.fileno())


def _sync_only(*, folders: bool, files: bool) -> None:
    """From now on, forget some kinds of syncs."""
    sync = os.fsync

    def forgetful(fd: Any) -> None:
        if folders if stat.S_ISDIR(os.fstat(fd).st_mode) else files:
            sync(fd)

    os.fsync = forgetful


def _update(head: Checkpoint, done: int) -> CheckpointUpdate:
    return CheckpointUpdate(head, (operation(done, value="x" * 150 * done),))


def rows(root: str, durability: str) -> None:
    """Rows of a projection, each in a transaction of its own, over two openings."""
    for session in range(2):
        projection = SqliteProjection(Path(root) / "projections" / "rows.db", durability)  # type: ignore[arg-type]  # text from JSON
        projection.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER)")
        for number in range(session * 15, session * 15 + 15):
            projection.once(str(number), partial(_insert, number))
            acknowledged("row", number)
        projection.close()


def _insert(number: int, transaction: Transaction) -> None:
    transaction.execute("INSERT INTO rows VALUES (?)", (number,))
