"""Plants faults, one by one, and looks whether the tests go red."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.conftest import VARIABLE
from tests.planted.faults import DoesNotApply, Fault
from tests.planted.trees import GREEN, RED, Tree
from tests.postgres.server import own_server

KILLED, SURVIVED, BROKEN = "killed", "survived", "broken"
# So long, in seconds, may the tests that a patch names take, and one of them; and the wider ones.
NAMED, EACH, WIDE = 240, 60, 1_800
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a planted fault; `by` is the test that found it, or why nothing is known."""

    name: str
    what: str
    verdict: str
    by: str
    seconds: float

    @property
    def is_good(self) -> bool:
        return self.verdict == KILLED


def plant(fault: Fault, tree: Tree, workers: int = 0) -> Finding:
    """Run the tests that a fault names in a tree with it, and wider ones if those are green."""
    begun = time.monotonic()

    def found(verdict: str, by: str) -> Finding:
        return Finding(fault.name, fault.what, verdict, by, round(time.monotonic() - begun, 1))

    try:
        with tree.planted(fault):
            named = tree.test(fault.tests, seconds=NAMED, extra=("--timeout", str(EACH)))
            if named[0] == GREEN:
                named = tree.test(fault.wider, seconds=WIDE, workers=workers)
    except DoesNotApply as error:
        return found(BROKEN, str(error))
    code, log = named
    if code == GREEN:
        return found(SURVIVED, "")
    if code != RED:
        return found(BROKEN, f"pytest ended with {code}: {log.strip().splitlines()[-1:]}")
    failed = _FAILED.search(log)
    return found(KILLED, failed[1] if failed else "a test that hung")


def plant_all(chosen: Sequence[Fault], jobs: int, tell: Callable[[Finding], None]) -> list[Finding]:
    """Plant faults in `jobs` trees at a time; first their tests must be green without any."""
    with _places(chosen, jobs) as trees:
        tree = trees.get()
        begun = time.monotonic()
        nodes = list(dict.fromkeys(node for fault in chosen for node in fault.tests))
        code, log = tree.test(nodes, seconds=WIDE, workers=jobs)
        trees.put(tree)
        if code != GREEN:
            failed = _FAILED.search(log)
            why = f"red without any fault: {failed[1] if failed else log[-2_000:]}"
            finding = Finding("control", "no fault at all", BROKEN, why, time.monotonic() - begun)
            tell(finding)
            return [finding]

        def work(fault: Fault) -> Finding:
            tree = trees.get()
            try:
                finding = plant(fault, tree, jobs)
            finally:
                trees.put(tree)
            tell(finding)
            return finding

        with ThreadPoolExecutor(jobs) as threads:
            return list(threads.map(work, chosen))


@contextmanager
def _places(chosen: Sequence[Fault], jobs: int) -> Iterator[SimpleQueue[Tree]]:
    """Trees, and a database server for all of them if one is needed."""
    with ExitStack() as opened:
        folder = opened.enter_context(
            tempfile.TemporaryDirectory(prefix="stepwell-planted-", ignore_cleanup_errors=True)
        )
        if VARIABLE not in os.environ and any(fault.needs_postgres for fault in chosen):
            os.environ[VARIABLE] = opened.enter_context(own_server()).url
            opened.callback(os.environ.pop, VARIABLE)
        trees: SimpleQueue[Tree] = SimpleQueue()
        for number in range(jobs):
            trees.put(Tree(Path(folder) / str(number)))
        yield trees
