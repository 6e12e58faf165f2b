"""How the roles write: a transaction, what it changes, and telling observers of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from stepwell.engine.clock import to_datetime
from stepwell.engine.crash_points import Write
from stepwell.engine.errors import LeaseLost, StepwellError
from stepwell.engine.events import Event, EventType, Observers
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.payloads.payload import decode
from stepwell.stores.sql.connection.database import Database
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.exchange.changes import Changes, StoredEvent
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.exchange.propagation import Propagation
from stepwell.stores.sql.roles.lookup import Lookup, RunRow

T = TypeVar("T")

# Looked up for each type of each commit, where to call EventType costs more.
_TYPES = {type.value: type for type in EventType}

_log = logging.getLogger("stepwell.store")


class Writer:
    """Writes for all roles of one store."""

    def __init__(
        self, database: Database, observers: Observers, lookup: Lookup, parts: Parts
    ) -> None:
        self.database = database
        self.observers = observers
        self._lookup = lookup
        self._parts = parts

    def write(self, work: Callable[[StoreTransaction, Changes], T], kind: Write) -> T:
        """Do this in a transaction, and tell observers of it once that is committed."""
        return self.write_changes(work, kind)[0]

    def write_changes(
        self, work: Callable[[StoreTransaction, Changes], T], kind: Write
    ) -> tuple[T, Changes]:
        """Like `write`; also returns what was changed."""

        def in_transaction(tx: StoreTransaction) -> tuple[T, Changes]:
            changes = Changes(tx)
            result = work(tx, changes)
            self._parts.closing.close(changes)
            return result, changes

        result, changes = self.database.write(in_transaction, kind)
        self.publish(changes)
        return result, changes

    def act(self, work: Callable[[StoreTransaction, Changes], int], kind: Write) -> int:
        """An operator's act: workers elsewhere see the control number change."""

        def with_control(tx: StoreTransaction, changes: Changes) -> int:
            changed = work(tx, changes)
            self._parts.graphs.raise_control(tx)
            return changed

        return self.write(with_control, kind)

    def publish(self, changes: Changes | None) -> None:
        """Tell this process's observers what was committed; None: another thread does."""
        if changes is None:
            return
        types = {event.type for event in changes.stored}
        wanted = {type for type in types if self.observers.wanted(_TYPES[type])}
        if not wanted:
            return
        stored = [event for event in changes.stored if event.type in wanted]
        try:
            events = self._named(stored)
        except StepwellError as error:  # they are committed, whatever becomes of telling it
            _log.warning("%s; events were not published", error, extra={"action": "store_trouble"})
            return
        for event in events:
            self.observers.publish(event)

    def _named(self, stored: list[StoredEvent]) -> list[Event]:
        """Stored events with the ids of their runs and steps."""
        with self.database.read() as tx:
            run_ids = self._lookup.run_ids(tx, {event.run_key for event in stored})
            steps = {event.step for event in stored if event.step is not None}
            step_ids = self._lookup.step_ids(tx, steps)
        return [
            Event(
                type=_TYPES[event.type],
                at=to_datetime(event.at),
                run_id=run_ids.get(event.run_key),
                step_id=None if event.step is None else step_ids.get(event.step),
                attempt=event.attempt,
                worker=event.worker,
                seq=event.seq,
                data=decode(event.data) if event.data else {},
            )
            for event in stored
        ]

    def propagation(self, changes: Changes) -> Propagation:
        """What follows from the ends of steps that are noted in the changes."""
        return Propagation(changes, self._parts.sql, self._parts.plan)

    def locked_run(self, tx: StoreTransaction, run_id: str, *, to_end: bool = False) -> RunRow:
        """A run that nobody else changes until this transaction ends. Raises NotFound."""
        run = self._lookup.run(tx, run_id)
        self._parts.graphs.lock_runs(tx, [run.key], to_end=to_end)
        return self._lookup.run(tx, run_id)

    def check_lease(self, tx: StoreTransaction, step: ClaimedStep) -> None:
        """Raises LeaseLost when the step is not held with its token any more."""
        if not self._parts.leases.is_held(tx, step):
            raise LeaseLost(
                f"step {step.id!r} of run {step.run.id!r} is not held any more: it was canceled, "
                "or its lease lapsed; nothing was stored"
            )
