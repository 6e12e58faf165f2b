"""`make test-newest`: quick tests on the newest Python of this machine, if it is newer than ours.

It searches the PATH and pyenv's versions. The environment is `.venv-newest`, made from the same
lock. Arguments go to pytest, in place of the quick tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".venv-newest"
LOCK = ROOT / "requirements" / "dev.txt"
NAMES = ("python3", *(f"python3.{minor}" for minor in range(12, 20)))
# A final release of CPython, with venv.
ASK = (
    "import sys, ensurepip; v = sys.version_info; "
    "assert v.releaselevel == 'final' and sys.implementation.name == 'cpython'; "
    "print(*v[:3], sys.base_prefix)"
)
# What another Python breaks first: threads, coroutines, processes, signals, files, drivers.
QUICK = (
    "tests/engine",
    "tests/executors",
    "tests/stores/test_run_store_sqlite.py",
    "tests/stores/test_sqlite.py",
    "tests/stores/test_group_commit.py",
    "tests/stores/test_projections.py",
)
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
PYTEST = ("-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal")
Version = tuple[int, ...]


def candidates() -> list[Path]:
    """Places where a Python may be."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [folder / name for folder in folders for name in NAMES]
    return [*found, *sorted((pyenv / "versions").glob("3.*/bin/python"))]


def newest(places: Iterable[Path], than: Version) -> tuple[Path, Version] | None:
    """The newest one that runs, if its minor version is newer than `than`."""
    best: tuple[Path, Version] | None = None
    for place in places:
        version = version_of(place)
        if version and version[:2] > than[:2] and (best is None or version > best[1]):
            best = place, version
    return best


def version_of(python: Path) -> Version | None:
    """Its version; None if it does not run, or is not a release with venv."""
    if not os.access(python, os.X_OK):
        return None
    try:
        asked = subprocess.run(
            [python, "-c", ASK], capture_output=True, text=True, timeout=30, check=True
        )
        return tuple(map(int, asked.stdout.split()[:3]))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def environment(python: Path, version: Version, place: Path = PLACE) -> Path:
    """The Python of an environment, which is recreated for another version or another lock."""
    inside, stamp = place / "bin" / "python", place / ".installed"
    wanted = f"{version} {LOCK.read_text()}"
    if not stamp.is_file() or stamp.read_text() != wanted:
        subprocess.run([python, "-m", "venv", "--clear", place], check=True)
        install: list[str | Path] = [inside, *PIP]
        subprocess.run([*install, "--no-deps", "--require-hashes", "-r", LOCK], check=True)
        subprocess.run([*install, "--no-deps", "--no-build-isolation", "-e", ROOT], check=True)
        stamp.write_text(wanted)
    return inside


def main(arguments: list[str]) -> int:
    """Run the tests; returns pytest's exit code, or 0 if there is no newer Python."""
    here = sys.version_info[:3]
    found = newest(candidates(), here)
    if found is None:
        print(f"no Python newer than {here[0]}.{here[1]} here: its quick tests are skipped")
        return 0
    python, version = found
    print(f"quick tests on Python {'.'.join(map(str, version))}: {python}", flush=True)
    inside = environment(python, version)
    tests = arguments or [*QUICK]
    command: list[str | Path] = [inside, *PYTEST, *tests]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
