"""Checkpoints in memory: for tests, and for executions that need not outlive their process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from stepwell.engine.checkpoints.text import Document, Pieces, read_object
from stepwell.engine.errors import StoreError
from stepwell.engine.forks import Lineage
from stepwell.stores.checkpoints.base import PRESENT, OpenedCheckpointer, Place, refuse_newer

T = TypeVar("T")


class MemoryCheckpointer(OpenedCheckpointer):
    """Checkpoints as text in a dictionary, gone with the process."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._stored: dict[str, Pieces] = {}
        Lineage.watch()
        self._forks = Lineage.forks

    def _write(self, execution_id: str, work: Callable[[Place], T]) -> T:
        self._check_here()
        with self._lock:
            return work(_MemoryPlace(self._stored, execution_id, self._where(execution_id)))

    def _read(self, execution_id: str) -> Document | None:
        self._check_here()
        with self._lock:
            stored = self._stored.get(execution_id)
            text = None if stored is None else stored.text()
        return None if text is None else read_object(text, self._where(execution_id))

    def _check_here(self) -> None:
        if Lineage.forks != self._forks:
            raise StoreError(
                "checkpoints in memory: a fork has no part in its parent's memory; use a file or "
                "a database"
            )

    def _where(self, execution_id: str) -> str:
        return f"memory://: checkpoint of {execution_id!a:.120}"


class _MemoryPlace:
    def __init__(self, stored: dict[str, Pieces], execution_id: str, where: str) -> None:
        self._stored = stored
        self._id = execution_id
        self._where = where

    def read(self) -> Document | None:
        stored = self._stored.get(self._id)
        return None if stored is None else read_object(stored.text(), self._where)

    def replace(self, pieces: Pieces) -> None:
        before = self._stored.get(self._id)
        if before is not None:
            refuse_newer(read_object(before.head, self._where), self._where)
        self._stored[self._id] = pieces

    def append(self, pieces: Pieces) -> bool | None:
        before = self._stored.get(self._id)
        if before is None:
            self._stored[self._id] = pieces
            return False
        if not before.head.startswith(PRESENT):
            return None
        # The same dictionary for the life of a checkpoint; used only under the lock.
        before.operations.update(pieces.operations)
        self._stored[self._id] = replace(before, head=pieces.head)
        return before.pause_requested

    def remove(self) -> None:
        self._stored.pop(self._id, None)
