"""What others see of a worker: its row in the store, and the events of its life."""

from __future__ import annotations

import os
import socket
from typing import Final

from stepwell.engine.clock import to_datetime
from stepwell.engine.events import Event, EventType
from stepwell.engine.model import WorkerRow
from stepwell.engine.worker.parts import WorkerParts, WorkerRole

# A worker that was silent for the time of so many leases counts as dead.
SILENT_LEASES: Final = 10


class Registration:
    """Used by the thread that has the turn."""

    def __init__(self, worker_id: str, parts: WorkerParts, role: WorkerRole) -> None:
        self._worker_id = worker_id
        self._parts = parts
        self._role = role
        self._started_at: int | None = None

    def begin(self) -> None:
        """Store that the worker is at work. Raises StoreError, and may be tried again."""
        if self._started_at is None:
            self._started_at = self._parts.clock.micros()
        self._parts.store.record_worker(self._row(self._started_at))

    def record(self) -> None:
        """Store that the worker is still there, and forget others that are silent."""
        if self._started_at is not None:
            self._parts.store.record_worker(self._row(self._started_at))
            silent = SILENT_LEASES * int(self._parts.settings.lease * 1e6)
            self._parts.store.forget_silent_workers(silent)

    def end(self) -> None:
        """Store that the worker has stopped."""
        self._parts.store.forget_worker(self._worker_id)

    def announce(self, type: EventType) -> None:
        """Publish an event of the worker's life, which only observers in this process see."""
        event = Event(type, to_datetime(self._parts.clock.micros()), worker=self._worker_id)
        self._parts.observers.publish(event)

    def _row(self, started_at: int) -> WorkerRow:
        parts, role = self._parts, self._role
        return WorkerRow(
            id=self._worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=parts.version,
            queues=role.queues,
            started_at=to_datetime(started_at),
            seen_at=to_datetime(parts.clock.micros()),
            kinds=tuple(parts.services.catalog.kinds()),
            labels=role.labels,
        )
