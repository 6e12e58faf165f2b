"""Other engines on the same server, each by its own program in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.postgres.raw import Limits
from benchmarks.postgres.server import database, durability, settle_down
from benchmarks.postgres.workloads import percentiles
from benchmarks.report import ROOT, Measure

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PATIENCE = 900


@dataclass(frozen=True, slots=True)
class Peer:
    """How an engine is called, its distribution, and the program that measures it."""

    name: str
    distribution: str
    program: str


PEERS = (
    Peer("DBOS", "dbos", "on_dbos.py"),
    Peer("PgQueuer", "pgqueuer", "on_pgqueuer.py"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a peer, and a line that says what was measured or why nothing was."""

    measures: list[Measure]
    about: str


def measure_peer(
    peer: Peer,
    server: str,
    repeats: int,
    scale: float,
    limits: Limits,
    python: Path = PYTHON,
) -> Found:
    """The figures of a peer on an empty database of the server."""
    version = _version(peer, python)
    if version is None:
        return Found([], f"{peer.name}: skipped, not installed; run: make bench-peers")
    title = f"{peer.name} {version}"
    with database(server) as url:
        settle_down(url)
        program = ROOT / "benchmarks" / "peers" / peer.program
        try:
            ran = subprocess.run(
                [python, program, url, str(repeats), str(scale)],
                stdout=subprocess.PIPE,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Found([], f"{title}: skipped, did not end within {PATIENCE} s")
        if ran.returncode:
            return Found([], f"{title}: skipped, it failed; its error is above")
        promise = durability(url)
    rows = json.loads(ran.stdout.splitlines()[-1])
    return Found([_measure(peer.name, row, limits) for row in rows], f"{title}: {promise}")


def _measure(name: str, row: dict[str, object], limits: Limits) -> Measure:
    title = f"{name}: {row['name']}"
    samples = row.get("samples")
    if isinstance(samples, list):
        return percentiles(title, samples)
    raw = limits.grouped if row["grouped"] else limits.alone
    return Measure(title, float(str(row["value"])), str(row["unit"]), raw=raw)


def _version(peer: Peer, python: Path) -> str | None:
    if not python.exists():
        return None
    asked = subprocess.run(
        [
            python,
            "-c",
            f"from importlib.metadata import version; print(version({peer.distribution!r}))",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or None
