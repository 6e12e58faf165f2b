"""The closed list of events. Logs, metrics and pages are subscribers.

Every event of a run is stored in the transaction that it describes, and numbered per run without
gaps (`seq`). Events marked live are not stored; only observers in the same process see them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from stepwell.engine.errors import InvalidInput, nearest, shown

# Cursors to begin with: see `ports.Feed`.
BEGINNING, NOW = "beginning", "now"


class EventType(StrEnum):
    """Every type of event."""

    RUN_CREATED = "run.created"
    RUN_REPLACED = "run.replaced"
    RUN_STARTED = "run.started"
    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_CANCELED = "run.canceled"
    RUN_RETRIED = "run.retried"
    RUN_PAUSED = "run.paused"
    RUN_RESUMED = "run.resumed"
    STEP_STARTED = "step.started"
    STEP_SUCCEEDED = "step.succeeded"
    STEP_FAILED = "step.failed"
    STEP_RETRYING = "step.retrying"
    STEP_RELEASED = "step.released"
    STEP_WAITING = "step.waiting"
    STEP_WOKEN = "step.woken"
    STEP_CANCELED = "step.canceled"
    STEP_SKIPPED = "step.skipped"
    STEP_LAPSED = "step.lapsed"
    STEP_REFUSED = "step.refused"
    STEP_RETRIED = "step.retried"
    STEP_HELD = "step.held"
    STEP_UNHELD = "step.unheld"
    MESSAGE_SENT = "message.sent"
    MESSAGE_RECEIVED = "message.received"
    MESSAGE_DROPPED = "message.dropped"
    APPROVAL_DECIDED = "approval.decided"
    VALUE_SET = "value.set"
    WORKER_STARTED = "worker.started"
    WORKER_DRAINING = "worker.draining"
    WORKER_STOPPED = "worker.stopped"


DESCRIPTIONS: dict[EventType, str] = {
    EventType.RUN_CREATED: "a run was stored with its first steps; data: steps, package",
    EventType.RUN_REPLACED: (
        "a start with the same dedup key gave a run that had not begun a new input; data: steps"
    ),
    EventType.RUN_STARTED: "the first step of a run was claimed",
    EventType.RUN_SUCCEEDED: "every step ended and no failure was left unhandled",
    EventType.RUN_FAILED: "every step ended and a failure was left unhandled",
    EventType.RUN_CANCELED: "an operator canceled the run; data: by, reason, steps",
    EventType.RUN_RETRIED: "an operator retried a run; data: by, reason, steps",
    EventType.RUN_PAUSED: "an operator paused a run; data: by, reason, steps (held)",
    EventType.RUN_RESUMED: "an operator resumed a run; data: by, reason, steps (ready)",
    EventType.STEP_STARTED: "an execution begins (live)",
    EventType.STEP_SUCCEEDED: "a step's result and everything it made were committed",
    EventType.STEP_FAILED: "a step failed for good; data: code, message, details, cause",
    EventType.STEP_RETRYING: "an attempt failed and is repeated; data: code, message, retry_in",
    EventType.STEP_RELEASED: "a worker gave a step back uncharged; data: reason",
    EventType.STEP_WAITING: (
        "a step suspended itself; data: kind, operation, run_id, topic, value, until, waits"
    ),
    EventType.STEP_WOKEN: (
        "what a step waited for happened; it is ready again; data: run_id, topic or value"
    ),
    EventType.STEP_CANCELED: "a step was canceled; data: code, step (the one that started it)",
    EventType.STEP_SKIPPED: "a branch was not taken; data: code, step (the one that decided it)",
    EventType.STEP_LAPSED: "a lease ran out and the step is ready again; data: worker, lost_leases",
    EventType.STEP_REFUSED: "a late outcome was refused by its token; data: reason, token",
    EventType.STEP_RETRIED: "an operator retried a step; data: by, reason, reopened, error",
    EventType.STEP_HELD: "an operator holds a step back; data: by, reason",
    EventType.STEP_UNHELD: "an operator lets a held step continue; data: by, reason",
    EventType.MESSAGE_SENT: "a message was sent to the run; data: topic, key, sender",
    EventType.MESSAGE_RECEIVED: "a step received a message; data: id, topic, operation",
    EventType.MESSAGE_DROPPED: (
        "a step's message was dropped, because no such run is open; data: run_id, topic, reason"
    ),
    EventType.APPROVAL_DECIDED: (
        "an operator decided what a step asked for; data: approved, by, reason"
    ),
    EventType.VALUE_SET: "a step set a key of its run to a value; data: key, number, operation",
    EventType.WORKER_STARTED: "a worker began to claim (live)",
    EventType.WORKER_DRAINING: "a worker stopped claiming and lets its steps finish (live)",
    EventType.WORKER_STOPPED: "a worker stopped (live)",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `seq` numbers a run's events from 1; None for live ones."""

    type: EventType
    at: datetime
    run_id: str | None = None
    step_id: str | None = None
    attempt: int | None = None
    worker: str | None = None
    seq: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class EventPage(NamedTuple):
    """Events of any runs, in the order of their commits, and the cursor for those that follow."""

    events: list[Event]
    cursor: str


