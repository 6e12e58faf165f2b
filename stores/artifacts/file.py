"""Artifacts as files, named by their content: `root/ab/abcdef…`.

Bytes are written to `root/tmp`, synced, and renamed into place, so a file under its digest is
always complete. Only a checked digest ever becomes part of a path, and no symbolic link below the
root is followed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from stepwell.engine.crash_points import Point, reach
from stepwell.engine.errors import CorruptData, NotFound, StoreError
from stepwell.engine.model import Blob
from stepwell.stores.artifacts.content import CHUNK, check_digest, chunks

_TEMPORARY = "tmp"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO would wait for its other end.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFDIR: "a directory",
    stat.S_IFSOCK: "a socket",
}
_numbers = itertools.count()


def make_folder(path: Path) -> None:
    """Create a folder with its parents, durable on return. Raises OSError.

    An existing folder is synced as well, because its creator may not have come that far; one that
    is not empty has been synced before.
    """
    if path.is_dir():
        with suppress(PermissionError):  # the folder may not be listable
            _sync_folder(path.parent)
        return
    make_folder(path.parent)
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    reach(Point.FOLDER_MADE)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class FileArtifactStore:
    """Content-addressed files below `root`, which the first `put` creates.

    Safe to use from many threads and processes of one machine. `open` reports a damaged file and
    keeps it; putting the same bytes again repairs it.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.abspath(root))
        self._durable: set[str] = set()
        self._swept = False

    def put(self, data: bytes | BinaryIO) -> Blob:
        with self._failing("store bytes in"):
            if not self._durable or not self.root.is_dir():
                make_folder(self.root)
        with self._folder(_TEMPORARY, create=True) as temporary:
            if not self._swept:
                self._sweep(temporary)
            name, file = self._new_file(temporary)
            try:
                reach(Point.ARTIFACT_CREATED)
                sha256, size = self._write(file, data)
                self._place(temporary, name, sha256)
            finally:
                # After the rename this name no longer exists, and there is nothing to undo.
                with suppress(OSError):
                    os.unlink(name, dir_fd=temporary)
                os.close(file)
        return Blob(sha256, size, self._path(sha256).as_uri())

    def open(self, sha256: str) -> BinaryIO:
        check_digest(sha256)
        with self._failing("read"), self._folder_of(sha256) as folder:
            stream = self._opened(folder, sha256)
            try:
                size, found = _digest(stream)
                stream.seek(0)
            except BaseException:
                stream.close()
                raise
        if found != sha256:
            stream.close()
            raise CorruptData(
                f"{self._path(sha256)}: damaged: expected sha256 {sha256}, "
                f"found {found} ({size:,} bytes); the file was kept"
            )
        return stream

    def stat(self, sha256: str) -> Blob:
        check_digest(sha256)
        with self._failing("read"), self._folder_of(sha256) as folder:
            size = self._size(folder, sha256)
        return Blob(sha256, size, self._path(sha256).as_uri())

    def delete(self, sha256: str) -> bool:
        check_digest(sha256)
        try:
            with self._failing("delete from"), self._folder_of(sha256) as folder:
                self._size(folder, sha256)
                os.unlink(sha256, dir_fd=folder)
                reach(Point.ARTIFACT_REMOVED)
                os.fsync(folder)
                reach(Point.ARTIFACT_GONE)
        except NotFound:
            return False
        return True

    # --- writing ------------------------------------------------------------------------------

    def _new_file(self, folder: int) -> tuple[str, int]:
        """A new temporary file, locked while it is open, so that no sweep removes it."""
        with self._failing("store bytes in"):
            while True:
                name = f"{os.getpid()}-{next(_numbers)}"
                try:
                    # Read-only for all: a file named by its content never changes.
                    file = os.open(name, _CREATE, 0o444, dir_fd=folder)
                except FileExistsError:
                    continue
                try:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    if os.fstat(file).st_nlink:
                        return name, file
                except BaseException:
                    os.close(file)
                    raise
                os.close(file)

    def _write(self, file: int, data: bytes | BinaryIO) -> tuple[str, int]:
        """Write and sync all of `data`; returns its digest and size."""
        digest = hashlib.sha256()
        size = 0
        for chunk in chunks(data):
            digest.update(chunk)
            size += len(chunk)
            with self._failing("store bytes in"):
                _write_all(file, chunk)
        with self._failing("store bytes in"):
            reach(Point.ARTIFACT_WRITTEN)
            os.fsync(file)
            reach(Point.ARTIFACT_SYNCED)
        return digest.hexdigest(), size

    def _place(self, temporary: int, name: str, sha256: str) -> None:
        """Give the file its final name, unless the same bytes exist already."""
        prefix = sha256[:2]
        with self._failing("store bytes in"), self._folder(prefix, create=True) as folder:
            if not self._is_whole(folder, sha256):
                os.rename(name, sha256, src_dir_fd=temporary, dst_dir_fd=folder)
            reach(Point.ARTIFACT_RENAMED)
            # Also if another writer placed it, who may not have synced the folder yet.
            os.fsync(folder)
            reach(Point.ARTIFACT_STORED)

    def _is_whole(self, folder: int, sha256: str) -> bool:
        try:
            with closing(self._opened(folder, sha256)) as stream:
                return _digest(stream)[1] == sha256
        except NotFound:
            return False

    def _sweep(self, folder: int) -> None:
        """Remove temporary files of writers that were killed."""
        with self._failing("clean"):
            for name in os.listdir(folder):
                try:
                    file = os.open(name, _READ, dir_fd=folder)
                except OSError:
                    continue
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    reach(Point.ARTIFACT_SWEEP)
                    os.unlink(name, dir_fd=folder)
                except OSError:
                    pass  # its writer is alive, or another process removed it
                finally:
                    os.close(file)
        self._swept = True

    # --- places -------------------------------------------------------------------------------

    def _path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    @contextmanager
    def _failing(self, act: str) -> Iterator[None]:
        """Convert an OSError into a StoreError with one clear line."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            if isinstance(error.filename, str) and error.filename != str(self.root):
                reason = f"{reason} ({error.filename})"
            raise StoreError(f"cannot {act} the artifact store {self.root}: {reason}") from error

    @contextmanager
    def _folder(self, name: str, *, create: bool = False) -> Iterator[int]:
        """A descriptor of a folder in the root, which may not be a symbolic link."""
        with self._failing("open"):
            root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if create:
                    self._make(root, name)
                folder = os.open(name, _FOLDER, dir_fd=root)
            finally:
                os.close(root)
        try:
            yield folder
        finally:
            os.close(folder)

    def _make(self, root: int, name: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=root)
            self._durable.discard(name)
        if name not in self._durable:
            reach(Point.ARTIFACT_FOLDER_MADE)
            os.fsync(root)
            self._durable.add(name)

    @contextmanager
    def _folder_of(self, sha256: str) -> Iterator[int]:
        try:
            os.lstat(self._path(sha256).parent)
        except FileNotFoundError:
            raise self._missing(sha256) from None
        with self._folder(sha256[:2]) as folder:
            yield folder

    def _size(self, folder: int, sha256: str) -> int:
        """The size of the regular file with this digest; refuses anything but a regular file."""
        try:
            found = os.stat(sha256, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            raise self._missing(sha256) from None
        self._check_kind(found.st_mode, sha256)
        return found.st_size

    def _opened(self, folder: int, sha256: str) -> BinaryIO:
        self._size(folder, sha256)
        try:
            file = os.open(sha256, _READ, dir_fd=folder)
        except FileNotFoundError:
            raise self._missing(sha256) from None
        stream = os.fdopen(file, "rb")
        try:
            self._check_kind(os.fstat(file).st_mode, sha256)
        except BaseException:
            stream.close()
            raise
        return stream

    def _check_kind(self, mode: int, sha256: str) -> None:
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "something else")
            raise StoreError(
                f"{self._path(sha256)}: expected a regular file, found {kind}; "
                "it was not followed: remove it"
            )

    def _missing(self, sha256: str) -> NotFound:
        return NotFound(f"artifact {sha256}: not in {self.root}")


def _write_all(file: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(file, chunk) :]


def _digest(stream: BinaryIO) -> tuple[int, str]:
    """Size and digest of the rest of a stream, read in pieces."""
    digest = hashlib.sha256()
    size = 0
    while piece := stream.read(CHUNK):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()
