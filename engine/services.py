"""What all executions of a worker share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from stepwell.engine.checkpoints.checkpoint import Checkpointer
from stepwell.engine.clock import Clock
from stepwell.engine.exchange import ClaimedStep, NewRun
from stepwell.engine.key_values import KeyValueStore
from stepwell.engine.ports import (
    ArtifactStore,
    Catalog,
    DependencyReads,
    Messages,
    ProjectionStore,
    Values,
)
from stepwell.engine.settings import Settings

# Given the `StepContext`, a context manager to enter around its body.
Around = Callable[[Any], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class DurableServices:
    """What durable operations use. `checkpointer(step)` refuses saves of a step that is not held;
    `now` reads the store's clock (epoch µs), `clock` is that of this process.
    """

    checkpointer: Callable[[ClaimedStep], Checkpointer]
    messages: Messages
    values: Values
    kv: KeyValueStore
    clock: Clock
    now: Callable[[], int]


@dataclass(slots=True)
class Services:
    """What executions share: stores to read and write, and the registered executors.

    `build_run(package, input, entrypoint, run_id)` builds a child run; `app` is the host
    application's object; `durable` None forbids durable operations; `around` is entered around
    each body.
    """

    catalog: Catalog
    reads: DependencyReads
    artifacts: ArtifactStore
    projections: ProjectionStore
    settings: Settings
    build_run: Callable[[str, Any, str | None, str], NewRun]
    app: Any = None
    durable: DurableServices | None = None
    around: tuple[Around, ...] = ()
