"""The page of guarantees: the promises are those of Concepts, its tests and numbers are there."""

from __future__ import annotations

import re

from stepwell.engine.crash_points import POINTS
from tests.docs.pages import ROOT
from tests.planted.faults import exists, faults
from tests.trust.clocks.test_storms import STORMS
from tests.trust.damaged_files import test_files, test_store
from tests.trust.deadly.faults import FAULTS, POOLS
from tests.trust.disk.test_faults import KINDS, PLACES, WAYS
from tests.trust.disk.test_power_loss import FILES, ROWS, STORE
from tests.trust.kills.test_killed_anywhere import KILLS, RUNS
from tests.trust.models import test_checkpointers, test_run_stores
from tests.trust.points.scenarios import SCENARIOS
from tests.trust.points.test_crash_points import TIMES
from tests.trust.simulator.test_seeds import SEEDS
from tests.trust.verify.damages import DAMAGES

PAGE = (ROOT / "docs/guarantees.md").read_text()
CONCEPTS = (ROOT / "docs/concepts.md").read_text().partition("\n## Promises\n")[2]
_PROMISE = re.compile(r"^(\d+)\. (.+(?:\n {3,}.+)*)", re.MULTILINE)
_SECTION = re.compile(
    r"^## (\d+)\. .+\n\n((?:> .+\n)+)\n((?:.+\n)+)\n((?:- `.+`\n)+)", re.MULTILINE
)
_TEST = re.compile(r"`(tests/[^`*]+\.py[^`]*)`")

# What a long run tries as it is: there is no more of it.
FIXED = {
    "crash points",
    "deadly executors",
    "damages that `stepwell verify` is shown",
    "planted faults",
}


def in_one_line(text: str) -> str:
    return " ".join(re.sub(r"^> ", "", text, flags=re.MULTILINE).split())


def numbers() -> dict[str, int]:
    """What an ordinary run of the tests of trust tries, from the constants of these tests."""
    crashes = sum(len(scenario.points) * len(scenario.on) for scenario in SCENARIOS.values())
    models = (test_run_stores.EXAMPLES, test_checkpointers.EXAMPLES)
    damaged = (test_store.STORES, test_store.LOGS, test_files.CHECKPOINTS, test_files.ARTIFACTS)
    return {
        "seeds of the simulator": SEEDS,
        "crash points": len(POINTS),
        "kills at crash points": crashes,
        "kills at random moments": KILLS * (RUNS + 1),
        "images of a run store after a power loss": STORE,
        "images of files after a power loss": FILES,
        "images of a projection after a power loss": ROWS,
        "failing writes and syncs": PLACES * len(WAYS) * len(KINDS),
        "damaged files": sum(damaged),
        "deadly executors": len(FAULTS) * len(POOLS),
        "starts and stops of workers": 2 * STORMS,
        "sequences of acts against a model": sum(sum(each.values()) for each in models),
        "damages that `stepwell verify` is shown": len(DAMAGES),
        "planted faults": len(faults()),
    }


def in_chaos(what: str, count: int) -> str:
    """How many `make chaos` tries."""
    if what == "kills at crash points":
        return f"each point {TIMES} times"
    found = re.search(r"--scale \$\(or \$\(SCALE\),(\d+)\)", (ROOT / "Makefile").read_text())
    assert found is not None
    return f"{count if what in FIXED else count * int(found[1]):,}"


def test_promises_are_those_of_concepts_word_for_word() -> None:
    promised = {number: in_one_line(text) for number, text in _PROMISE.findall(CONCEPTS)}

    assert list(promised) == [str(number) for number in range(1, 14)]
    assert {number: in_one_line(said) for number, said, _, _ in _SECTION.findall(PAGE)} == promised


def test_every_test_it_names_is_there() -> None:
    named = _TEST.findall(PAGE)

    assert len(named) > 40
    assert [node for node in named if not exists(node)] == []


def test_numbers_are_those_of_the_tests() -> None:
    rows = [
        f"| {what} | {count:,} | {in_chaos(what, count)} |" for what, count in numbers().items()
    ]

    table = re.findall(r"^\| [^|]+ \| [\d,]+ \| .+ \|$", PAGE, re.MULTILINE)

    assert table == rows, "\n".join(rows)
