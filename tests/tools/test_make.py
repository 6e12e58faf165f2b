"""`make setup` and the Python it is given. Nothing is made: make only says what it would do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

REMAKES = "rm -rf .venv"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with a Makefile and an environment that the Python of the tests has made."""
    for name in ("Makefile", "pyproject.toml", "setup.py", "requirements", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    (tmp_path / ".venv" / ".installed").touch()
    return tmp_path


def make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=clone, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("given", [[], [f"PYTHON={sys.executable}"]])
def test_an_environment_of_the_same_python_is_kept(clone: Path, given: list[str]) -> None:
    told = make(clone, "-n", "setup", *given)

    assert told.returncode == 0, told.stderr
    assert REMAKES not in told.stdout
    assert "pip install" not in told.stdout


def test_an_environment_of_another_python_is_made_anew(clone: Path, tmp_path: Path) -> None:
    other = tmp_path / "python3.99"
    other.write_text("#!/bin/sh\necho '3.99.0 (main, Jan 1 2050) /usr True'\n")
    other.chmod(0o755)

    told = make(clone, "-n", "setup", f"PYTHON={other}")

    assert told.returncode == 0, told.stderr
    assert told.stdout.index(REMAKES) < told.stdout.index("-m venv .venv")


@pytest.mark.parametrize("says", ["echo '3.10.1 (main) /usr False'", "exit 1"])
def test_what_is_no_such_python_is_refused_and_the_environment_kept(
    clone: Path, tmp_path: Path, says: str
) -> None:
    other = tmp_path / "python"
    other.write_text(f"#!/bin/sh\n{says}\n")
    other.chmod(0o755)

    told = make(clone, "setup", f"PYTHON={other}")

    assert told.returncode == 2
    assert f"PYTHON={other} is no Python 3.11 or newer with venv; name another" in told.stderr
    assert (clone / ".venv" / ".installed").exists()
