"""Damaged checkpoint and artifact files: what was stored, or one clear error, nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stepwell import Checkpoint, StepwellError
from stepwell.engine.errors import CorruptData, NotFound, StoreError
from stepwell.stores.artifacts.file import FileArtifactStore
from stepwell.stores.checkpoints.file import FileCheckpointer
from stepwell.testing.checkpointers.case import ID, full, operation, update
from tests.trust.damaged_files.damage import damaged

SHARDS = 4
CHECKPOINTS, ARTIFACTS = 700, 700
# Processor seconds that one look at a damaged file may take.
LONGEST = 1.0


def only_file(root: Path) -> Path:
    (found,) = [path for path in root.rglob("*") if path.is_file()]
    return found


@pytest.mark.parametrize("shard", range(SHARDS))
def test_damaged_checkpoint_is_an_earlier_state_or_an_error(
    shard: int, tmp_path: Path, scale: float
) -> None:
    # given: a checkpoint that grew, and each state that it was in
    store = FileCheckpointer(tmp_path)
    states: list[Checkpoint] = []
    store.save_checkpoint(full())
    states.append(store.load_checkpoint(ID))
    for number in range(1, 9):
        store.record(update(operation(number, value="x" * 20 * number)))
        states.append(store.load_checkpoint(ID))
    path = only_file(tmp_path)
    data = path.read_bytes()
    told = 0

    for number in range(round(scale * CHECKPOINTS / SHARDS)):
        # when
        seed = shard * 1_000_000 + number
        done, changed = damaged(data, seed)
        path.write_bytes(changed)
        begun, said = time.thread_time(), ""
        try:
            found = store.load_checkpoint(ID)
        except StoreError as error:
            told += 1
            said = str(error)
            found = None

        # then
        assert time.thread_time() - begun < LONGEST, f"seed {seed}: {done}"
        if found is None:
            assert "\n" not in said, f"seed {seed}: {done}"
        else:
            # Only an end that was cut off is left out: nobody may have been told of it.
            assert found in states, f"seed {seed}: {done}"
            assert found == states[-1] or len(changed) < len(data) or b"\0" in changed
        assert path.read_bytes() == changed, "a load changes nothing"

    assert told


@pytest.mark.parametrize("shard", range(SHARDS))
def test_damaged_artifact_is_never_given_out(shard: int, tmp_path: Path, scale: float) -> None:
    # given
    store = FileArtifactStore(tmp_path)
    data = bytes(range(256)) * 40
    blob = store.put(data)
    path = only_file(tmp_path)
    path.chmod(0o600)

    for number in range(round(scale * ARTIFACTS / SHARDS)):
        # when
        seed = shard * 1_000_000 + number
        done, changed = damaged(data, seed)
        path.write_bytes(changed)
        begun = time.thread_time()
        with pytest.raises(CorruptData) as caught:
            store.open(blob.sha256)

        # then
        assert time.thread_time() - begun < LONGEST, f"seed {seed}: {done}"
        assert "\n" not in str(caught.value), f"seed {seed}: {done}"
        assert path.read_bytes() == changed, "the file is kept"

    assert store.put(data) == blob
    with store.open(blob.sha256) as stream:
        assert stream.read() == data


ATTACKS = [
    *("..", ".", "/", "../../escape", "/etc/passwd", "a/../../../escape", "..\\escape"),
    *("%2e%2e%2fescape", "%2e", "a%00b", "~/escape", "$HOME/escape", "file:///etc/passwd"),
    *("CON", "a" * 180, "Name", "name", "NAME", "nämé", "名前", " space ", "-rf", ";ls", "*"),
]


@pytest.mark.parametrize("id", ATTACKS)
def test_ids_of_checkpoints_never_become_paths(id: str, tmp_path: Path) -> None:
    root = tmp_path / "inside" / "checkpoints"
    store = FileCheckpointer(root)
    other = full()

    store.save_checkpoint(other.model_copy(update={"execution_id": id}))

    assert store.load_checkpoint(id).execution_id == id
    assert files(tmp_path) == files(root)
    assert len(files(root)) == 1


def test_ids_that_differ_in_case_alone_are_two(tmp_path: Path) -> None:
    store = FileCheckpointer(tmp_path)
    for id in ("Name", "name", "NAME", "%4eame", "name%"):
        store.save_checkpoint(full().model_copy(update={"execution_id": id}))

    assert len(files(tmp_path)) == 5
    assert len({path.name.lower() for path in files(tmp_path)}) == 5


@pytest.mark.parametrize(
    "digest", [*ATTACKS, "A" * 64, "g" * 64, "0" * 63, "0" * 65, "0" * 63 + "\n"]
)
def test_what_is_no_digest_never_becomes_a_path(digest: str, tmp_path: Path) -> None:
    store = FileArtifactStore(tmp_path / "inside" / "artifacts")
    store.put(b"something")
    before = files(tmp_path)

    for use in (store.open, store.stat, store.delete):
        with pytest.raises(StepwellError, match="must be 64 lower-case hexadecimal digits"):
            use(digest)

    assert files(tmp_path) == before


def test_missing_artifact_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        FileArtifactStore(tmp_path).open("0" * 64)


def files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if not path.is_dir()}
