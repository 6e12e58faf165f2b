"""Starting runs: new ones, and those that are there already by their id or dedup key."""

from __future__ import annotations

from collections.abc import Sequence

from stepwell.engine.crash_points import Write
from stepwell.engine.errors import Conflict, KeyMoved
from stepwell.engine.exchange import NewRun, StoredRun
from stepwell.engine.model import Run
from stepwell.engine.payloads.payload import decode
from stepwell.engine.run_options import OnDuplicate, Start
from stepwell.stores.sql.connection.corruption import reads_stored
from stepwell.stores.sql.connection.database import TryAgain
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.new_runs import created_run
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.exchange.run_options import OptionStatements, key_is_taken
from stepwell.stores.sql.roles.reads_sql import ReadStatements
from stepwell.stores.sql.roles.rows import run_of
from stepwell.stores.sql.roles.writer import Writer


class Starts:
    """`create_run` and `waiting_run` of the role `ports.Runs`."""

    def __init__(self, writer: Writer, reads: ReadStatements, parts: Parts) -> None:
        self._db = writer.database
        self._writer = writer
        self._parts = parts
        self._reads = reads
        self._sql = OptionStatements(self._db.dialect)

    @reads_stored
    def create_run(self, run: NewRun) -> StoredRun:
        if run.options is not None and run.options.dedup_key is not None:
            return self._create_keyed(run)
        created, changes = self._db.write_with_others(self._create_runs, run, Write.START_RUN)
        self._writer.publish(changes)
        if isinstance(created, Conflict):
            raise created
        return created

    def _create_runs(
        self, tx: StoreTransaction, items: Sequence[NewRun]
    ) -> list[tuple[StoredRun | Conflict, Changes | None]]:
        """Create what several threads ask for at the same moment; one of them tells of it."""
        changes = Changes(tx)
        added = self._parts.graphs.add_runs(changes, items)
        self._parts.closing.close(changes)
        created = [
            self._same_run(tx, run, key)
            if isinstance(key, Conflict)
            else StoredRun(created_run(run, tx.now))
            for run, key in zip(items, added, strict=True)
        ]
        return [(made, None if place else changes) for place, made in enumerate(created)]

    def _same_run(self, tx: StoreTransaction, run: NewRun, taken: Conflict) -> StoredRun | Conflict:
        """The run that has this id, if it was started in the same way; else the conflict."""
        stored = self._read(tx, run.id)
        same = (stored.package, stored.entrypoint) == (run.package, run.entrypoint)
        return StoredRun(stored, Start.RETURNED) if same and _equal_input(stored, run) else taken

    def _read(self, tx: StoreTransaction, run_id: str) -> Run:
        return run_of(self._reads.run(tx, run_id).fetchone())

    # --- with a dedup key -----------------------------------------------------------------------

    @reads_stored
    def waiting_run(self, package: str, dedup_key: str) -> str | None:
        found = self._db.ask(lambda tx: self._sql.waiting_run(tx, package, dedup_key))
        return None if found is None else found.run_id

    def _create_keyed(self, run: NewRun) -> StoredRun:
        def work(tx: StoreTransaction, changes: Changes) -> tuple[Run | str, Start]:
            options = run.options
            assert options is not None
            key = options.dedup_key
            assert key is not None
            if options.on_duplicate is OnDuplicate.REPLACE:
                return self._replace(tx, changes, run, key)
            self._lock_keys(tx)
            holder = self._sql.holder_of(tx, run.package, key)
            if holder is None:
                return self._add(tx, changes, run)
            if options.on_duplicate is OnDuplicate.REFUSE:
                raise key_is_taken(run.package, key, holder.run_id)
            return holder.run_id, Start.RETURNED

        found, start = self._writer.write(work, Write.START_RUN)
        if isinstance(found, Run):
            return StoredRun(found, start)
        with self._db.read() as tx:
            return StoredRun(self._read(tx, found), start)

    def _add(self, tx: StoreTransaction, changes: Changes, run: NewRun) -> tuple[Run | str, Start]:
        """Store a run whose key nobody holds."""
        (added,) = self._parts.graphs.add_runs(changes, (run,))
        if not isinstance(added, Conflict):
            return created_run(run, tx.now), Start.STARTED
        same = self._same_run(tx, run, added)
        if isinstance(same, Conflict):
            raise same
        return same.run, Start.RETURNED

    def _replace(
        self, tx: StoreTransaction, changes: Changes, run: NewRun, key: str
    ) -> tuple[Run | str, Start]:
        """Give the run that waits under this key what the new one has; without one, store it."""
        waiting = self._sql.waiting_run(tx, run.package, key)
        if waiting is not None and tx.dialect.concurrent:
            self._parts.graphs.lock_runs(tx, [waiting.key])
        if tx.dialect.concurrent:
            self._lock_keys(tx)
            if self._sql.waiting_run(tx, run.package, key) != waiting:
                raise TryAgain
        if waiting is None:
            (added,) = self._parts.graphs.add_runs(changes, (run,))
            if not isinstance(added, Conflict):
                return created_run(run, tx.now), Start.STARTED
            # The one that waited has begun since its id was looked up.
            stored = self._read(tx, run.id)
            raise KeyMoved(str(added)) if stored.dedup_key == key else added
        if waiting.run_id != run.id:
            raise KeyMoved(f"run {waiting.run_id!r} waits under the dedup key {key!r} by now")
        self._parts.graphs.replace_run(changes, waiting.key, run, waiting.created_at)
        return run.id, Start.REPLACED

    def _lock_keys(self, tx: StoreTransaction) -> None:
        """Others that store runs wait from here on, so that no key is taken in between."""
        if tx.dialect.concurrent:
            self._parts.graphs.reserve(tx, 0, 0)


def _equal_input(stored: Run, run: NewRun) -> bool:
    return bool(stored.input == decode(run.input))
