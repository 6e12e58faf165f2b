"""Importing Stepwell is cheap: the heavy libraries load when they are first used."""

import os
import subprocess
import sys
from importlib.util import find_spec
from math import inf
from time import perf_counter

import pytest

from tests.architecture.product import ROOT, report

HEAVY = ("sqlalchemy", "networkx", "rich", "click", "aiohttp", "asyncio")
HEAVY_FOR_HELP = ("sqlalchemy", "networkx", "rich", "aiohttp")
LEAST_RUNS, RUNS = 7, 40

IMPORT = "import stepwell"
HELP = """
import sys
from stepwell.cli.main import main
sys.argv = ["stepwell", "--help"]
try:
    main()
except SystemExit:
    pass
"""

# The promise is 0.25 s and 0.3 s where an empty program takes 0.02 s.
IMPORT_RATIO = 0.25 / 0.02
HELP_RATIO = 0.3 / 0.02

with_command_line = pytest.mark.skipif(
    not (ROOT / "cli" / "main.py").is_file(), reason="there is no command line to import"
)


def run(program: str) -> str:
    """Run a program as a user would, without what measures coverage, and give its output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(program: str, names: tuple[str, ...]) -> list[str]:
    """Give those of the named modules that are loaded when a program ends."""
    ask = f"{program}\nimport sys\nprint()\nprint(*[n for n in {names!r} if n in sys.modules])"
    return run(ask).splitlines()[-1].split()


def ratio(program: str, most: float) -> float:
    """Give how many times longer a program takes than an empty one, each where least disturbed.

    On a busy machine it is tried again until it is below `most`, up to `RUNS` times.
    """
    shortest: dict[str, float] = {"pass": inf, program: inf}
    found = inf
    for count in range(1, RUNS + 1):
        for each, before in shortest.items():
            start = perf_counter()
            run(each)
            shortest[each] = min(before, perf_counter() - start)
        found = shortest[program] / shortest["pass"]
        if count >= LEAST_RUNS and found < most:
            break
    return found


def test_import_loads_nothing_heavy() -> None:
    found = loaded(IMPORT, HEAVY)

    assert not found, report("`import stepwell` loads", found)


@with_command_line
def test_help_loads_nothing_heavy() -> None:
    found = loaded(HELP, HEAVY_FOR_HELP)

    assert not found, report("`stepwell --help` loads", found)


def test_the_heavy_libraries_are_there_to_be_loaded() -> None:
    assert [name for name in HEAVY if find_spec(name) is None] == []


def test_import_is_quick() -> None:
    assert ratio(IMPORT, IMPORT_RATIO) < IMPORT_RATIO


@with_command_line
def test_help_is_quick() -> None:
    assert ratio(HELP, HELP_RATIO) < HELP_RATIO
