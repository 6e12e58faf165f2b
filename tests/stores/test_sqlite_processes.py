"""Several processes use one file of SQLite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stepwell.engine.clock import SystemClock
from stepwell.engine.model import Queue, RunFilter
from stepwell.stores.sql.connection.sqlite import SqliteDialect
from stepwell.stores.sql.store import SqlRunStore
from stepwell.testing.builders import new_run, new_step
from tests.stores.sqlite_files import open_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.db"


OPENER = """
import sys
from stepwell.engine.clock import SystemClock
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import new_run, new_step

folder, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for number in range(6):
    store = open_run_store(f"sqlite:///{folder}/{number}.db", clock=SystemClock())
    store.create_run(new_run(name, new_step("a")))
    store.close()
"""


WORKER = """
import sys
from pathlib import Path
from stepwell.engine.clock import SystemClock
from stepwell.stores.opening import open_run_store
from stepwell.testing.builders import claim_request, completed

path, name = sys.argv[1:]
store = open_run_store(f"sqlite:///{path}", clock=SystemClock())
print("ready", flush=True)
sys.stdin.readline()
outcomes, done = [], []
while True:
    exchange = store.exchange(outcomes, claim_request(3, worker=name))
    assert not exchange.lost and not exchange.refused
    if not exchange.claimed:
        break
    done += [step.id for step in exchange.claimed]
    outcomes = [completed(step, name) for step in exchange.claimed]
store.close()
print(" ".join(done))
"""


def run_at_once(script: str, *arguments: tuple[str, ...]) -> list[str]:
    """What each process printed; they go on together once all are ready."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for given in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        printed.append(out)
    return printed


class TestProcesses:
    def test_five_processes_open_a_new_file_at_the_same_moment(self, tmp_path: Path) -> None:
        names = [f"p{number}" for number in range(5)]

        run_at_once(OPENER, *((str(tmp_path), name) for name in names))

        for number in range(6):
            store = open_file(tmp_path / f"{number}.db")
            assert sorted(run.id for run in store.runs(RunFilter())) == names
            store.close()

    def test_two_processes_work_on_one_file(self, path: Path) -> None:
        store = SqlRunStore.open(SqliteDialect(path, clock=SystemClock()))
        store.define_queues([Queue("default")])
        steps = [f"s{number}" for number in range(120)]
        store.create_run(new_run("r", *(new_step(step) for step in steps)))

        printed = run_at_once(WORKER, (str(path), "w1"), (str(path), "w2"))

        done = [name for out in printed for name in out.split()]
        assert sorted(done) == sorted(steps)
        assert store.run("r").status == "succeeded"
        store.close()
