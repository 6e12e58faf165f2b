"""How the store writes: a transaction, its ledger, and the news of it."""

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
from stepwell.stores.sql.connection.dialect import Dialect
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.exchange.changes import Changes, StoredEvent
from stepwell.stores.sql.exchange.claim_sql import ClaimStatements
from stepwell.stores.sql.exchange.closing import Closing
from stepwell.stores.sql.exchange.graphs import Graphs
from stepwell.stores.sql.exchange.leases import Leases, LeaseStatements
from stepwell.stores.sql.exchange.plan import PlanName
from stepwell.stores.sql.exchange.plans import plan_of
from stepwell.stores.sql.exchange.propagation import Propagation
from stepwell.stores.sql.exchange.steps_sql import GraphStatements, SettleStatements
from stepwell.stores.sql.exchange.waking import Waking
from stepwell.stores.sql.roles.reads import Reads
from stepwell.stores.sql.roles.reads_sql import ReadStatements

T = TypeVar("T")

_log = logging.getLogger("stepwell.store")


class Writer(Reads):
    """What every writing role of the store builds on."""

    def __init__(
        self, dialect: Dialect, observers: Observers | None = None, plan: PlanName | None = None
    ) -> None:
        self.observers = observers or Observers()
        self.database = Database(dialect)
        self._read_sql = ReadStatements(dialect)
        super().__init__(self.database, self._read_sql)
        self._dialect = dialect
        self._settle_sql = SettleStatements(dialect)
        self._graph_sql = GraphStatements(dialect)
        self._claim_sql = ClaimStatements(dialect)
        self._plan = plan_of(plan, dialect, self._settle_sql, self._graph_sql, self._claim_sql)
        self._graphs = Graphs(self._graph_sql, self._settle_sql, self._plan)
        self._waking = Waking(dialect)
        self._closing = Closing(dialect, self._plan, self._waking)
        self._leases = Leases(LeaseStatements(dialect), self._waking)

    def _write(
        self, work: Callable[[StoreTransaction, Changes], T], kind: Write | None = None
    ) -> T:
        """Do this in a transaction, and tell of it once that is committed."""
        return self._write_changes(work, kind)[0]

    def _write_changes(
        self, work: Callable[[StoreTransaction, Changes], T], kind: Write | None = None
    ) -> tuple[T, Changes]:
        """`_write`, and what was changed."""

        def in_transaction(tx: StoreTransaction) -> tuple[T, Changes]:
            changes = Changes(tx)
            result = work(tx, changes)
            self._closing.close(changes)
            return result, changes

        result, changes = self.database.write(in_transaction, kind)
        self._publish(changes)
        return result, changes

    def _propagation(self, changes: Changes) -> Propagation:
        """What follows from the ends of steps that are noted in it."""
        return Propagation(changes, self._settle_sql, self._plan)

    def _act(self, work: Callable[[StoreTransaction, Changes], int], kind: Write) -> int:
        """An operator's act: workers elsewhere see the control number change."""

        def with_control(tx: StoreTransaction, changes: Changes) -> int:
            changed = work(tx, changes)
            self._graph_sql.bump_control(tx)
            return changed

        return self._write(with_control, kind)

    def _publish(self, changes: Changes | None) -> None:
        """Tell this process's observers what was committed; None: somebody else does."""
        if changes is None:
            return
        types = {row[2] for row in changes.stored}
        wanted = {type_ for type_ in types if self.observers.wanted(EventType(type_))}
        if not wanted:
            return
        stored = [row for row in changes.stored if row[2] in wanted]
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
            run_ids = self.names(tx, {row[0] for row in stored}, "runs")
            keys = {row[4] for row in stored if row[4] is not None}
            step_ids = self.names(tx, keys, "steps")
        return [
            Event(
                type=EventType(type_),
                at=to_datetime(at),
                run_id=run_ids.get(run_key),
                step_id=None if step is None else step_ids.get(step),
                attempt=attempt,
                worker=worker,
                seq=seq,
                data=decode(data) if data else {},
            )
            for run_key, seq, type_, at, step, attempt, worker, data in stored
        ]

    def _locked_run(
        self, tx: StoreTransaction, run_id: str, *, to_end: bool = False
    ) -> tuple[int, str]:
        """Key and status of a run that nobody else changes until this transaction ends."""
        key, _ = self.run_key(tx, run_id)
        self._graphs.lock_runs(tx, [key], to_end=to_end)
        return self.run_key(tx, run_id)

    def _check_lease(self, tx: StoreTransaction, step: ClaimedStep) -> None:
        """Raises LeaseLost when the step is not held with this token any more."""
        if not self._leases.is_held(tx, step):
            raise LeaseLost(
                f"step {step.id!r} of run {step.run.id!r} is not held any more: it was canceled, "
                "or its lease lapsed; nothing was stored"
            )
