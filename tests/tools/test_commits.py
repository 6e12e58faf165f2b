"""Which subjects of commits are refused, and which commits are looked at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import commits

GOOD = "Refuse a checkpoint of a newer schema"


@pytest.mark.parametrize(
    "subject",
    [
        GOOD,
        "Seed the simulator from a number",
        "Bring up two workers",
        "Pass the clock in, and read it nowhere else",
        "Alias imports of a room by its full name",
        "x".upper() * 72,
    ],
)
def test_an_imperative_is_good(subject: str) -> None:
    assert commits.faults(subject) == []


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("R" * 73, "it has 73 characters; at most 72"),
        (f"{GOOD}.", "it ends with a dot"),
        ("refuse a checkpoint", "begin with a capital letter"),
        ("Refused a checkpoint", "'Refused' is not an imperative"),
        ("Refusing a checkpoint", "'Refusing' is not an imperative"),
        ("Refuses a checkpoint", "'Refuses' is not an imperative"),
        ("The checkpoint of a newer schema", "'The' is not an imperative"),
        ("What a lost fence ends in", "'What' is not an imperative"),
        ("Checkpoints: refuse a newer schema", "begins with a topic and a colon"),
        ("Made it faster", "'Made' is not an imperative"),
    ],
)
def test_another_subject_is_refused_with_the_reason(subject: str, said: str) -> None:
    (fault,) = commits.faults(subject)

    assert said in fault


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose main branch has a commit from before the rule, and the rule."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, "old and wrong.")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "commits.py").touch()
    git(tmp_path, "add", "tools")
    commit(tmp_path, "Check the subjects of commits")
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path, subject: str) -> None:
    git(root, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", subject)


def looked_at(root: Path) -> list[str]:
    looked_at = commits.commits(root)
    assert looked_at is not None
    return [subject for _, subject in commits.subjects(looked_at, root)]


def test_commits_of_a_branch_are_looked_at(clone: Path) -> None:
    commit(clone, "On main")
    git(clone, "checkout", "--quiet", "-b", "work")
    commit(clone, "First")
    commit(clone, "Second")

    assert looked_at(clone) == ["Second", "First"]


def test_on_the_main_branch_the_last_ones_since_the_rule_are(clone: Path) -> None:
    assert looked_at(clone) == []
    for number in range(commits.LAST + 2):
        commit(clone, f"Commit {number}")

    assert looked_at(clone) == [f"Commit {number}" for number in range(11, 1, -1)]


def test_without_a_repository_there_is_nothing_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    assert commits.commits(tmp_path) is None

    monkeypatch.setattr(commits, "commits", lambda: None)
    assert commits.main([]) == 0
    assert capsys.readouterr().out == "no commits to look at\n"


def test_what_is_wrong_is_printed_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = [("abc1", GOOD), ("abc2", "fixed it")]
    monkeypatch.setattr(commits, "subjects", lambda _: listed)

    assert commits.main(["A..B"]) == 1

    said = capsys.readouterr()
    assert said.err.startswith("abc2 fixed it\n    begin with a capital letter\n")
    assert said.out == "2 commit subjects looked at, 1 to be written anew\n"
