"""Durable operations one after another, and sleepers that fall due together."""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.report import ROOT, Measure
from benchmarks.workloads import fresh_runtime

# Long enough for all to be asleep by then.
ASLEEP = timedelta(seconds=6)
PEERS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"


def operations(folder: Path, count: int, repeats: int, goal: float) -> Measure:
    """Durable operations of one step, one after another; the raw limit is one fsynced insert."""
    values = []
    for _ in range(repeats):
        with fresh_runtime(folder) as runtime:
            run = runtime.start_run("bench", count, entrypoint="operations")
            runtime.drain(run.id)
            seconds = runtime.result(run.id, "operations").value
        values.append(count / seconds)
    raw = statistics.median(raw_inserts(folder, count, number) for number in range(repeats))
    name = f"{count:,} durable operations of one step"
    return Measure(name, statistics.median(values), "operations/s", goal, raw=raw)


def raw_inserts(folder: Path, count: int, number: int) -> float:
    """Inserts per second by plain `sqlite3`, each in an fsynced transaction of its own."""
    connection = sqlite3.connect(folder / f"inserts-{number}.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE operations (id INTEGER PRIMARY KEY, name TEXT, value TEXT)")
    begun = time.perf_counter()
    for key in range(count):
        connection.execute("INSERT INTO operations VALUES (?, 'work', '1')", (key,))
    seconds = time.perf_counter() - begun
    connection.close()
    return count / seconds


def sleepers(folder: Path, count: int, repeats: int, goal: float) -> Measure:
    """From the moment all are due to the end of their run: woken, claimed, executed, settled."""
    values = []
    for _ in range(repeats):
        with fresh_runtime(folder) as runtime:
            due = datetime.now(UTC) + ASLEEP
            given = {"count": count, "until": due.isoformat()}
            run = runtime.start_run("bench", given, entrypoint="sleepers")
            runtime.drain(run.id)
            ended = runtime.run(run.id).ended_at
            if ended is None or min(runtime.steps(run.id, limit=1)[0].ended_at or due, ended) < due:
                raise RuntimeError("the sleepers were not asleep in time")
        values.append(count / (ended - due).total_seconds())
    return Measure(f"waking {count:,} due sleepers", statistics.median(values), "steps/s", goal)


def dbos_operations(folder: Path, count: int, repeats: int) -> tuple[list[Measure], str]:
    """DBOS's steps on SQLite, where it is installed, and a line that says what was measured."""
    if not PEERS_PYTHON.exists():
        return [], "DBOS: skipped, not installed; run: make bench-peers"
    program = ROOT / "benchmarks" / "peers" / "on_dbos_sqlite.py"
    with tempfile.TemporaryDirectory(dir=folder) as home:
        command = [
            str(PEERS_PYTHON),
            str(program),
            f"sqlite:///{home}/dbos.db",
            str(count),
            str(repeats),
        ]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        return [], "DBOS: skipped, it failed; its error is above"
    told = json.loads(ran.stdout.splitlines()[-1])
    row = Measure(f"DBOS: workflow of {count:,} steps", told["value"], "operations/s")
    return [row], f"DBOS {told['version']} on SQLite: {told['durability']}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        for measure in (
            operations(Path(name), 2_000, 3, 1_500),
            sleepers(Path(name), 10_000, 3, 5_000),
        ):
            sys.stdout.write(f"{measure}\n")
