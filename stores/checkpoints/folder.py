"""A folder of files named by digests: locking, atomic replacing, appending; durable on return."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stepwell.engine.crash_points import Point, reach
from stepwell.engine.errors import StoreError
from stepwell.engine.forks import Lineage
from stepwell.stores.artifacts.file import make_folder

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO would wait for its other end.
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a directory",
    stat.S_IFSOCK: "a socket",
}

# Identifies the state of a file: inode, size, times of its last changes.
Stamp = tuple[int, int, int, int]


class Folder:
    """Files below `root`, spread over 256 folders by their names, which are digests of ids."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.abspath(root))
        self._durable: set[str] = set()
        Lineage.watch()

    def path(self, id: str) -> Path:
        """The path of the file of this id. The id itself never becomes part of the path."""
        name = hashlib.sha256(id.encode()).hexdigest()
        return self.root / name[:2] / f"{name[2:]}.checkpoint"

    @contextmanager
    def locked(self, id: str) -> Iterator[LockedFile]:
        """The file of this id, locked with its neighbours against other threads and processes."""
        path = self.path(id)
        with self._failing("write to"):
            if not self._durable or not self.root.is_dir():
                make_folder(self.root)
            folder = self._shard(path.parent.name)
        forks = Lineage.forks
        try:
            with self._failing("lock"):
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield LockedFile(folder, path)
        finally:
            # Closing would not unlock it if a child process has inherited the descriptor. In a
            # fork made meanwhile, the lock is the parent's.
            if forks == Lineage.forks:
                with suppress(OSError):
                    fcntl.flock(folder, fcntl.LOCK_UN)
            os.close(folder)

    def read(self, id: str) -> bytes | None:
        """The bytes of the file, or None if there is none. Does not wait for writers."""
        path = self.path(id)
        with self._failing("read"):
            try:
                folder = os.open(path.parent, _FOLDER)
            except FileNotFoundError:
                return None
            try:
                return LockedFile(folder, path).read()
            finally:
                os.close(folder)

    def _shard(self, name: str) -> int:
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                folder = os.open(name, _FOLDER, dir_fd=root)
            except FileNotFoundError:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=root)
                self._durable.discard(name)
                folder = os.open(name, _FOLDER, dir_fd=root)
            if name not in self._durable:  # its creator may not have synced it
                reach(Point.CHECKPOINT_FOLDER_MADE)
                os.fsync(root)
                self._durable.add(name)
        finally:
            os.close(root)
        return folder

    @contextmanager
    def _failing(self, act: str) -> Iterator[None]:
        with failing(f"cannot {act} the checkpoint folder {self.root}"):
            yield


class LockedFile:
    """One file, by its name in an open folder."""

    def __init__(self, folder: int, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._name = path.name
        self._forks = Lineage.forks

    def read(self) -> bytes | None:
        """All bytes, or None if there is no file."""
        if self.stamp() is None:
            return None
        with failing(f"cannot read {self._path}"):
            try:
                file = os.open(self._name, os.O_RDONLY | _OPEN, dir_fd=self._folder)
            except FileNotFoundError:
                return None
            with os.fdopen(file, "rb") as stream:
                return stream.read()

    def stamp(self) -> Stamp | None:
        """The stamp of the file, or None if there is none. Refuses anything but a regular file."""
        self._check_here()
        try:
            found = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
            raise StoreError(
                f"{self._path}: expected a regular file, found {kind}; it was not followed: "
                "remove it"
            )
        return _stamp(found)

    def replace(self, data: bytes) -> Stamp:
        """Replace the file atomically: either the old or the new one exists, never a part."""
        temporary = f"{self._name}.new"
        self.stamp()
        with failing(f"cannot store {self._path}"):
            with suppress(FileNotFoundError):  # left by a writer that was killed
                os.unlink(temporary, dir_fd=self._folder)
            file = os.open(temporary, _CREATE, 0o644, dir_fd=self._folder)
            try:
                reach(Point.CHECKPOINT_CREATED)
                _write_all(file, data)
                reach(Point.CHECKPOINT_WRITTEN)
                os.fsync(file)
                reach(Point.CHECKPOINT_SYNCED)
                os.rename(temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
                reach(Point.CHECKPOINT_RENAMED)
                os.fsync(self._folder)
                reach(Point.CHECKPOINT_REPLACED)
                return _stamp(os.fstat(file))
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=self._folder)
                raise
            finally:
                os.close(file)

    def append(self, data: bytes, end: int) -> Stamp:
        """Write `data` at offset `end`, replacing anything after it. The file must exist."""
        self._check_here()
        with failing(f"cannot store {self._path}"):
            file = os.open(self._name, os.O_RDWR | _OPEN, dir_fd=self._folder)
            try:
                if os.fstat(file).st_size > end:
                    os.ftruncate(file, end)
                    reach(Point.CHECKPOINT_CUT)
                    os.fsync(file)  # or the old bytes could reappear after the new ones
                os.lseek(file, end, os.SEEK_SET)
                try:
                    _write_all(file, data)
                    reach(Point.CHECKPOINT_APPENDED)
                    os.fsync(file)
                    reach(Point.CHECKPOINT_EXTENDED)
                except BaseException:
                    with suppress(OSError):
                        os.ftruncate(file, end)
                    raise
                return _stamp(os.fstat(file))
            finally:
                os.close(file)

    def _check_here(self) -> None:
        if self._forks != Lineage.forks:
            raise StoreError(
                f"{self._path}: this process was forked while its parent was writing this file; "
                "nothing of it was stored here; fork before that, or after its end"
            )

    def remove(self) -> None:
        """Remove it, and temporary files of killed writers."""
        self.stamp()
        with failing(f"cannot delete {self._path}"):
            for name in (f"{self._name}.new", self._name):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._folder)
            reach(Point.CHECKPOINT_REMOVED)
            os.fsync(self._folder)
            reach(Point.CHECKPOINT_GONE)


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Convert an OSError into a StoreError with one clear line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            reason += "; nothing of this was stored"
        raise StoreError(f"{what}: {reason}") from error


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
