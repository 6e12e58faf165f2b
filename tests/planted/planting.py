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
# In the summary of pytest; what a test has logged may begin with the same words.
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$", re.MULTILINE)


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
        finding = _without_any(chosen, trees[0], jobs)
        if finding is not None:
            tell(finding)
            return [finding]
        free: SimpleQueue[Tree] = SimpleQueue()
        for tree in trees:
            free.put(tree)

        def work(fault: Fault) -> Finding:
            tree = free.get()
            try:
                finding = plant(fault, tree, jobs)
            finally:
                free.put(tree)
            tell(finding)
            return finding

        with ThreadPoolExecutor(jobs) as threads:
            try:
                return list(threads.map(work, chosen))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                for tree in trees:
                    tree.stop()
                raise


def _without_any(chosen: Sequence[Fault], tree: Tree, workers: int) -> Finding | None:
    """What is wrong with the tests of these faults in a sound tree."""
    begun = time.monotonic()
    nodes = list(dict.fromkeys(node for fault in chosen for node in fault.tests))
    code, log = tree.test(nodes, seconds=WIDE, workers=workers)
    if code == GREEN:
        return None
    failed = _FAILED.search(log)
    why = f"red without any fault: {failed[1] if failed else log[-2_000:]}"
    return Finding("control", "No fault at all.", BROKEN, why, round(time.monotonic() - begun, 1))


@contextmanager
def _places(chosen: Sequence[Fault], jobs: int) -> Iterator[list[Tree]]:
    """Trees, and a database server for all of them if one is needed."""
    with ExitStack() as opened:
        folder = opened.enter_context(
            tempfile.TemporaryDirectory(prefix="stepwell-planted-", ignore_cleanup_errors=True)
        )
        if VARIABLE not in os.environ and any(fault.needs_postgres for fault in chosen):
            os.environ[VARIABLE] = opened.enter_context(own_server()).url
            opened.callback(os.environ.pop, VARIABLE)
        yield [Tree(Path(folder) / str(number)) for number in range(jobs)]
