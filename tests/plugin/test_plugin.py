"""The plugin as pytest finds it: by its entry point, and at next to no cost."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

PROGRAM = """
import sys

def test_nothing_is_loaded(request):
    assert "pytest_stepwell" in sys.modules
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("stepwell", "pydantic")]
    assert loaded == []

def test_the_fixture_is_there(stepwell_runtime):
    assert stepwell_runtime().runs() == []
"""


def test_the_entry_point_names_the_light_module() -> None:
    [entry] = entry_points(group="pytest11", name="stepwell")

    assert entry.value == "pytest_stepwell"


def test_a_project_of_others_pays_for_it_only_when_it_uses_it(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "test_it.py").write_text(PROGRAM)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert "2 passed" in done.stdout, done.stdout + done.stderr
