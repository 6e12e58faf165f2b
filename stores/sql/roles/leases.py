"""What a worker asks of the leases between claim and settle."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from stepwell.engine.crash_points import Write
from stepwell.engine.exchange import ClaimedStep, LostLease
from stepwell.stores.sql.connection.corruption import reads_stored
from stepwell.stores.sql.connection.statements import StoreTransaction
from stepwell.stores.sql.exchange.changes import Changes
from stepwell.stores.sql.exchange.leases import MAX_WOKEN
from stepwell.stores.sql.exchange.parts import Parts
from stepwell.stores.sql.roles.writer import Writer


class LeaseKeeping:
    """The leases of the role `ports.Claims`."""

    def __init__(self, writer: Writer, parts: Parts) -> None:
        self._db = writer.database
        self._writer = writer
        self._graphs = parts.graphs
        self._leases = parts.leases
        self._limits = parts.limits

    def renew(self, worker_id: str, steps: Sequence[ClaimedStep], lease: int) -> list[LostLease]:
        gone: list[LostLease] = []
        left: Sequence[ClaimedStep] = steps
        wait = False
        while left:
            # All that nobody else holds; then one of the others alone, and all again.
            some = left[:1] if wait else left
            renew = partial(self._leases.renew, worker_id=worker_id, lease=lease, wait=wait)
            lost, locked = self._db.write(partial(renew, steps=some), Write.RENEW)
            gone += lost
            left, wait = (left[1:], False) if wait else (locked, True)
        return gone

    def has_lease(self, step: ClaimedStep) -> bool:
        return self._db.write(lambda tx: self._leases.is_held(tx, step), Write.CHECK_LEASE)

    def release_others(self, worker_id: str, keep: Sequence[ClaimedStep]) -> int:
        def release(tx: StoreTransaction, changes: Changes) -> int:
            self._graphs.lock_runs(tx, self._leases.runs_held(tx, worker_id))
            return self._leases.release_others(tx, changes, worker_id, keep)

        return self._writer.write(release, Write.RELEASE_OTHERS)

    @reads_stored
    def reap(self, max_lost_leases: int) -> int:
        with self._db.read() as tx:
            if not self._leases.is_anything_due(tx):
                return 0

        def take_back(tx: StoreTransaction, changes: Changes) -> int:
            propagation = self._writer.propagation(changes)
            runs = self._leases.lapsed_runs(tx)
            self._graphs.lock_runs(tx, runs, to_end=True)
            return self._leases.reap(tx, changes, propagation, max_lost_leases, runs)

        def wake(tx: StoreTransaction, changes: Changes) -> int:
            due = self._leases.due(tx)
            self._graphs.lock_runs(tx, {run_key for _, run_key, _ in due})
            return self._leases.wake(tx, changes, due)

        moved, woken = self._writer.write(take_back, Write.REAP), MAX_WOKEN
        while woken == MAX_WOKEN:
            woken = self._writer.write(wake, Write.WAKE)
            moved += woken
        return moved + self._enforce_limits()

    def _enforce_limits(self) -> int:
        """End runs whose time limits are over; returns how many."""
        with self._db.read() as tx:
            if not self._limits.is_any_over(tx):
                return 0
        ended = 0
        while self._writer.act(self._limits.enforce, Write.ENFORCE_LIMITS):
            ended += 1
        return ended

    def next_due(self, after: int) -> int | None:
        return self._db.ask(lambda tx: self._leases.next_due(tx, after))
