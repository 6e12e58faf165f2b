"""A checkpointer behind a fence: without the lease, nothing is written."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.engine.checkpoints.checkpoint import (
    Checkpoint,
    Checkpointer,
    CheckpointUpdate,
    is_atomic,
    journals,
)
from stepwell.engine.errors import LeaseLost

Check = Callable[[], object]


def fenced(checkpointer: Checkpointer, check: Check) -> Checkpointer:
    """The same checkpointer, with the same capabilities, that calls `check()` before each write.

    If `check` raises LeaseLost or returns False, the write raises LeaseLost and stores nothing.
    An atomic update checks again right before it stores; there, `check` must not use the
    checkpointer.
    """
    atomic = is_atomic(checkpointer)
    if journals(checkpointer):
        return (_FencedBoth if atomic else _FencedJournal)(checkpointer, check)
    return (_FencedAtomic if atomic else _Fenced)(checkpointer, check)


class _Fenced:
    """The three methods."""

    def __init__(self, checkpointer: Checkpointer, check: Check) -> None:
        self._checkpointer = checkpointer
        self._ask = check

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._check(checkpoint.execution_id)
        self._checkpointer.save_checkpoint(checkpoint)

    def load_checkpoint(self, execution_id: str) -> Checkpoint:
        return self._checkpointer.load_checkpoint(execution_id)

    def delete_checkpoint(self, execution_id: str) -> None:
        self._check(execution_id)
        self._checkpointer.delete_checkpoint(execution_id)

    def _check(self, execution_id: str) -> None:
        if self._ask() is False:
            raise LeaseLost(
                f"checkpoint of {execution_id!a:.120}: another worker holds the step now; "
                "nothing was stored"
            )


class _FencedAtomic(_Fenced):
    """… of an AtomicCheckpointer."""

    def atomic_update(
        self, execution_id: str, change: Callable[[Checkpoint], object]
    ) -> Checkpoint:
        checkpointer = self._checkpointer
        assert is_atomic(checkpointer)
        self._check(execution_id)

        def change_and_check(checkpoint: Checkpoint) -> None:
            change(checkpoint)
            self._check(execution_id)

        return checkpointer.atomic_update(execution_id, change_and_check)


class _FencedJournal(_Fenced):
    """… of a JournalingCheckpointer."""

    def record(self, update: CheckpointUpdate) -> bool:
        checkpointer = self._checkpointer
        assert journals(checkpointer)
        self._check(update.head.execution_id)
        return checkpointer.record(update)


class _FencedBoth(_FencedAtomic, _FencedJournal):
    """… of one with both powers."""
