"""`make test-versions`: the tests on each Python of `.ci/matrix`, or on those that are named.

    python -m tools.versions [VERSION…] [-- PYTEST ARGUMENTS…]

Each has an environment of its own below `.venv-versions`, made from the lock. A Python that is not
on this machine is passed over; one that is named has to be here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tools import newest

MATRIX = newest.ROOT / ".ci" / "matrix"
PLACE = newest.ROOT / ".venv-versions"


def matrix(file: Path = MATRIX) -> list[str]:
    """The versions that CI has a job for, oldest first."""
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def installed(places: Iterable[Path]) -> dict[str, tuple[Path, newest.Version]]:
    """For each minor version among these Pythons, such as 3.12, the newest of its releases."""
    found: dict[str, tuple[Path, newest.Version]] = {}
    for place in places:
        version = newest.version_of(place)
        if version:
            minor = ".".join(map(str, version[:2]))
            if minor not in found or version > found[minor][1]:
                found[minor] = place, version
    return found


def test(minor: str, python: Path, version: newest.Version, arguments: list[str]) -> bool:
    """Run the tests on this Python; whether they passed."""
    print(f"tests on Python {'.'.join(map(str, version))}: {python}", flush=True)
    inside = newest.environment(python, version, PLACE / minor)
    command: list[str | Path] = [inside, *newest.PYTEST, *arguments]
    return subprocess.run(command, cwd=newest.ROOT, check=False).returncode == 0


def main(arguments: list[str]) -> int:
    """Run the tests on one version after the other; 1 if they failed on one, or it is missing."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    named, for_pytest = arguments[:cut], arguments[cut + 1 :]
    found = installed(newest.candidates())
    failed = []
    for minor in named or matrix():
        if minor in found:
            if not test(minor, *found[minor], for_pytest):
                failed.append(minor)
        else:
            print(f"no Python {minor} here", file=sys.stderr)
            failed += [minor] if named else []
    if failed:
        print(f"failed on: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
