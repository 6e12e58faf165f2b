"""Operations on any checkpointer: record what is new, pause and unpause.

Each uses the best capability available: the journal, else an atomic update, else load and save.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from stepwell.engine.checkpoints.checkpoint import (
    CHECKPOINT_VERSION,
    Checkpoint,
    Checkpointer,
    CheckpointUpdate,
    is_atomic,
    journals,
)
from stepwell.engine.checkpoints.text import revive, version_of
from stepwell.engine.clock import Clock, SystemClock, to_datetime
from stepwell.engine.errors import NoCheckpoint, RefusedByState, StepwellError, shown

_NOT_IN_HEAD = frozenset({"operations", "pause_requested", "pause_reason"})


def record(checkpointer: Checkpointer, update: CheckpointUpdate) -> bool:
    """Store what is new, creating the checkpoint if needed; whether a pause is requested.

    Sets `schema_version`. With a journal, costs what is new; otherwise saves the whole checkpoint.
    """
    head = update.head
    if head.schema_version != CHECKPOINT_VERSION:
        head = head.model_copy(update={"schema_version": CHECKPOINT_VERSION})
        update = CheckpointUpdate(head, update.operations)
    if journals(checkpointer):
        return checkpointer.record(update)
    try:
        return _change(
            checkpointer, head.execution_id, lambda checkpoint: apply(update, checkpoint)
        ).pause_requested
    except NoCheckpoint:
        fresh = {"operations": [], "pause_requested": False, "pause_reason": ""}
        checkpoint = head.model_copy(update=fresh)
        apply(update, checkpoint)
        checkpointer.save_checkpoint(checkpoint)
        return False


def load(checkpointer: Checkpointer, execution_id: str) -> Checkpoint:
    """The checkpoint in the present version, even if the backend does not check versions.

    Raises NoCheckpoint, CheckpointVersionError and CheckpointCorrupt.
    """
    found: object = checkpointer.load_checkpoint(execution_id)
    if not isinstance(found, Checkpoint):
        raise StepwellError(
            f"{type(checkpointer).__name__}.load_checkpoint: must give a Checkpoint, or raise "
            f"NoCheckpoint when there is none; got {shown(found)}"
        )
    checkpoint = found
    if checkpoint.schema_version == CHECKPOINT_VERSION:
        return checkpoint
    return revive(checkpoint.model_dump(mode="json"), _place(checkpoint))


def apply(update: CheckpointUpdate, checkpoint: Checkpoint) -> None:
    """Bring `checkpoint` up to date: replace its head, and replace or add operations by id.

    Keeps its pause flag.
    """
    for name in Checkpoint.model_fields.keys() - _NOT_IN_HEAD:
        setattr(checkpoint, name, getattr(update.head, name))
    extra = checkpoint.model_extra
    if extra is not None:
        extra.clear()
        extra.update(update.head.model_extra or {})
    places = {operation.id: place for place, operation in enumerate(checkpoint.operations)}
    for operation in update.operations:
        place = places.get(operation.id)
        if place is None:
            places[operation.id] = len(checkpoint.operations)
            checkpoint.operations.append(operation)
        else:
            checkpoint.operations[place] = operation


def pause_in_checkpoint(
    checkpointer: Checkpointer, execution_id: str, reason: str = "", *, clock: Clock | None = None
) -> Checkpoint:
    """Ask an execution to pause, through its checkpoint alone; a wait keeps the time it has left.

    It stops at its next operation. Atomic with an AtomicCheckpointer; otherwise, a concurrent save
    may undo it. Raises NoCheckpoint; RefusedByState if the execution has completed.
    """
    now = to_datetime((clock or SystemClock()).micros())

    def change(checkpoint: Checkpoint) -> None:
        if checkpoint.status == "completed":
            raise RefusedByState(f"execution {execution_id!r} completed; it cannot be paused")
        checkpoint.pause_requested = True
        checkpoint.pause_reason = reason
        wait = checkpoint.wait
        if wait is not None and wait.wake_at is not None:
            wait.remaining = max(0.0, (wait.wake_at - now).total_seconds())
            wait.wake_at = None
        if checkpoint.status == "waiting":
            checkpoint.status = "paused"

    return _change(checkpointer, execution_id, change)


def unpause_in_checkpoint(
    checkpointer: Checkpointer, execution_id: str, *, clock: Clock | None = None
) -> Checkpoint:
    """Undo a pause; a wait continues with the time it had left.

    Raises NoCheckpoint. Without a pause, does nothing.
    """
    now = to_datetime((clock or SystemClock()).micros())

    def change(checkpoint: Checkpoint) -> None:
        checkpoint.pause_requested = False
        checkpoint.pause_reason = ""
        wait = checkpoint.wait
        if wait is not None and wait.remaining is not None:
            wait.wake_at = now + timedelta(seconds=wait.remaining)
            wait.remaining = None
        if checkpoint.status == "paused":
            checkpoint.status = "running" if wait is None else "waiting"

    return _change(checkpointer, execution_id, change)


def _change(
    checkpointer: Checkpointer, execution_id: str, change: Callable[[Checkpoint], None]
) -> Checkpoint:
    """Load, change and save, atomically if the checkpointer can do that."""

    def with_version(checkpoint: Checkpoint) -> None:
        version_of({"schema_version": checkpoint.schema_version}, _place(checkpoint))
        checkpoint.schema_version = CHECKPOINT_VERSION
        change(checkpoint)

    if is_atomic(checkpointer):
        return checkpointer.atomic_update(execution_id, with_version)
    checkpoint = load(checkpointer, execution_id)
    with_version(checkpoint)
    checkpointer.save_checkpoint(checkpoint)
    return checkpoint


def _place(checkpoint: Checkpoint) -> str:
    return f"checkpoint of {checkpoint.execution_id!a:.120}"
