"""Writes and syncs fail, at any place: one clear line, nothing lost, and the work ends afterwards."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.trust.disk.children import Children, Ended
from tests.trust.disk.facts import missing
from tests.trust.disk.shim import FOREVER, WAYS, Fault

# So many places of a program's calls are tried, evenly spread, each with every kind of fault.
PLACES = 12
LONGEST = 1_800
KINDS = [(number, way) for number in (errno.EIO, errno.ENOSPC) for way in WAYS.values()]
# What a file system does that found an error in itself: it goes on, read-only.
KINDS.append((errno.EROFS, FOREVER))
REASONS = (
    "the disk failed",
    "the disk is full",
    "it is read-only",
    "it cannot be opened",
    "Input/output error",
    "No space left on device",
    "Read-only file system",
)
# A worker says so when it begins to wait for the store, and when it stops.
WARNINGS = 4

CONFLICT = 4
APP = "tests.trust.disk.work:disk"
TUNED = ("--inline-limit", "512", "--lease", "0.6", "--poll-interval", "0.05")


@dataclass(frozen=True, slots=True)
class Program:
    """What runs while the disk fails, and what finishes its work later on."""

    name: str
    run: Callable[[Children, Path, Fault | None], Ended]
    finish: Callable[[Children, Path], Ended]


def command(children: Children, disk: Path, *words: str, fault: Fault | None = None) -> Ended:
    at = ("--home", f"{disk}/home", "--app", APP)
    return children.command(*at, "run", *words, *TUNED, folder=disk, fault=fault)


def run_command(children: Children, disk: Path, fault: Fault | None = None) -> Ended:
    words = ("disk", "--input", "3", "--run-id", "run-0")
    return command(children, disk, *words, fault=fault)


def finish_by_command(children: Children, disk: Path) -> Ended:
    again = run_command(children, disk)
    is_there = again.code == CONFLICT
    return command(children, disk, "--resume", "run-0") if is_there else again


def run_connected(children: Children, disk: Path, fault: Fault | None = None) -> Ended:
    given = (f"{disk}/home", "full", 0, 1, 1)
    return children.run("tests.trust.disk.work:runs", *given, folder=disk, fault=fault)


def finish_connected(children: Children, disk: Path) -> Ended:
    return children.run("tests.trust.disk.work:finish", f"{disk}/home")


PROGRAMS = [
    Program("the command", run_command, finish_by_command),
    Program("connect() with checkpoints in files", run_connected, finish_connected),
]


@pytest.mark.parametrize("place", range(PLACES))
@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
@pytest.mark.timeout(LONGEST)
def test_a_failing_call_costs_nothing_that_was_acknowledged(
    children: Children, disk: Path, program: Program, place: int, scale: float
) -> None:
    calls = [call for call in program.run(children, disk, None).calls if call.kind != "a"]
    share = max(1, round(scale))
    failed = 0

    for step in range(share):
        at = 1 + (place * share + step) * len(calls) // (PLACES * share)
        for number, way in KINDS:
            _empty(disk)
            ended = program.run(children, disk, Fault(at, number, way))
            failed += bool(ended.faults)
            what = f"call {at} of {len(calls)}, {errno.errorcode[number]}, way {way}: {ended.err}"

            check_said(ended, what)
            assert not missing(disk / "home", ended.acknowledged), what
            again = program.finish(children, disk)
            assert again.code == 0, f"{what}; afterwards {again.err}"
            assert not missing(disk / "home", [*ended.acknowledged, "end run-0"]), what

    assert failed >= share * len(KINDS) // 2  # no two runs make the same calls, the last ones vary


def check_said(ended: Ended, what: str) -> None:
    """It went well in spite of the fault, or one line says why it did not."""
    assert "Traceback" not in ended.err, what
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    if ended.code == 0:
        assert not errors, what
    else:
        assert ended.code == 8, what
        assert len(errors) == 1, what
        assert ended.err.splitlines()[-1] == errors[0], what
        assert any(reason in errors[0] for reason in REASONS), what
    assert ended.err.count(" WARNING ") <= WARNINGS, what


def _empty(disk: Path) -> None:
    for entry in disk.iterdir():
        shutil.rmtree(entry)
