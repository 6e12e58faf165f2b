"""Executors that try to take their worker with them: the worker lives, or the next one goes on.

Each trial is a run of its own, worked off by workers that are processes. A deadly step is tried
twice, its neighbours in the same pool succeed, and so does what comes after.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from stepwell import EventType, RunStatus, Runtime
from tests.trust.deadly.faults import FAULTS, MEGABYTE, NEIGHBOURS, POOLS
from tests.trust.deadly.program import opened

ROOT = Path(__file__).parents[3]
PATIENCE = 100
SUCCEEDS = ""


@dataclass(frozen=True)
class Trial:
    """A pool, its deadly steps, and the code that each fails with.

    `takes` so many workers down, each time all in it; `limit` bounds the memory of a worker.
    """

    pool: str
    codes: Mapping[str, str]
    takes: int = 0
    timeout: float | None = None
    limit: int = 0

    @property
    def lease(self) -> float:
        """Short where leases have to lapse, and too long for it elsewhere."""
        return 0.5 if self.takes else 60


# These end the attempt, or nothing at all, wherever they run.
HARMLESS = {
    "sys.exit": "SystemExit",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "SystemExit in a thread": SUCCEEDS,
    "SystemExit out of an executor": "SystemExit",
    "GeneratorExit": "GeneratorExit",
    "RecursionError": "RecursionError",
    "MemoryError": "MemoryError",
    "str raises": "Unspeakable",
    "str recurses": "Endless",
    "a chain of causes": "ValueError",
    "fork": SUCCEEDS,
    "fork that raises": SUCCEEDS,
    "huge output": SUCCEEDS,
    "a huge result": "invalid_payload",
    "a huge exception": "ValueError",
}
# These do not end; their timeout ends the attempt, once and again.
ENDLESS = {"never returning": "timeout", "a C call that ignores signals": "timeout"}
# These end the process they run in, or keep all of it from going on. In a pool of the worker's own
# process they take the worker with them, twice; then they are given up.
DEADLY = ("segfault", "os._exit", "closing all descriptors", "a C call that keeps the interpreter")
FATAL = ("segfault", "os._exit", "closing all descriptors", "abort", "SIGKILL to itself")

TRIALS: dict[str, Trial] = {
    **{f"harmless-{pool}": Trial(pool, HARMLESS) for pool in POOLS},
    **{f"endless-{pool}": Trial(pool, ENDLESS, timeout=0.3) for pool in POOLS},
    **{
        f"{fault}-{pool}": Trial(pool, {fault: "lease_lost"}, takes=2)
        for fault in DEADLY
        for pool in ("thread", "asyncio")
    },
    "fatal-process": Trial("process", dict.fromkeys(FATAL, "process_died")),
    "interpreter-process": Trial(
        "process", {"a C call that keeps the interpreter": "timeout"}, timeout=0.3
    ),
    **{
        f"memory-{pool}": Trial(pool, {"out of memory": "MemoryError"}, limit=384 * MEGABYTE)
        for pool in ("thread", "asyncio")
    },
    "memory-process": Trial("process", {"out of memory": "MemoryError"}),
    **{f"threads-{pool}": Trial(pool, {"many threads": SUCCEEDS}) for pool in POOLS},
}


class Fleet:
    """Workers of one store, one after the other: the next begins when one is down or hangs."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = (home / "log").open("wb")
        self._freed = False
        self.workers: list[subprocess.Popen[bytes]] = []

    def begin(self, run_id: str, trial: Trial) -> subprocess.Popen[bytes]:
        words = [str(self._home), run_id, str(trial.lease), str(trial.limit)]
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.trust.deadly.program", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self.workers.append(worker)
        return worker

    def work_off(self, run_id: str, trial: Trial) -> None:
        """Begin one worker after the other, until one comes to the end."""
        while True:
            worker = self.begin(run_id, trial)
            assert worker.stdout is not None
            for line in worker.stdout:
                if trial.takes and line == b"deadly\n":
                    break
            else:
                if worker.wait(PATIENCE) == 0:
                    return
                if self._frees_the_store():
                    continue
            assert len(self.workers) <= trial.takes, "it takes down more workers than it may"

    def _frees_the_store(self) -> bool:
        """Do as an operator does, once, if the last worker could not write at all.

        One that hangs with the interpreter's lock may hang in the middle of a write: it keeps
        SQLite's lock until it is killed.
        """
        locked = b"another process kept it locked" in (self._home / "log").read_bytes()
        if self._freed or not locked:
            return False
        self._freed = True
        _end(self.workers.pop())
        for hanging in self.workers:
            hanging.kill()
        return True

    def close(self) -> None:
        for worker in self.workers:
            _end(worker)
        self._log.close()


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    if worker.stdout is not None:
        worker.stdout.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with opened(tmp_path) as runtime:
        yield runtime


def test_every_fault_is_tried_in_every_pool() -> None:
    tried = {(fault, trial.pool) for trial in TRIALS.values() for fault in trial.codes}
    # What a process dies of by itself is the same for the worker as `os._exit`.
    same = {(fault, pool) for fault in ("abort", "SIGKILL to itself") for pool in POOLS}

    assert tried | same == {(fault, pool) for fault in FAULTS for pool in POOLS}


@pytest.mark.parametrize("name", TRIALS)
def test_the_rest_goes_on(
    runtime: Runtime, fleet: Fleet, tmp_path: Path, name: str, scale: float
) -> None:
    # given
    trial = TRIALS[name]
    threads = 10_000 if trial.pool == "thread" else min(10_000, int(500 * scale))
    order = {"pool": trial.pool, "faults": list(trial.codes), "timeout": trial.timeout}
    run = runtime.start_run("deadly", order, metadata={"threads": threads})

    # when
    fleet.work_off(run.id, trial)

    # then: each attempt was counted, and ended in its own way
    victims = [runtime.step(run.id, fault) for fault in trial.codes]
    ends = {v.id: (v.error.code if v.error is not None else SUCCEEDS) for v in victims}
    assert ends == trial.codes
    attempts = {victim.id: victim.attempt for victim in victims}
    assert attempts == {f: 1 if code == SUCCEEDS else 2 for f, code in trial.codes.items()}

    # then: the run ended, and its other steps succeeded, once each
    assert runtime.run(run.id).status is RunStatus.SUCCEEDED
    events = runtime.events(run.id)
    done = Counter(e.step_id for e in events if e.type is EventType.STEP_SUCCEEDED)
    quiet = ["after", "last", *(f"beside:{number}" for number in range(NEIGHBOURS))]
    assert done == Counter([*quiet, *(f for f, code in ends.items() if code == SUCCEEDS)])

    # then: no more workers went down than had to, and the store is whole
    assert len(fleet.workers) == trial.takes + 1
    with closing(sqlite3.connect(tmp_path / "engine.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
