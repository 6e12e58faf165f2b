"""What a runtime is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell.engine.checkpoints.checkpoint import Checkpointer
from stepwell.engine.clock import Clock
from stepwell.engine.durable.checkpoints_elsewhere import CheckpointsElsewhere
from stepwell.engine.events import Observers
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.ports import ArtifactStore, Catalog, ProjectionStore, RunStore
from stepwell.engine.services import Around
from stepwell.engine.settings import Settings
from stepwell.engine.worker.duty import Duty
from stepwell.engine.worker.parts import WorkerParts
from stepwell.engine.worker.pool_spec import FindPool
from stepwell.engine.worker.worker import Worker

# Makes a worker of its id, what it shares with others, its queues and its labels.
WorkerFactory = Callable[[str, WorkerParts, tuple[str, ...] | None, tuple[str, ...]], Worker]


@dataclass(frozen=True, slots=True)
class RuntimeParts:
    """What `connect()` composes a runtime of; `home` is the folder of local files, if there is one.

    `around` is entered around each body; `checkpoints` None means those in the store; `on_close`
    closes what `connect()` opened besides the other parts; `duties` are added to those that every
    worker has.
    """

    store: RunStore
    catalog: Catalog
    artifacts: ArtifactStore
    projections: ProjectionStore
    settings: Settings
    clock: Clock
    observers: Observers
    find_pool: FindPool
    checkpoints: Checkpointer | None = None
    on_close: Callable[[], object] | None = None
    app: Any = None
    home: str | None = None
    version: str = ""
    around: tuple[Around, ...] = ()
    duties: Sequence[Duty] = ()
    make_worker: WorkerFactory = Worker

    def checkpointer_of(self, step: ClaimedStep) -> Checkpointer:
        """The checkpointer for an execution of `step`; it saves only while the lease is held."""
        if self.checkpoints is None:
            return self.store.checkpointer(step)
        return CheckpointsElsewhere(self.checkpoints, self.store, step)