Observer = Callable[[Event], None]


def check_types(types: Iterable[EventType | str] | None) -> frozenset[EventType]:
    """The types of events meant; None means all. Raises InvalidInput with the nearest type."""
    if types is None:
        return frozenset(EventType)
    if isinstance(types, str):
        raise InvalidInput(f"types: must be a list of event types, got {shown(types)}")
    return frozenset(_type(type) for type in types)


def _type(given: EventType | str) -> EventType:
    try:
        return EventType(given)
    except ValueError:
        raise InvalidInput(
            f"types: there is no event {shown(given)}{nearest(given, EventType)}"
        ) from None


_log = logging.getLogger("stepwell")
_LEVELS = {
    EventType.STEP_FAILED: logging.ERROR,
    EventType.RUN_FAILED: logging.ERROR,
    EventType.STEP_RETRYING: logging.WARNING,
    EventType.STEP_LAPSED: logging.WARNING,
    EventType.STEP_REFUSED: logging.WARNING,
    EventType.STEP_STARTED: logging.DEBUG,
    EventType.STEP_SUCCEEDED: logging.DEBUG,
}


class Observers:
    """The subscribers of events. If one raises, that is logged, and the work goes on."""

    def __init__(self) -> None:
        self._observers: list[tuple[Observer, Callable[[EventType], bool]]] = []

    def subscribe(
        self, observer: Observer, wants: Callable[[EventType], bool] = lambda _: True
    ) -> Callable[[], None]:
        """Call `observer` with every event of the types it `wants`; returns how to stop that."""
        entry = (observer, wants)
        self._observers.append(entry)

        def unsubscribe() -> None:
            if entry in self._observers:
                self._observers.remove(entry)

        return unsubscribe

    def wanted(self, type: EventType) -> bool:
        """Whether an observer wants events of this type; creating an event costs time."""
        return any(wants(type) for _, wants in self._observers)

    def publish(self, event: Event) -> None:
        """Call each observer that wants `event`, in the order of their subscription."""
        for observer, wants in tuple(self._observers):
            if not wants(event.type):
                continue
            try:
                observer(event)
            except Exception:
                _log.exception("observer failed", extra={"action": "observer_failed"})


def wants_log(type: EventType) -> bool:
    """Whether the log would show events of this type."""
    return _log.isEnabledFor(_LEVELS.get(type, logging.INFO))


def log_event(event: Event) -> None:
    """The log subscriber: one line per event, its type as the stable field `action`."""
    level = _LEVELS.get(event.type, logging.INFO)
    subject = "/".join(part for part in (event.run_id, event.step_id) if part)
    details = " ".join(f"{key}={value}" for key, value in event.data.items())
    _log.log(
        level,
        "%s %s%s",
        event.type,
        subject or event.worker or "",
        f" {details}" if details else "",
        extra={
            "action": str(event.type),
            "run_id": event.run_id,
            "step_id": event.step_id,
            "attempt": event.attempt,
            "worker": event.worker,
        },
    )
