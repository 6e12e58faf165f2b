"""What our checkpointers share; a backend provides a `Place` and two methods to access it."""

from __future__ import annotations

import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from stepwell.engine.checkpoints.capabilities import apply
from stepwell.engine.checkpoints.checkpoint import CHECKPOINT_VERSION, Checkpoint, CheckpointUpdate
from stepwell.engine.checkpoints.text import (
    Document,
    Pieces,
    check_execution_id,
    damaged,
    revive,
    take_apart,
    take_apart_update,
    version_of,
)
from stepwell.engine.errors import InvalidInput, NoCheckpoint, RefusedByState

T = TypeVar("T")

# How the head of a checkpoint of the present version begins; only its journal may be extended.
PRESENT = f'{{"schema_version":{CHECKPOINT_VERSION},'


class Place(Protocol):
    """The place of one execution's checkpoint, locked against other writers."""

    def read(self) -> Document | None:
        """The stored document in the version it was written; None if there is none."""
        ...

    def replace(self, pieces: Pieces) -> None:
        """Store this, replacing what is there."""
        ...

    def append(self, pieces: Pieces) -> bool | None:
        """Replace the head, add or replace these operations; create the checkpoint if needed.

        Returns whether a pause is requested. Does nothing and returns None if the stored
        checkpoint is not of the present version.
        """
        ...

    def remove(self) -> None:
        """Remove the checkpoint, if there is one."""
        ...


class OpenedCheckpointer(ABC):
    """A Checkpointer with both optional capabilities, atomic against every writer. Close it.

    `address` is its URL without secrets.
    """

    def __init__(self) -> None:
        self.address = ""
        self._inside = threading.local()

    @abstractmethod
    def _write(self, execution_id: str, work: Callable[[Place], T]) -> T:
        """Call `work` with other writers locked out; durable on return, undone if it raises."""

    @abstractmethod
    def _read(self, execution_id: str) -> Document | None:
        """The stored document, in the version it was written."""

    @abstractmethod
    def _where(self, execution_id: str) -> str:
        """The place of a checkpoint, for messages."""

    def close(self) -> None:
        """Release its resources; no other method may be called afterwards."""
        return

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """See `Checkpointer`. Does not replace a checkpoint of a newer version."""
        self._enter(checkpoint.execution_id)
        pieces = take_apart(checkpoint)
        self._write(checkpoint.execution_id, lambda place: place.replace(pieces))

    def load_checkpoint(self, execution_id: str) -> Checkpoint:
        """See `Checkpointer`."""
        self._enter(execution_id)
        return self._revived(execution_id, self._read(execution_id))

    def delete_checkpoint(self, execution_id: str) -> None:
        """See `Checkpointer`."""
        self._enter(execution_id)
        self._write(execution_id, lambda place: place.remove())

    def atomic_update(
        self, execution_id: str, change: Callable[[Checkpoint], object]
    ) -> Checkpoint:
        """See `AtomicCheckpointer`. `change` may run in another thread, and must be quick."""
        self._enter(execution_id)

        def work(place: Place) -> Checkpoint:
            checkpoint = self._revived(execution_id, place.read())
            self._call(change, checkpoint)
            if checkpoint.execution_id != execution_id:
                raise InvalidInput(
                    f"atomic_update: execution_id must stay {execution_id!a:.120}, "
                    f"got {checkpoint.execution_id!a:.120}"
                )
            place.replace(take_apart(checkpoint))
            return checkpoint

        try:
            return self._write(execution_id, work)
        except _Raised as raised:
            error = raised.error
        raise error

    def record(self, update: CheckpointUpdate) -> bool:
        """See `JournalingCheckpointer`."""
        execution_id = update.head.execution_id
        self._enter(execution_id)
        pieces = take_apart_update(update)

        def work(place: Place) -> bool:
            paused = place.append(pieces)
            if paused is not None:
                return paused
            checkpoint = self._revived(execution_id, place.read())
            apply(update, checkpoint)
            place.replace(take_apart(checkpoint))
            return checkpoint.pause_requested

        return self._write(execution_id, work)

    def _revived(self, execution_id: str, document: Document | None) -> Checkpoint:
        if document is None:
            raise NoCheckpoint(f"there is no checkpoint of execution {execution_id!a:.120}")
        place = self._where(execution_id)
        checkpoint = revive(document, place)
        if checkpoint.execution_id != execution_id:
            raise damaged(place, f"it is that of execution {checkpoint.execution_id!a:.120}")
        return checkpoint

    def _call(self, change: Callable[[Checkpoint], object], checkpoint: Checkpoint) -> None:
        """Call `change`, marking its errors, to tell them from those of the backend."""
        self._inside.change = True
        try:
            given = change(checkpoint)
            if inspect.isawaitable(given):
                if inspect.iscoroutine(given):
                    given.close()
                raise InvalidInput("atomic_update: change must be a plain function")
        except BaseException as error:
            raise _Raised(error) from None
        finally:
            self._inside.change = False

    def _enter(self, execution_id: str) -> None:
        check_execution_id(execution_id)
        if getattr(self._inside, "change", False):
            raise RefusedByState(
                "atomic_update: change called the checkpointer, which waits for its end; "
                "call it before or afterwards"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Raised(Exception):
    """Carries an error of `change` through the backend."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(error))
        self.error = error


def refuse_newer(head: Document, place: str) -> None:
    """Raises CheckpointVersionError, so that a checkpoint of a newer version is not replaced."""
    version_of(head, place)


def assemble(head: Document, operations: list[Document], paused: object, reason: str) -> Document:
    """A document from its parts."""
    return {
        **head,
        "operations": operations,
        "pause_requested": bool(paused),
        "pause_reason": reason,
    }
