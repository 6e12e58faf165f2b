"""A disk that really is full, and disks and folders that really are read-only."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trust.disk.children import Children, Ended, Job
from tests.trust.disk.commands import APP, REASONS, STORE, check_said, command, program
from tests.trust.disk.survivors import missing

SIZE = 4 * 1024 * 1024
# So many bytes are left when the work begins: for nothing, for a part of the store, for some steps.
LEFT = [0, 60_000, 200_000, 330_000, 420_000, 520_000, 640_000]

START = ("disk", "--input", "3", "--run-id", "run-0")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of a few megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid():
        pytest.skip("mounting a small file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "stepwell-test", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def finish(children: Children, disk: Path) -> Ended:
    return children.run(program(disk, "finish", f"{disk}/home"))


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("name", ["command", "connected"])
def test_a_full_disk_stops_the_work_and_loses_nothing(
    children: Children, small: Path, name: str, left: int
) -> None:
    jobs = {
        "command": command(small, *START),
        "connected": program(small, "runs", f"{small}/home", "full", 0, 1, 1),
    }
    ballast = small / "ballast"
    ballast.write_bytes(bytes(SIZE - left))

    ended = children.run(jobs[name])

    check_said(ended)
    if left < LEFT[3]:  # less than a new store takes
        assert ended.code == STORE
    ballast.unlink()
    assert not missing(small / "home", ended.acknowledged)
    again = finish(children, small) if name == "connected" else by_command(children, small)
    assert (again.code, again.err.count("error: ")) == (0, 0), again.err
    assert not missing(small / "home", [*ended.acknowledged, "end run-0"])


def by_command(children: Children, disk: Path) -> Ended:
    started = children.run(command(disk, *START))
    return children.run(command(disk, "--resume", "run-0")) if started.code else started


# Whatever a command wants of a store, it writes at least the index of the log.
COMMANDS = (
    ("run", "disk", "--input", "3", "--app", APP),
    ("worker", "--max-cycles", "1"),
    ("kv", "set", "a", "1"),
    ("list",),
    ("show", "run-0"),
)


def test_a_read_only_disk_is_named_by_every_command(children: Children, small: Path) -> None:
    began = children.run(command(small, *START))
    assert began.code == 0, began.err
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)

    refuses_all(children, small)

    subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)
    assert not missing(small / "home", began.acknowledged)


@pytest.mark.parametrize("read_only", [("home", "home/engine.db"), ("home",)])
def test_read_only_permissions_are_named_by_every_command(
    children: Children, disk: Path, read_only: tuple[str, ...]
) -> None:
    began = children.run(command(disk, *START))
    assert began.code == 0, began.err

    with protected(disk, read_only):
        refuses_all(children, disk)

    assert not missing(disk / "home", began.acknowledged)


def refuses_all(children: Children, disk: Path) -> None:
    """Every command says in one line why it cannot."""
    at = ("--home", f"{disk}/home")
    jobs = [Job(arguments=(*at, *words), folder=disk, powerless=True) for words in COMMANDS]
    for words, ended in zip(COMMANDS, children.run_all(jobs), strict=True):
        check_said(ended, f"{words}: {ended.err}")
        assert ended.code == STORE, f"{words}: {ended.err}"
        assert len(ended.err.splitlines()) == 1, ended.err


@pytest.mark.parametrize("folder", ["artifacts", "projections"])
def test_a_step_that_cannot_store_fails_with_the_reason(
    children: Children, disk: Path, folder: str
) -> None:
    began = children.run(command(disk, *START))
    below = [path for path in (disk / "home" / folder).rglob("*") if path.is_dir()]
    read_only = [str(path.relative_to(disk)) for path in below]
    later = command(disk, "disk", "--input", "3", "--run-id", "run-1")

    with protected(disk, (f"home/{folder}", *read_only)):
        ended = children.run(replace(later, powerless=True))

    assert ended.code == 1, ended.err
    assert "Traceback" not in ended.err
    (line,) = (line for line in ended.err.splitlines() if line.startswith("step part:0 failed: "))
    assert line.startswith("step part:0 failed: store_error: "), line
    assert any(reason in line for reason in (*REASONS, "attempt to write a readonly")), line
    assert not missing(disk / "home", [*began.acknowledged, *ended.acknowledged])
    retry = Job(arguments=("--home", f"{disk}/home", "retry", "run-1"))
    assert children.run(retry).code == 0
    assert children.run(command(disk, "--resume", "run-1")).code == 0


@contextmanager
def protected(disk: Path, names: Iterable[str]) -> Iterator[None]:
    """Nobody may write to these meanwhile."""
    before = {path: path.stat().st_mode for path in (disk / name for name in names)}
    for path, mode in before.items():
        path.chmod(mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        yield
    finally:
        for path, mode in before.items():
            path.chmod(mode)
