"""Checkpoints that are kept outside of the store, with a note in the store that says where.

The store's own checkpoint of such a step only says where its operations are. A runtime without
that checkpointer refuses to run the step, instead of repeating all its operations.
"""

from __future__ import annotations

from stepwell.engine.checkpoints.capabilities import load, record
from stepwell.engine.checkpoints.checkpoint import Checkpoint, Checkpointer, CheckpointUpdate
from stepwell.engine.checkpoints.fence import fenced
from stepwell.engine.errors import NoCheckpoint, ReplayMismatch
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.ports import RunStore


class CheckpointsElsewhere:
    """The checkpointer for one execution of `step`, fenced by its lease in the store."""

    def __init__(self, checkpointer: Checkpointer, store: RunStore, step: ClaimedStep) -> None:
        self._there = fenced(checkpointer, lambda: store.has_lease(step))
        self._here = store.checkpointer(step)
        self._place = getattr(checkpointer, "address", None) or type(checkpointer).__qualname__
        self._told = False

    def load_checkpoint(self, execution_id: str) -> Checkpoint:
        """See `Checkpointer`. Raises ReplayMismatch if the operations are kept in another place."""
        try:
            found = load(self._there, execution_id)
        except NoCheckpoint:
            self._check_other_places(execution_id)
            raise
        self._told = True
        return found

    def _check_other_places(self, execution_id: str) -> None:
        try:
            here = self._here.load_checkpoint(execution_id)
        except NoCheckpoint:
            return
        self._told = True
        if here.elsewhere != self._place:
            raise recorded_elsewhere(execution_id, here.elsewhere or "the store itself")

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """See `Checkpointer`."""
        self._tell(checkpoint)
        self._there.save_checkpoint(checkpoint)

    def delete_checkpoint(self, execution_id: str) -> None:
        """See `Checkpointer`."""
        self._there.delete_checkpoint(execution_id)

    def record(self, update: CheckpointUpdate) -> bool:
        """See `JournalingCheckpointer`; uses the best capability of the other checkpointer."""
        self._tell(update.head)
        return record(self._there, update)

    def _tell(self, head: Checkpoint) -> None:
        """Store the note, before anything is recorded elsewhere."""
        if not self._told:
            note = Checkpoint(
                id=head.id,
                execution_id=head.execution_id,
                run_id=head.run_id,
                step_id=head.step_id,
                elsewhere=self._place,
            )
            record(self._here, CheckpointUpdate(note))
            self._told = True


def recorded_elsewhere(execution_id: str, place: str) -> ReplayMismatch:
    """The error for an execution whose operations are kept in another place."""
    return ReplayMismatch(
        f"{execution_id}: its operations are recorded in {place}; open the store with "
        "connect(checkpoints=…) as they were recorded, then retry the step"
    )
