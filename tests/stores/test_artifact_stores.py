import errno
import hashlib
import itertools
import os
import pickle
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepwell.engine.errors import CorruptData, InvalidInput, NotFound, StoreError
from stepwell.stores.artifacts.file import FileArtifactStore
from stepwell.stores.artifacts.memory import MemoryArtifactStore
from stepwell.testing.artifact_stores import ArtifactStoreSuite, Trickle

NOBODY = 65534
HELLO = hashlib.sha256(b"hello").hexdigest()

# Fills a file system that only this process sees, then frees it and stores again.
FULL_DISK = """
import os, subprocess, sys
from stepwell.engine.errors import StoreError
from stepwell.stores.artifacts.file import FileArtifactStore

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", sys.argv[1]], check=True)
store = FileArtifactStore(sys.argv[1])
store.put(b"small")
try:
    store.put(os.urandom(1024 * 1024))
except StoreError as error:
    print(error)
print(os.listdir(sys.argv[1] + "/tmp"))
print(store.put(b"still works").size)
"""


class TestFileArtifactStore(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileArtifactStore:
        return FileArtifactStore(tmp_path / "artifacts")


class TestMemoryArtifactStore(ArtifactStoreSuite):
    @pytest.fixture
    def store(self) -> MemoryArtifactStore:
        return MemoryArtifactStore()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "made" / "when needed"


@pytest.fixture
def store(root: Path) -> FileArtifactStore:
    return FileArtifactStore(root)


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A folder of a user who is not root; the test runs as that user."""
    with tempfile.TemporaryDirectory() as name:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.chmod(name, 0o755)
            if is_root:
                os.seteuid(0)


def place(root: Path, sha256: str = HELLO) -> Path:
    return root / sha256[:2] / sha256


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def test_memory_uri_names_the_digest() -> None:
    assert MemoryArtifactStore().put(b"hello").uri == f"memory://{HELLO}"


def test_making_a_store_touches_nothing(root: Path) -> None:
    store = FileArtifactStore(root)

    with pytest.raises(NotFound):
        store.open(HELLO)

    assert not root.exists()


def test_bytes_lie_below_the_start_of_their_digest(store: FileArtifactStore, root: Path) -> None:
    store.put(b"hello")
    store.put(b"hello")

    assert files(root) == [f"{HELLO[:2]}/{HELLO}"]
    assert place(root).read_bytes() == b"hello"


def test_uri_is_the_absolute_path_percent_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    blob = FileArtifactStore("a b#é").put(b"hello")

    assert blob.uri == f"file://{tmp_path}/a%20b%23%C3%A9/{HELLO[:2]}/{HELLO}"


def test_a_relative_root_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileArtifactStore("artifacts")

    monkeypatch.chdir("/")
    store.put(b"hello")

    assert place(tmp_path / "artifacts").exists()


def test_a_stored_file_is_read_only(store: FileArtifactStore, root: Path) -> None:
    store.put(b"hello")

    assert place(root).stat().st_mode & 0o333 == 0


def test_put_syncs_the_file_before_its_name_and_the_folder_after(
    store: FileArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(b"makes the folders")
    store.put(b"hello")
    store.delete(HELLO)
    acts: list[str] = []
    sync, rename = os.fsync, os.rename

    def fsync(file: int) -> None:
        acts.append(f"sync {Path(os.readlink(f'/proc/self/fd/{file}')).parent.name[:3]}")
        sync(file)

    def renamed(*args: Any, **folders: Any) -> None:
        acts.append("rename")
        rename(*args, **folders)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", renamed)

    store.put(b"hello")

    assert acts == ["sync tmp", "rename", "sync whe"]


def test_a_damaged_file_is_reported_and_kept(store: FileArtifactStore, root: Path) -> None:
    store.put(b"hello")
    place(root).chmod(0o644)
    place(root).write_bytes(b"jello")
    found = hashlib.sha256(b"jello").hexdigest()

    with pytest.raises(CorruptData, match=f"expected sha256 {HELLO}, found {found}"):
        store.open(HELLO)

    assert place(root).read_bytes() == b"jello"


def test_putting_the_bytes_again_repairs_a_damaged_file(
    store: FileArtifactStore, root: Path
) -> None:
    store.put(b"hello")
    place(root).chmod(0o644)
    place(root).write_bytes(b"hel")

    store.put(b"hello")

    with store.open(HELLO) as stream:
        assert stream.read() == b"hello"


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "socket"])
@pytest.mark.parametrize("act", ["open", "stat", "delete", "put"])
def test_only_regular_files_are_touched(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, act: str
) -> None:
    store = FileArtifactStore(root)
    secret = tmp_path / "secret"
    secret.write_bytes(b"hello")
    place(root).parent.mkdir(parents=True)
    if kind == "symlink":
        place(root).symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(place(root))
    elif kind == "directory":
        place(root).mkdir()
    else:
        monkeypatch.chdir(place(root).parent)  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(HELLO)

    with pytest.raises(StoreError, match="expected a regular file, found a"):
        getattr(store, act)(b"hello" if act == "put" else HELLO)

    assert os.path.lexists(place(root))
    assert secret.read_bytes() == b"hello"
    assert [name for name in files(root) if name.startswith("tmp/")] == []


@pytest.mark.parametrize("act", ["open", "stat", "delete", "put"])
def test_a_folder_that_is_a_symlink_is_not_followed(
    store: FileArtifactStore, root: Path, tmp_path: Path, act: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / HELLO).write_bytes(b"hello")
    root.mkdir(parents=True)
    place(root).parent.symlink_to(outside)

    with pytest.raises(StoreError, match="artifact store"):
        getattr(store, act)(b"hello" if act == "put" else HELLO)

    assert os.listdir(outside) == [HELLO]


def test_the_file_cannot_be_swapped_for_a_link_after_the_look(
    store: FileArtifactStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(b"hello")
    secret = tmp_path / "secret"
    secret.write_bytes(b"hello")
    look = os.stat

    def swap(*args: Any, **options: Any) -> os.stat_result:
        result = look(*args, **options)
        if args[0] == HELLO:
            monkeypatch.setattr(os, "stat", look)
            place(root).unlink()
            place(root).symlink_to(secret)
        return result

    monkeypatch.setattr(os, "stat", swap)

    with pytest.raises(StoreError):
        store.open(HELLO)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    store: FileArtifactStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store.put(b"makes the folders")
    before = files(root)

    def full(*_args: object, **_options: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StoreError) as refusal:
            store.put(b"hello")

    assert str(refusal.value) == (
        f"cannot store bytes in the artifact store {root}: No space left on device"
    )
    assert files(root) == before


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    unshare = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs user namespaces to mount a file system of its own")

    process = subprocess.run(
        [*unshare, sys.executable, "-c", FULL_DISK, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )

    assert process.stdout.splitlines() == [
        f"cannot store bytes in the artifact store {tmp_path}: No space left on device",
        "[]",
        "11",
    ]


def test_a_file_over_the_size_limit_leaves_nothing(store: FileArtifactStore, root: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StoreError, match="File too large"):
            store.put(b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert files(root) == []


def test_a_read_only_root_can_be_read_but_not_written(ordinary_user: Path) -> None:
    store = FileArtifactStore(ordinary_user)
    store.put(b"hello")
    place(ordinary_user).parent.chmod(0o555)
    (ordinary_user / "tmp").chmod(0o555)
    ordinary_user.chmod(0o555)

    with pytest.raises(StoreError, match="Permission denied"):
        store.put(b"other")
    with pytest.raises(StoreError, match="Permission denied"):
        store.delete(HELLO)
    with store.open(HELLO) as stream:
        assert stream.read() == b"hello"

    (ordinary_user / "tmp").chmod(0o755)
    place(ordinary_user).parent.chmod(0o755)


def test_a_root_below_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=r"Not a directory \(.*/file\)"):
        FileArtifactStore(tmp_path / "file" / "artifacts").put(b"hello")


def test_an_interrupted_stream_leaves_no_temporary_file(
    store: FileArtifactStore, root: Path
) -> None:
    with pytest.raises(ConnectionError):
        store.put(Trickle(100_000, fails=True))  # type: ignore[arg-type]  # reads like a stream

    assert files(root) == []


def test_a_stream_that_would_block_is_refused(store: FileArtifactStore, root: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    with (
        os.fdopen(writer, "wb"),
        os.fdopen(reader, "rb", buffering=0) as stream,
        pytest.raises(InvalidInput, match="gave NoneType instead of bytes"),
    ):
        store.put(stream)

    assert files(root) == []


def test_what_a_killed_writer_left_is_removed_by_the_next_store(
    store: FileArtifactStore, root: Path
) -> None:
    script = (
        "import os, sys\n"
        "from stepwell.stores.artifacts.file import FileArtifactStore\n"
        "class Stream:\n"
        "    def read(self, size):\n"
        "        os.kill(os.getpid(), 9)\n"
        "FileArtifactStore(sys.argv[1]).put(Stream())\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(root)], check=False)
    left = files(root)

    store.put(b"hello")

    assert killed.returncode == -9
    assert len(left) == 1
    assert left[0].startswith("tmp/")
    assert files(root) == [f"{HELLO[:2]}/{HELLO}"]


def test_a_temporary_name_that_is_taken_is_passed_over(
    store: FileArtifactStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream:
        def __init__(self) -> None:
            self.pieces = [b"", b"hello"]

        def read(self, size: int) -> bytes:
            # As in another container: the same process id, and numbers from the start.
            monkeypatch.setattr(module, "_numbers", itertools.count())
            store.put(b"other")
            return self.pieces.pop()

    module = sys.modules[FileArtifactStore.__module__]
    monkeypatch.setattr(module, "_numbers", itertools.count())

    blob = store.put(Stream())  # type: ignore[arg-type]  # reads like a stream

    assert blob.sha256 == HELLO
    assert place(root).read_bytes() == b"hello"


def test_the_sweep_spares_what_is_being_written(store: FileArtifactStore, root: Path) -> None:
    class Stream:
        def __init__(self) -> None:
            self.pieces = [b"", b"lo", b"hel"]

        def read(self, size: int) -> bytes:
            FileArtifactStore(root).put(b"by another store, which sweeps first")
            return self.pieces.pop()

    blob = store.put(Stream())  # type: ignore[arg-type]  # reads like a stream

    assert blob.sha256 == HELLO
    assert place(root).read_bytes() == b"hello"


def test_a_file_store_can_go_to_another_process(store: FileArtifactStore) -> None:
    store.put(b"hello")

    copy = pickle.loads(pickle.dumps(store))

    with copy.open(HELLO) as stream:
        assert stream.read() == b"hello"


def test_a_large_file_is_opened_without_loading_it(store: FileArtifactStore) -> None:
    size = 64 * 1024 * 1024
    sha256 = store.put(Trickle(size)).sha256  # type: ignore[arg-type]  # reads like a stream
    script = (
        "import resource, sys\n"
        "from stepwell.stores.artifacts.file import FileArtifactStore\n"
        "store = FileArtifactStore(sys.argv[1])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "store.open(sys.argv[2]).close()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )

    grown = subprocess.run(
        [sys.executable, "-c", script, str(store.root), sha256],
        check=True,
        capture_output=True,
        text=True,
    )

    assert int(grown.stdout) * 1024 < size // 4
