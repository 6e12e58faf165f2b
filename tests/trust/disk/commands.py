"""The command line at work on a disk, and what it may say when the disk fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.trust.disk.children import Ended, Job
from tests.trust.disk.work import SETTINGS

APP = "tests.trust.disk.work:disk"
CONFLICT, STORE = 4, 8
REASONS = (
    "the disk failed",
    "the disk is full",
    "it is read-only",
    "it cannot be opened",
    "Input/output error",
    "No space left on device",
    "Read-only file system",
    "Permission denied",
)
# A worker says so when it begins to wait for the store, and when it stops.
WARNINGS = 4

_SETTINGS = [
    word for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", str(value))
]


def command(disk: Path, *words: str) -> Job:
    """`stepwell run`, with all it stores in a home folder on the disk."""
    given = ("--home", f"{disk}/home", "--app", APP, "run", *words, *_SETTINGS)
    return Job(arguments=given, folder=disk)


def program(disk: Path, name: str, *given: Any) -> Job:
    """A program of `work`."""
    return Job(program=f"tests.trust.disk.work:{name}", given=given, folder=disk)


def check_said(ended: Ended, what: str = "") -> None:
    """It went well in spite of the fault, or one line says why it did not."""
    what = what or ended.err
    assert "Traceback" not in ended.err, what
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    if ended.code == 0:
        assert not errors, what
    else:
        assert ended.code == STORE, what
        assert len(errors) == 1, what
        assert ended.err.splitlines()[-1] == errors[0], what
        assert any(reason in errors[0] for reason in REASONS), what
    assert ended.err.count(" WARNING ") <= WARNINGS, what
