"""The tools of these tests: the shim that fails and logs calls, and the disk made of its log."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.trust.disk.children import ROOT, Children
from tests.trust.disk.commands import STORE, check_said, command, program
from tests.trust.disk.images import SECTOR, Disk, File, NoLoss, PowerLoss, Write, put_down
from tests.trust.disk.shim import FOREVER, HALF, ONCE, Call, Fault, build, read_log

PROGRAMS = {
    "runs": ("full", 0, 2, 2),
    "files": ("all",),
    "rows": ("full",),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_log_tells_all_that_happened_to_the_disk(
    children: Children, disk: Path, image: Path, name: str
) -> None:
    ended = children.run(program(disk, name, f"{disk}/home", *PROGRAMS[name]))
    assert ended.code == 0, ended.err

    told = Disk(disk)
    for call in ended.calls:
        told.follow(call)
    image.mkdir()
    put_down(told.root, image, NoLoss())

    assert contents(image) == contents(disk)
    assert contents(disk)


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("fault", [Fault(30, errno.EIO, ONCE), Fault(30, errno.ENOSPC, FOREVER)])
def test_the_command_in_a_process_of_its_own_says_one_line(
    tmp_path: Path, disk: Path, fault: Fault
) -> None:
    environment = {
        **os.environ,
        "LD_PRELOAD": str(build()),
        "DISK_FOLDER": str(disk),
        "DISK_LOG": str(tmp_path / "log"),
        "DISK_FAULT": f"{fault.at}:{fault.number}:{fault.way}",
    }

    done = subprocess.run(
        [sys.executable, "-m", "stepwell", *command(disk, "disk", "--input", "3").arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == STORE, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert any(call.kind == "!" for call in read_log(tmp_path / "log"))


def test_half_of_a_write_arrives_and_the_rest_fails(children: Children, disk: Path) -> None:
    calls = children.run(program(disk, "rows", f"{disk}/home", "full")).calls
    at = 1 + next(
        number for number, call in enumerate(calls) if call.kind == "w" and len(call.data) > SECTOR
    )
    other = disk / "other"
    other.mkdir()

    ended = children.run(
        program(other, "rows", f"{other}/home", "full").on(Fault(at, errno.ENOSPC, HALF))
    )

    assert len(ended.calls[at - 1].data) == len(calls[at - 1].data) // 2
    assert ended.calls[at].kind == "!"


def test_what_was_synced_outlives_every_power_loss() -> None:
    disk = Disk(Path("/disk"))
    for kind, path in (("c", "/disk/a"), ("w", "/disk/a"), ("s", "/disk/a"), ("s", "/disk")):
        disk.follow(Call(kind, path, "", 0, b"synced"))
    disk.follow(Call("r", "/disk/a", "/disk/b", 0, b""))
    disk.follow(Call("w", "/disk/b", "", 6, b", not"))
    seen = set()

    for seed in range(200):
        loss = PowerLoss(Random(seed))
        ((name, file),) = loss.names(disk.root, "").items()
        assert isinstance(file, File)
        seen.add((name, loss.content(file, name)))

    assert all(content.startswith(b"synced") for _, content in seen)
    assert {name for name, _ in seen} == {"a", "b"}
    assert {b"synced", b"synced, not", b"synced, n", b"synced" + bytes(5)} <= {
        content for _, content in seen
    }


def test_a_torn_write_is_made_of_whole_sectors() -> None:
    write = Write(500, bytes(1_000))

    assert [(part.offset, len(part.data or b"")) for part in write.torn(SECTOR)] == [
        (500, 12),
        (512, 512),
        (1024, 476),
    ]


def test_a_command_on_a_sound_disk_says_no_error(children: Children, disk: Path) -> None:
    ended = children.run(command(disk, "disk", "--input", "3"))

    check_said(ended)
    assert ended.code == 0
    assert not ended.faults
