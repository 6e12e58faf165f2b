"""What a worker is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from stepwell.engine.clock import Clock
from stepwell.engine.events import Observers
from stepwell.engine.ports import RunStore
from stepwell.engine.services import Services
from stepwell.engine.settings import Settings
from stepwell.engine.worker.duty import Duty
from stepwell.engine.worker.outcome_queue import OutcomeQueue
from stepwell.engine.worker.pool_spec import FindPool
from stepwell.engine.worker.turn import TurnLock


@dataclass(frozen=True, slots=True)
class Synchronization:
    """How the threads of a worker wait for each other; the simulator has its own ways."""

    make_outcome_queue: Callable[[], OutcomeQueue[Any]] = OutcomeQueue
    make_turn_lock: Callable[[], TurnLock] = threading.RLock
    make_read_lock: Callable[[], AbstractContextManager[Any]] = threading.Lock


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What the workers of a runtime share.

    `on_ended` is called with the ids of runs that ended; `duties` are added to those that every
    worker has.
    """

    store: RunStore
    services: Services
    settings: Settings
    clock: Clock
    observers: Observers
    find_pool: FindPool
    on_ended: Callable[[Sequence[str]], None]
    duties: Sequence[Duty] = ()
    version: str = ""
    synchronization: Synchronization = field(default_factory=Synchronization)


@dataclass(frozen=True, slots=True)
class WorkerRole:
    """What a worker claims: `queues` None means all; `labels` are those that queues may require."""

    queues: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
