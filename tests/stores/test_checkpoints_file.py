"""Checkpoint files: what is damaged, foreign, unfinished or in the way."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from stepwell import (
    Checkpoint,
    CheckpointCorrupt,
    CheckpointVersionError,
    NoCheckpoint,
    RefusedByState,
    StoreError,
    pause_in_checkpoint,
)
from stepwell.stores.checkpoints import file as file_module
from stepwell.stores.checkpoints.file import FileCheckpointer
from stepwell.stores.checkpoints.lines import MAGIC, seal
from stepwell.testing.checkpointers.case import ID, checkpoint, full, operation, update


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def store(root: Path) -> FileCheckpointer:
    return FileCheckpointer(root)


@pytest.fixture
def path(store: FileCheckpointer, root: Path) -> Path:
    """The file of a checkpoint and two records."""
    store.save_checkpoint(full())
    store.record(update(operation(1)))
    store.record(update(operation(2)))
    return only_file(root)


def only_file(root: Path) -> Path:
    (found,) = [path for path in root.rglob("*") if path.is_file()]
    return found


WRITES: dict[str, Callable[[FileCheckpointer], object]] = {
    "load": lambda store: store.load_checkpoint(ID),
    "save": lambda store: store.save_checkpoint(checkpoint()),
    "record": lambda store: store.record(update(operation(9))),
    "pause": lambda store: pause_in_checkpoint(store, ID),
}
each_way = pytest.mark.parametrize("use", WRITES.values(), ids=WRITES)


def digest_changed(data: bytes) -> bytes:
    place = len(MAGIC)
    return data[:place] + (b"0" if data[place : place + 1] != b"0" else b"1") + data[place + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut in the checkpoint": lambda data: data[:300],
    "cut in the first words": lambda data: data[:10],
    "a byte changed in the checkpoint": lambda data: data.replace(b"a.example", b"b.example", 1),
    "a byte changed in a record": lambda data: data.replace(b'"value":1', b'"value":7', 1),
    "a byte changed in the last record": lambda data: data.replace(b'"value":2', b'"value":7', 1),
    "a digest changed": digest_changed,
    "the last newline overwritten": lambda data: data[:-1] + b"x",
    "text behind it": lambda data: data + b"hello\nworld\n",
    "a line missing its beginning": lambda data: data.replace(b"\n", b"\n\n", 2),
    "something else": lambda data: b'{"hello": "world"}\n',
    "binary": lambda data: bytes(range(256)) * 4,
    "no object": lambda data: MAGIC + seal("[1]"),
    "NaN": lambda data: MAGIC + seal('{"schema_version":1,"operations":[],"x":NaN}'),
    "a key twice": lambda data: MAGIC + seal('{"schema_version":1,"schema_version":1}'),
    "no operations": lambda data: MAGIC + seal('{"schema_version":1,"id":"a"}'),
    "no version": lambda data: MAGIC + seal('{"operations":[],"id":"a"}'),
    "a record without a head": lambda data: data + seal("{}"),
}


@each_way
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_reported_and_kept(
    path: Path, root: Path, damage: Callable[[bytes], bytes], use: Callable[..., object]
) -> None:
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)

    with pytest.raises(CheckpointCorrupt, match="left as it is") as caught:
        use(FileCheckpointer(root))

    assert str(path) in str(caught.value)
    assert path.read_bytes() == damaged


def test_damage_is_seen_by_who_wrote_the_file(store: FileCheckpointer, path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"value":1', b'"value":7', 1))

    with pytest.raises(CheckpointCorrupt):
        store.record(update(operation(3)))


def test_a_damaged_checkpoint_can_be_deleted(store: FileCheckpointer, path: Path) -> None:
    path.write_bytes(b"")

    store.delete_checkpoint(ID)

    with pytest.raises(NoCheckpoint):
        store.load_checkpoint(ID)


def test_the_file_of_another_execution_is_not_taken_for_it(
    store: FileCheckpointer, path: Path, root: Path
) -> None:
    copy = store._folder.path("other")
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(path.read_bytes())

    with pytest.raises(CheckpointCorrupt, match=f"it is that of execution '{ID}'"):
        store.load_checkpoint("other")


def test_every_unfinished_last_line_is_dropped(path: Path, root: Path) -> None:
    data = path.read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1

    for end in range(last, len(data)):
        path.write_bytes(data[:end])
        store = FileCheckpointer(root)

        loaded = store.load_checkpoint(ID)
        assert loaded.operations == [*full().operations, operation(1)]
        store.record(update(operation(3)))
        loaded = FileCheckpointer(root).load_checkpoint(ID)
        assert loaded.operations == [*full().operations, operation(1), operation(3)]


@pytest.mark.parametrize("place", ["its beginning", "its middle", "its newline"])
def test_a_last_line_with_a_hole_of_zeros_is_dropped(path: Path, root: Path, place: str) -> None:
    data = path.read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    begin = {"its beginning": last, "its middle": last + 100, "its newline": len(data) - 1}[place]
    end = min(begin + 50, len(data))
    path.write_bytes(data[:begin] + bytes(end - begin) + data[end:])

    loaded = FileCheckpointer(root).load_checkpoint(ID)

    assert loaded.operations == [*full().operations, operation(1)]


def test_a_newer_format_is_refused_and_kept(path: Path, root: Path) -> None:
    newer = path.read_bytes().replace(MAGIC, b"stepwell-checkpoint 2\n")
    path.write_bytes(newer)

    for use in WRITES.values():
        with pytest.raises(CheckpointVersionError, match="format 2"):
            use(FileCheckpointer(root))

    assert path.read_bytes() == newer


@each_way
@pytest.mark.parametrize("kind", ["a symbolic link", "a FIFO", "a directory"])
def test_what_is_no_file_is_not_followed(
    path: Path, root: Path, tmp_path: Path, kind: str, use: Callable[..., object]
) -> None:
    target = tmp_path / "elsewhere"
    path.rename(target)
    before = target.read_bytes()
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a directory":
        path.mkdir()
    else:
        path.symlink_to(target)

    with pytest.raises(StoreError, match=f"found {kind}"):
        use(FileCheckpointer(root))

    assert target.read_bytes() == before
    assert stat.S_IFMT(path.lstat().st_mode)


def test_a_link_in_place_of_the_new_file_is_not_followed(
    store: FileCheckpointer, path: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path.with_name(f"{path.name}.new").symlink_to(victim)

    store.save_checkpoint(checkpoint())

    assert victim.read_text() == "mine"
    assert store.load_checkpoint(ID) == checkpoint()


def test_no_id_leads_out_of_the_folder(store: FileCheckpointer, tmp_path: Path, root: Path) -> None:
    for id in ("../x", "/etc/passwd", "..", "a/../../b"):
        store.save_checkpoint(checkpoint(id))

    assert [path.name for path in tmp_path.iterdir()] == [root.name]
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {len(path.relative_to(root).parts) for path in files} == {2}


def test_delete_leaves_no_file(store: FileCheckpointer, path: Path, root: Path) -> None:
    path.with_name(f"{path.name}.new").write_bytes(b"of a writer that was killed")

    store.delete_checkpoint(ID)

    assert [found for found in root.rglob("*") if found.is_file()] == []


def test_records_are_folded_into_the_file(
    store: FileCheckpointer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "FOLD_FROM", 2_000)
    replaced: list[int] = []
    put = file_module._FilePlace._put

    def count(self: object, data: bytes, paused: bool) -> None:
        replaced.append(len(data))
        put(self, data, paused)  # type: ignore[arg-type]  # the class is private

    monkeypatch.setattr(file_module._FilePlace, "_put", count)

    for number in range(1, 1_001):
        store.record(update(operation(number), variables={"n": number}))

    loaded = FileCheckpointer(root).load_checkpoint(ID)
    assert loaded.operations == [operation(number) for number in range(1, 1_001)]
    assert loaded.variables == {"n": 1_000}
    # Each fold doubles the file, so all of them together cost a multiple of what is there.
    assert 3 < len(replaced) < 20
    assert sum(replaced) < 3 * only_file(root).stat().st_size


def test_an_operation_recorded_again_and_again_does_not_fill_the_disk(
    store: FileCheckpointer, root: Path
) -> None:
    for attempt in range(1, 301):
        store.record(update(operation(1, value="x" * 2_000, attempts=attempt)))

    assert only_file(root).stat().st_size < 3 * file_module.FOLD_FROM
    assert store.load_checkpoint(ID).operations[0].attempts == 300


def test_a_full_disk_loses_nothing(
    store: FileCheckpointer, path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.load_checkpoint(ID)
    write = os.write

    def half(file: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        for use in (WRITES["save"], WRITES["record"], WRITES["pause"]):
            with pytest.raises(StoreError, match="No space left on device; nothing of this"):
                use(store)

    assert FileCheckpointer(root).load_checkpoint(ID) == before
    store.record(update(operation(3)))
    assert len(store.load_checkpoint(ID).operations) == len(before.operations) + 1
    assert only_file(root) == path


def test_every_write_is_synced(store: FileCheckpointer, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(file: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        fsync(file)

    monkeypatch.setattr(os, "fsync", note)
    seen = []
    for write in (
        lambda: store.save_checkpoint(checkpoint()),
        lambda: store.save_checkpoint(checkpoint()),
        lambda: store.record(update(operation(1))),
        lambda: store.delete_checkpoint(ID),
    ):
        synced.clear()
        write()
        seen.append(list(synced))

    # The first one makes the folders, too.
    assert seen[0][-2:] == ["file", "folder"]
    assert len(seen[0]) > 2
    assert seen[1:] == [["file", "folder"], ["file"], ["folder"]]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    store = FileCheckpointer(tmp_path / "taken")

    with pytest.raises(StoreError, match="taken"):
        store.save_checkpoint(checkpoint())
    with pytest.raises(StoreError, match="taken"):
        store.load_checkpoint(ID)


def test_a_load_makes_no_folder(store: FileCheckpointer, root: Path) -> None:
    with pytest.raises(NoCheckpoint):
        store.load_checkpoint(ID)

    assert not root.exists()


def test_change_may_not_call_its_checkpointer(store: FileCheckpointer) -> None:
    store.save_checkpoint(checkpoint())

    def change(found: Checkpoint) -> None:
        store.load_checkpoint(ID)

    with pytest.raises(RefusedByState, match="change called the checkpointer"):
        store.atomic_update(ID, change)

    assert store.load_checkpoint(ID) == checkpoint()
