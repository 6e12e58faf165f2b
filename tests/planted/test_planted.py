"""The planted faults fit the code, and the tests that should find some of them do."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.planted.faults import ROOT, DoesNotApply, Fault, Hunk, faults, missing_tests, read_fault
from tests.planted.planting import BROKEN, KILLED, SURVIVED, plant
from tests.planted.trees import Tree, locked, shared_entries

FAULTS = faults()
# So many faults are planted.
PLANTED = 114
# These are planted for real in an ordinary run; `make mutants` plants all.
SAMPLE = ("01-", "12-", "49-")

each = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree"))


@each
def test_fits_the_code(fault: Fault) -> None:
    changed = fault.changed(ROOT)

    assert changed
    for path, text in changed.items():
        assert text != (ROOT / path).read_text()
        compile(text, path, "exec")


@each
def test_says_what_it_is_and_names_tests_that_are_there(fault: Fault) -> None:
    assert fault.what.endswith(".")
    assert fault.tests
    assert not missing_tests(fault)


def test_faults_are_numbered_and_spread_over_the_product() -> None:
    numbers = [fault.number for fault in FAULTS]
    assert numbers == sorted(set(numbers))  # with gaps, as several are written at a time
    assert len(numbers) == PLANTED
    paths = {path for fault in FAULTS for path in fault.paths}
    for room in (
        "engine/",
        "stores/sql/",
        "stores/checkpoints/",
        "stores/artifacts/",
        "executors/",
    ):
        assert any(path.startswith(room) for path in paths), room


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", SAMPLE)
def test_is_found(number: str, tree: Tree) -> None:
    (fault,) = (fault for fault in FAULTS if fault.name.startswith(number))

    finding = plant(fault, tree)

    assert finding.verdict == KILLED, finding
    # The tree is sound again.
    for path in fault.paths:
        assert (tree.root / path).read_text() == (ROOT / path).read_text()


@pytest.mark.timeout(300)
def test_what_changes_nothing_survives(tree: Tree) -> None:
    hunk = Hunk("engine/ids.py", "from __future__", "# Nothing.\nfrom __future__")
    text = (ROOT / hunk.path).read_text()
    assert text.count(f"\n{hunk.before}") == 1
    test = "tests/engine/test_ids.py"
    harmless = Fault("00-harmless", "Nothing.", (test,), (test,), (hunk,))

    assert plant(harmless, tree).verdict == SURVIVED


def test_what_does_not_fit_is_not_taken_for_found(tree: Tree) -> None:
    gone = replace(FAULTS[0], hunks=(Hunk("engine/ids.py", "no such line\n", ""),))

    finding = plant(gone, tree)

    assert finding.verdict == BROKEN
    assert "0 times in engine/ids.py" in finding.by


def test_a_tree_sees_what_its_lock_names_and_no_package_installed_beside(tmp_path: Path) -> None:
    # given: an environment with a sample, a plugin, and what they need
    lock = tmp_path / "lock.txt"
    lock.write_text("Some.Library==1.0 \\\n    --hash=sha256:00\n    # via stepwell\n")
    site = tmp_path / "site-packages"
    for name in ("stepwell", "some_library", "code_census", "a_plugin"):
        metadata = site / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for file in ("some_library.py", "__editable__.code_census-1.0.pth", "other.pth"):
        (site / file).touch()

    # when
    seen = {entry.name for entry in shared_entries(site, locked(lock))}

    # then
    assert seen == {"stepwell-1.0.dist-info", "some_library-1.0.dist-info", "some_library.py"}


def test_a_tree_finds_no_package_but_those_it_is_given(tree: Tree) -> None:
    ask = "from importlib.metadata import entry_points as e; print([*e(group='stepwell.packages')])"
    python = tree.root / ".venv/bin/python"

    asked = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)

    assert asked.stdout.strip() == "[]"


def test_lines_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = 2\nx = 1\n")

    with pytest.raises(DoesNotApply, match=r"2 times in a\.py"):
        Fault("00-twice", "", (), (), (Hunk("a.py", "x = 1\n", "x = 2\n"),)).changed(tmp_path)


def test_patch_with_several_hunks(tmp_path: Path) -> None:
    # given
    (tmp_path / "a.py").write_text("first\n\nsecond\nthird\n\nlast\n")
    patch = tmp_path / "07-several.patch"
    patch.write_text(
        "# What it is.\n# tests: t.py::a t.py::b\n--- a/a.py\n+++ b/a.py\n"
        "@@ -1,3 +1,2 @@\n first\n-\n second\n@@ -4,3 +3,4 @@\n third\n+more\n \n last\n"
    )
    # when
    fault = read_fault(patch)
    # then
    assert (fault.name, fault.what, fault.tests) == (
        "07-several",
        "What it is.",
        ("t.py::a", "t.py::b"),
    )
    assert fault.changed(tmp_path) == {"a.py": "first\nsecond\nthird\nmore\n\nlast\n"}
    assert missing_tests(fault, tmp_path) == ["t.py::a", "t.py::b"]
