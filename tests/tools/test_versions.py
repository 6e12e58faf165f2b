"""On which Pythons CI runs the tests, and what stands in for those that are not here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tools import newest, versions

# In the matrix, and not yet claimed by pyproject.toml.
UNTRIED = ["3.14"]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Which versions the tests ran on, with what arguments; 3.12 and 3.13 are here, 3.13 fails."""
    tried: list[tuple[str, list[str]]] = []

    def test(minor: str, _: Path, __: newest.Version, arguments: list[str]) -> bool:
        tried.append((minor, arguments))
        return minor != "3.13"

    here = {"3.12": (Path("a"), (3, 12, 1)), "3.13": (Path("b"), (3, 13, 0))}
    monkeypatch.setattr(versions, "installed", lambda _: here)
    monkeypatch.setattr(versions, "test", test)
    return tried


def test_the_matrix_is_what_the_project_supports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    claimed = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))

    assert versions.matrix() == [*claimed, *UNTRIED]
    assert project["requires-python"] == f">={claimed[0]}"


def test_the_newest_release_of_each_version_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"a": (3, 12, 1), "b": (3, 12, 9), "c": (3, 12, 4), "d": (3, 13, 0), "e": None}
    monkeypatch.setattr(newest, "version_of", lambda place: known[place.name])

    found = versions.installed(tmp_path / name for name in known)

    assert found == {
        "3.12": (tmp_path / "b", (3, 12, 9)),
        "3.13": (tmp_path / "d", (3, 13, 0)),
    }


def test_all_that_are_here_are_tried_and_a_failure_counts(
    tried: list[tuple[str, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert versions.main(["--", "-k", "lease"]) == 1

    assert tried == [("3.12", ["-k", "lease"]), ("3.13", ["-k", "lease"])]
    said = capsys.readouterr().err.splitlines()
    assert said == ["no Python 3.11 here", "no Python 3.14 here", "failed on: 3.13"]


def test_one_that_is_named_has_to_be_here(tried: list[tuple[str, list[str]]]) -> None:
    assert versions.main(["3.12"]) == 0
    assert versions.main(["3.14"]) == 1
    assert tried == [("3.12", [])]
