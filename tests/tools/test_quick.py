"""Which tests `make quick` runs for what changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.architecture.product import modules
from tests.docs.pages import ROOT
from tools import quick

CORES = 2


def own(changed: list[str]) -> list[str]:
    tests, _ = quick.chosen(changed, CORES)
    return [test for test in tests if test not in quick.ALWAYS]


def test_a_wing_has_its_own_tests() -> None:
    assert own(["engine/graph/graph.py"]) == [*quick.OWNERS["engine/graph/"][1]]
    assert own(["engine/retry.py"]) == [*quick.OWNERS["engine/"][1]]


def test_each_test_is_run_once() -> None:
    changed = ["stores/sql/store.py", "stores/sql/migrate.py", "stores/opening.py"]

    tests = own(changed)

    assert len(tests) == len(set(tests))
    assert {*quick.OWNERS["stores/"][1], *quick.OWNERS["stores/sql/"][1]} == set(tests)


def test_a_test_that_changed_is_run_unless_its_folder_is() -> None:
    module = "tests/engine/worker/test_worker.py"

    assert own([module]) == [module]
    assert own([module, "engine/worker/worker.py"]) == ["tests/engine/worker"]


def test_tests_that_are_long_or_gone_are_left_out() -> None:
    assert own(["tests/trust/kills/test_killed_anywhere.py", "tests/engine/test_gone.py"]) == []


def test_what_looks_at_all_rooms_is_always_run() -> None:
    assert quick.chosen(["README.md"], CORES) == ([*quick.ALWAYS], [])
    assert quick.chosen([], CORES) == ([], [])


def test_what_takes_longest_is_left_out_when_too_much_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owners = {"a/": (30, ("slow",)), "b/": (25, ("slower than b",)), "c/": (10, ("quick",))}
    monkeypatch.setattr(quick, "OWNERS", owners)
    monkeypatch.setattr(quick, "BUDGET", 20)

    tests, left_out = quick.chosen(["a/x", "b/x", "c/x"], CORES)

    assert tests == [*quick.ALWAYS, "quick", "slower than b"]
    assert left_out == ["slow"]
    assert own(["a/x"]) == ["slow"]  # it is all there is


def test_every_module_of_the_product_has_an_owner() -> None:
    assert [m.place for m in modules() if not own([m.place])] == []


def test_tests_of_the_table_are_there() -> None:
    named = [*quick.ALWAYS, *(test for _, tests in quick.OWNERS.values() for test in tests)]

    assert [test for test in named if not (ROOT / test).exists()] == []


def test_without_a_change_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quick, "changed_files", list)

    assert quick.main([]) == 0
    assert capsys.readouterr().out == "nothing changed since the main branch: no tests to run\n"


def test_changed_is_what_main_does_not_have_and_what_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a branch with a commit, a move, an edit and a new file; main went on meanwhile
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def commit(*names: str) -> None:
        for name in names:
            (tmp_path / name).write_text(f"{name}\n")
        git("add", "--all")
        git("commit", "--quiet", "--no-verify", "-m", "Commit")

    git("init", "--quiet", "--initial-branch=main")
    commit("kept", "edited", "moved", ".gitignore")
    git("branch", "work")
    commit("of main alone")
    git("checkout", "--quiet", "work")
    commit("committed")
    git("mv", "moved", "moved-away")
    (tmp_path / "edited").write_text("otherwise\n")
    (tmp_path / "new name").touch()

    # when, then
    changed = quick.changed_files(tmp_path)
    assert changed == ["committed", "edited", "moved", "moved-away", "new name"]
