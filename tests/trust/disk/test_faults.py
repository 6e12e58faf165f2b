"""Writes and syncs fail, anywhere: one clear line, nothing lost, and the work ends afterwards."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.trust.disk.children import Children, Ended, Job
from tests.trust.disk.commands import CONFLICT, check_said, command, program
from tests.trust.disk.shim import FOREVER, HALF, ONCE, Fault
from tests.trust.disk.survivors import missing, violations

# So many places of a program's calls are tried, evenly spread, each with every kind of fault.
PLACES = 8
LONGEST = 3_600
KINDS = [(number, way) for number in (errno.EIO, errno.ENOSPC) for way in (ONCE, FOREVER, HALF)]
# What a file system does that found an error in itself: it goes on, read-only.
KINDS.append((errno.EROFS, FOREVER))


@dataclass(frozen=True, slots=True)
class Way:
    """What runs while the disk fails, what finishes its work later, and what if it was begun."""

    run: Callable[[Path], Job]
    finish: Callable[[Path], Job]
    resume: Callable[[Path], Job]


WAYS = {
    "the command": Way(
        lambda disk: command(disk, "disk", "--input", "3", "--run-id", "run-0"),
        lambda disk: command(disk, "disk", "--input", "3", "--run-id", "run-0"),
        lambda disk: command(disk, "--resume", "run-0"),
    ),
    "connect() with checkpoints in files": Way(
        lambda disk: program(disk, "runs", f"{disk}/home", "full", 0, 1, 1),
        lambda disk: program(disk, "finish", f"{disk}/home"),
        lambda disk: program(disk, "finish", f"{disk}/home"),
    ),
}


@pytest.mark.parametrize("place", range(PLACES))
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.timeout(LONGEST)
def test_a_failing_call_costs_nothing_that_was_acknowledged(
    children: Children, disk: Path, way: Way, place: int, scale: float
) -> None:
    undisturbed = children.run(way.run(disk))
    calls = sum(call.kind != "a" for call in undisturbed.calls)
    share = max(1, round(scale))
    failed = 0

    for step in range(share):
        at = 1 + (place * share + step) * calls // (PLACES * share)
        faults = [Fault(at, *kind) for kind in KINDS]
        disks = [disk / f"{at}-{number}" for number in range(len(faults))]
        for each in disks:
            each.mkdir()
        ended = children.run_all(
            [way.run(each).on(fault) for each, fault in zip(disks, faults, strict=True)]
        )
        lost = [
            missing(each / "home", one.acknowledged) for each, one in zip(disks, ended, strict=True)
        ]
        wrong = [violations(each / "home") for each in disks]
        again = finish(children, way, disks)

        for index, (fault, one) in enumerate(zip(faults, ended, strict=True)):
            what = f"{fault}, of {calls} calls: {one.err}"
            check_said(one, what)
            assert not lost[index], what
            assert not wrong[index], what
            assert again[index].code == 0, f"{what}; afterwards {again[index].err}"
            told = [*one.acknowledged, *again[index].acknowledged, "end run-0"]
            assert not missing(disks[index] / "home", told), what
            failed += bool(one.faults)

    assert failed >= share * len(KINDS) // 2  # no two runs make the same calls, the last ones vary


def finish(children: Children, way: Way, disks: list[Path]) -> list[Ended]:
    """Finish the work of all, on disks that do not fail."""
    again = children.run_all([way.finish(each) for each in disks])
    begun = [index for index, one in enumerate(again) if one.code == CONFLICT]
    resumed = children.run_all([way.resume(disks[index]) for index in begun])
    for index, one in zip(begun, resumed, strict=True):
        again[index] = one
    return again
