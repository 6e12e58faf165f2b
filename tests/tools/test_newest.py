"""Which Python the quick tests run on, besides that of `.venv`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tools import newest

HERE = sys.version_info[:3]


def python(folder: Path, says: str, name: str = "python3") -> Path:
    """A program that answers as a Python with this version and prefix would."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    return program


def test_the_newest_that_runs_is_taken(tmp_path: Path) -> None:
    # given
    old = python(tmp_path / "old", "echo 3 9 1 /usr")
    new = python(tmp_path / "new", "echo 3 98 0 /usr")
    newer = python(tmp_path / "newer", "echo 3 99 2 /usr")
    shim = python(tmp_path / "shim", "echo no version is set >&2; exit 127")
    strange = python(tmp_path / "strange", "echo hello")
    places = [old, newer, tmp_path / "missing", shim, new, strange]

    # when, then
    assert newest.newest(places, HERE) == (newer, (3, 99, 2))
    assert newest.newest(places, (3, 98, 0)) == (newer, (3, 99, 2))
    assert newest.newest(places, (3, 99, 0)) is None


def test_it_is_looked_for_on_the_path_and_in_pyenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    kept = python(tmp_path / "versions" / "3.99.1" / "bin", "echo 3 99 1 /usr", "python")
    named = python(tmp_path / "bin", "echo 3 99 2 /usr", "python3.13")

    found = newest.candidates()

    assert {kept, named} <= set(found)


def test_a_machine_without_a_newer_one_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(newest, "candidates", lambda: [Path(sys.executable)])

    assert newest.main([]) == 0

    version = f"{HERE[0]}.{HERE[1]}"
    assert capsys.readouterr().out == (
        f"no Python newer than {version} here: its quick tests are skipped\n"
    )


def test_quick_tests_are_there() -> None:
    assert all((ROOT / test).exists() for test in newest.QUICK)
