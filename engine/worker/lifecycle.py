"""The life of a worker.

    made ──begin──▶ working ──stop(), `stop` is set, or `until` is reached──▶ draining ──▶ stopped
                       │                                                         ▲
                       └── a mistake of the program ──▶ broken ──────────────────┘

Draining, it claims no more, lets its steps finish and gives back the rest. Broken, it sends
nothing to the store any more, and its leases lapse. In a fork it is `disowned` from any of these:
it goes on in the parent alone.
"""

from __future__ import annotations

import logging
import threading

from stepwell.engine.errors import RefusedByState, StepwellError

_log = logging.getLogger("stepwell.worker")


class Lifecycle:
    """What a worker was told to do, and whether it can. `stop` may be called from anywhere."""

    def __init__(self, worker_id: str, grace: float) -> None:
        self._worker_id = worker_id
        self._setting = grace
        self._asked: float | None = None
        self._stop: threading.Event | None = None
        # Whether a store out of reach is waited for longer than its leases last.
        self.patient = False
        self.broken = False
        self.disowned = False

    def begin(self, patient: bool, stop: threading.Event | None) -> None:
        """Work until told to stop, or until `stop` is set."""
        self.patient, self._stop = patient, stop

    def stop(self, grace: float | None) -> None:
        """Drain, within `grace` seconds (None: the setting's); of several, the shortest holds."""
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
        """The worker ends by `error`; a mistake of the program is logged, and makes it broken.

        To give back what it holds could end like what went wrong.
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
