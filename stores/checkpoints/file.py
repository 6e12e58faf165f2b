"""Checkpoints as files: one per execution, replaced as a whole or extended by lines.

`record` appends a line and syncs it. When the lines are larger than the checkpoint, they are folded
into it. So a record costs what is new, and a file takes at most twice the size of its content.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from pydantic_core import to_json

from stepwell.engine.checkpoints.checkpoint import CHECKPOINT_VERSION
from stepwell.engine.checkpoints.text import Document, Pieces, version_of
from stepwell.engine.crash_points import Point, reach
from stepwell.engine.errors import StoreError
from stepwell.stores.checkpoints.base import PRESENT, OpenedCheckpointer, Place, refuse_newer
from stepwell.stores.checkpoints.folder import Folder, LockedFile, Stamp
from stepwell.stores.checkpoints.lines import Contents, news, read, whole_file

T = TypeVar("T")

# Lines are not folded before they have this size, in bytes.
FOLD_FROM = 64 * 1024
# How many files' ends are remembered, so that `record` need not read them.
REMEMBERED = 1_024


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a file since the last write: valid while its stamp is the same."""

    stamp: Stamp
    whole: int
    paused: bool


class FileCheckpointer(OpenedCheckpointer):
    """Checkpoints below a folder, which the first save creates.

    Safe to use from many threads and processes of one machine.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        super().__init__()
        self._folder = Folder(root)
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def _write(self, execution_id: str, work: Callable[[Place], T]) -> T:
        with self._folder.locked(execution_id) as file:
            known = self._known.pop(execution_id, None)
            place = _FilePlace(file, known, self._where(execution_id))
            result = work(place)
            if place.known is not None:
                self._known[execution_id] = place.known
                while len(self._known) > REMEMBERED:
                    with suppress(KeyError):  # another thread removed it
                        self._known.popitem(last=False)
            return result

    def _read(self, execution_id: str) -> Document | None:
        data = self._folder.read(execution_id)
        return None if data is None else read(data, self._where(execution_id)).document

    def _where(self, execution_id: str) -> str:
        return f"{self._folder.path(execution_id)}: checkpoint of {execution_id!a:.120}"


class _FilePlace:
    """A checkpoint's file, locked."""

    def __init__(self, file: LockedFile, known: _Known | None, where: str) -> None:
        self._file = file
        self._where = where
        self.known = known

    def read(self) -> Document | None:
        contents = self._contents()
        return None if contents is None else contents.document

    def replace(self, pieces: Pieces) -> None:
        before = self._contents()
        if before is not None:
            refuse_newer(before.document, self._where)
        self._put(whole_file(pieces.text()), pieces.pause_requested)
        if not pieces.head.startswith(PRESENT):
            self.known = None

    def append(self, pieces: Pieces) -> bool | None:
        stamp = self._file.stamp()
        if stamp is None:
            self._put(whole_file(pieces.text()), paused=False)
            return False
        known = self.known
        end = stamp[1]
        if known is None or known.stamp != stamp:
            contents = self._contents()
            assert contents is not None  # it is locked, and existed
            if version_of(contents.document, self._where) != CHECKPOINT_VERSION:
                return None
            paused = bool(contents.document.get("pause_requested"))
            known = _Known(stamp, contents.whole, paused)
            end = contents.end
        line = news(pieces)
        self.known = None
        self.known = _Known(self._file.append(line, end), known.whole, known.paused)
        if end + len(line) - known.whole > max(FOLD_FROM, known.whole):
            self._fold(known.paused)
        return known.paused

    def remove(self) -> None:
        self.known = None
        self._file.remove()

    def _fold(self, paused: bool) -> None:
        """Rewrite the file without its lines. A crash meanwhile loses no record."""
        contents = self._contents()
        if contents is not None:
            reach(Point.CHECKPOINT_FOLDING)
            with suppress(StoreError):
                self._put(whole_file(to_json(contents.document).decode()), paused)

    def _put(self, data: bytes, paused: bool) -> None:
        self.known = None
        self.known = _Known(self._file.replace(data), len(data), paused)

    def _contents(self) -> Contents | None:
        data = self._file.read()
        return None if data is None else read(data, self._where)
