"""The life of a worker.

    made ──begin──▶ working ──stop(), `stop` is set, or `until` is reached──▶ draining ──▶ stopped
                       │                                                         ▲
                       └── a mistake of the program ──▶ broken ──────────────────┘

A draining worker claims no more, lets its steps finish and gives back the rest. A broken one sends
nothing more to the store, and its leases lapse. In a fork, a worker in any of these states is
`disowned`: it goes on only in the parent.
"""

from __future__ import annotations

import logging
import threading

from stepwell.engine.errors import RefusedByState, StepwellError

_log = logging.getLogger("stepwell.worker")


class Lifecycle:
    """What a worker was told to do, and whether it can. Any thread may call `stop`."""

    def __init__(self, worker_id: str, grace: float) -> None:
        self._worker_id = worker_id
        self._setting = grace
        self._asked: float | None = None
        self._stop: threading.Event | None = None
        # Whether it waits for a store that is out of reach for longer than its leases last.
        self.patient = False
        self.broken = False
        self.disowned = False

    def begin(self, patient: bool, stop: threading.Event | None) -> None:
        """Work until told to stop, or until `stop` is set."""
        self.patient, self._stop = patient, stop

    def stop(self, grace: float | None) -> None:
        """Drain within `grace` seconds (None: as the setting says); the shortest grace holds."""
        grace = self._setting if grace is None else grace
        self._asked = grace if self._asked is None else min(grace, self._asked)

    @property
    def draining(self) -> bool:
        """Whether it was told to stop."""
        return self._asked is not None or (self._stop is not None and self._stop.is_set())

    @property
    def grace(self) -> float:
        """How many seconds running steps have to finish."""
        return self._setting if self._asked is None else self._asked

    def fail(self, error: Exception) -> None:
        """Note that the worker ends with `error`. A bug of the program is logged, and breaks it.

        A broken worker does not give back what it holds, as that could fail in the same way.
        """
        if isinstance(error, StepwellError):
            return
        self.broken = True
        _log.error(
            "worker %s ends: %s: %s; its steps are taken back when their leases lapse",
            *(self._worker_id, type(error).__name__, error),
            exc_info=error,
            extra={"action": "worker.broken"},
        )

    def check_here(self) -> None:
        """Raise RefusedByState in a fork."""
        if self.disowned:
            raise RefusedByState(
                f"worker {self._worker_id} is that of the process which this one was forked from, "
                "and goes on there; here, begin another one: runtime.worker(), drain()"
            )
