"""The files of a SQLite database: they may be moved or replaced, or be in use across a fork.

SQLite finds the write-ahead log by its name, but holds its locks on the file. So a process that
goes on after the file was deleted or replaced writes to a file that no other process sees; and when
it closes it, it removes the log of the new file. A forked child with its parent's connections
relies on locks that it does not hold. Connections that cannot be closed without harm are kept open
to the end of the process.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StoreError, StoreGone
from stepwell.stores.folder_stamp import folder_stamp

_log = logging.getLogger("stepwell.store")

# Device and inode of a file, None if there is no file.
Identity = tuple[int, int] | None

# The time of a folder's last change is coarse: it is trusted if it was stable for this long (s).
SETTLED = 0.1


@dataclass(frozen=True, slots=True)
class _Opened:
    """The files that are open: the database, its log, and the log's index."""

    file: Identity
    wal: Identity
    shm: Identity


class SqliteFile:
    """The files of one database that this process has open; `what` begins its messages.

    Only the first connection may create the database.
    """

    # Databases that were in use when this process was forked, each with the message of its refusal.
    _inherited: ClassVar[dict[Identity, str]] = {}

    def __init__(self, path: Path, what: str) -> None:
        self.path = Path(os.path.abspath(path))
        self._what = what
        self._clock = SystemClock()
        # What is open, what was abandoned, and which file to expect when it is opened again.
        self._open: _Opened | None = None
        self._left: _Opened | None = None
        self._expected: Identity = None
        self._was_opened = False
        self.times_left = 0
        self._watch()

    def _watch(self) -> None:
        """Resolve the paths of its files."""
        real = Path(os.path.realpath(self.path))
        self._wal, self._shm = f"{real}-wal", f"{real}-shm"
        self._folders = tuple(dict.fromkeys((str(self.path.parent), str(real.parent))))
        self._settled: object = None
        self._seen: object = None
        self._seen_at = 0.0

    def connect(
        self, prepare: Callable[[sqlite3.Connection], None], **options: Any
    ) -> sqlite3.Connection:
        """A new connection, set up by `prepare`. Raises StoreGone or StoreError.

        From then on, its files must stay in place.
        """
        self._watch()
        found = self._identity(self.path)
        refusal = self._inherited.get(found) if found else None
        if refusal is not None:
            raise StoreError(f"{self._what}: {refusal}")
        address: str | Path = self.path
        if self._was_opened:
            if found is None or self._expected not in (None, found):
                raise self._gone(found)
            self._set_aside(found)
            address, options["uri"] = f"{self.path.as_uri()}?mode=rw", True
        connection: sqlite3.Connection = sqlite3.connect(address, **options)
        made = self._identity(self.path)
        if made is None or (found is not None and made != found):
            connection.close()
            raise self._replaced()
        try:
            prepare(connection)
            connection.execute("SELECT 1 FROM sqlite_schema").fetchall()  # creates -wal and -shm
        except BaseException:
            if self._identity(self.path) == made:
                connection.close()
            else:
                keep(connection)
            raise
        self._opened(connection, made)
        return connection

    def _opened(self, connection: sqlite3.Connection, made: Identity) -> None:
        """Accept the connection if the file, and those open already, are still in place."""
        present, already = self._files(), self._open
        try:
            if present.file != made:
                raise self._replaced()
            if already is not None:
                self._compare(present, already)
        except StoreError:
            keep(connection)
            raise
        if already is None:
            self._open = present
            self._was_opened, self._left, self._expected = True, None, present.file

    def _replaced(self) -> StoreError:
        return StoreError(f"{self._what}: its file was replaced while it was opened; try again")

    def check(self) -> None:
        """Raises StoreGone if an open file was moved or replaced. Costs one look at the folder."""
        opened = self._open
        if opened is None:
            return
        stamps = [self._stamp(folder) for folder in self._folders]
        if stamps == self._settled:
            return
        self._compare(self._files(), opened)
        now = self._clock.monotonic()
        if stamps != self._seen:
            self._seen, self._seen_at = stamps, now
        elif now - self._seen_at > SETTLED:
            self._settled = stamps

    def _compare(self, present: _Opened, opened: _Opened) -> None:
        """Raises StoreGone unless the files in place are those that were opened."""
        if present.file != opened.file:
            raise self._gone(present.file)
        if present != opened:
            raise StoreGone(
                f"{self._what}: its -wal or -shm file was deleted or replaced while it was open; "
                "nothing of this was stored; the next call opens it again; look at it with: "
                "stepwell verify"
            )

    @property
    def was_opened(self) -> bool:
        """Whether it has ever been opened."""
        return self._was_opened

    @property
    def is_in_place(self) -> bool:
        """Whether it is open and in place, so that other processes find what is stored."""
        return self._open is not None and self._files() == self._open

    def close(self, connections: Iterable[sqlite3.Connection]) -> None:
        """Close all connections; it can be opened again."""
        if not self.is_in_place:
            self.leave(connections)
            return
        for connection in connections:
            connection.close()
        self._open = None  # from here on -wal and -shm may go

    def leave(self, connections: Iterable[sqlite3.Connection]) -> None:
        """Give up files that are no longer in place; `connect` may open others."""
        opened, self._open, self._expected = self._open, None, None
        self._left = opened or self._left
        self.times_left += opened is not None
        if opened is None or not self._is_whole(opened):
            for connection in connections:
                keep(connection)
            return
        for connection in connections:  # no other process has opened it since: nothing is lost
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            connection.close()
        self._left = None  # after the close, another file may get the same inode

    def _is_whole(self, opened: _Opened) -> bool:
        """Whether the database is in place, without a -wal or -shm of another process."""
        present = self._files()
        return (
            present.file == opened.file
            and present.wal in (opened.wal, None)
            and present.shm in (opened.shm, None)
        )

    def leave_to_parent(self, connections: Iterable[sqlite3.Connection]) -> str:
        """For a fork made while they were in use: keep them, and refuse the file from now on, under
        any name; returns the reason.
        """
        refusal = (
            "this process was forked while a transaction was under way on it; fork before or "
            "after that, or start the process afresh (spawn, forkserver, subprocess)"
        )
        if self._expected is not None:
            self._inherited[self._expected] = refusal
        for connection in connections:
            keep(connection)
        return refusal

    def _gone(self, found: Identity) -> StoreGone:
        if found is None:
            return StoreGone(
                f"{self._what}: its file was deleted while it was open; nothing of this was "
                "stored; put it back, from a backup say, or start this program again, which "
                "begins with an empty one"
            )
        return StoreGone(
            f"{self._what}: its file was replaced by another one while it was open; nothing of "
            "this was stored; the next call opens the new one"
        )

    def _set_aside(self, found: Identity) -> None:
        """Move the log of a replaced file away: applied to the new file, it would corrupt it."""
        before = self._left
        if before is None or before.file == found:
            return
        folder = os.open(Path(self._wal).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # other processes may do the same
            if before.wal is not None and self._identity(self._wal) == before.wal:
                aside = f"{self._wal}.replaced-{before.wal[1]}"
                os.rename(self._wal, aside)
                _log.warning(
                    "%s: the log of the file that was replaced is kept as %s",
                    self._what,
                    aside,
                    extra={"action": "store_trouble"},
                )
            if before.shm is not None and self._identity(self._shm) == before.shm:
                os.unlink(self._shm)
        except OSError as error:
            raise StoreError(
                f"{self._what}: its file was replaced, but not the -wal and -shm beside it, which "
                f"cannot be moved away ({error.strerror}); remove them"
            ) from error
        finally:
            os.close(folder)

    def _files(self) -> _Opened:
        identity = self._identity
        return _Opened(identity(self.path), identity(self._wal), identity(self._shm))

    def _identity(self, path: str | Path) -> Identity:
        found = self._stat(path)
        return None if found is None else (found.st_dev, found.st_ino)

    def _stamp(self, folder: str) -> object:
        try:
            return folder_stamp(folder)
        except OSError as error:
            raise self._unseen(folder, error) from None

    def _stat(self, path: str | Path) -> os.stat_result | None:
        try:
            return os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unseen(path, error) from None

    def _unseen(self, path: str | Path, error: OSError) -> StoreError:
        return StoreError(f"{self._what}: {path} cannot be looked at: {error.strerror}")


def keep(connection: sqlite3.Connection) -> None:
    """Never close this connection, not even at the end of the process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
