"""Other engines, each measured by its own program in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, Measure

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PATIENCE = 900
MOST_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Peer:
    """How an engine is called, its distribution, and the module that measures it."""

    name: str
    distribution: str
    module: str


# What runs on one machine without a service: on SQLite, or on files.
LOCAL = (
    Peer("DBOS", "dbos", "on_dbos_sqlite"),
    Peer("LangGraph", "langgraph", "on_langgraph"),
    Peer("Luigi", "luigi", "on_luigi"),
    Peer("Huey", "huey", "on_huey"),
    Peer("Prefect", "prefect", "on_prefect"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a peer, and a line that says what was measured or why nothing was."""

    measures: list[Measure]
    about: str


def measure(
    peers: Iterable[Peer], place: str, repeats: int, scale: float, told: Callable[[str], None]
) -> Iterator[Found]:
    """What each of these peers reaches, one after the other."""
    for peer in peers:
        told(peer.name)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            yield measure_one(peer, folder, repeats, scale)


def measure_one(
    peer: Peer, folder: str, repeats: int, scale: float, python: Path = PYTHON
) -> Found:
    """The figures of a peer in an empty folder."""
    title, told = run(peer, [folder, str(min(MOST_REPEATS, repeats)), str(scale)], python)
    if told is None:
        return Found([], title)
    rows = [
        Measure(f"{peer.name}: {row['name']}", row["value"], row["unit"]) for row in told["rows"]
    ]
    return Found(rows, f"{title}: {told['durability']}")


def run(peer: Peer, given: list[str], python: Path) -> tuple[str, Any]:
    """The peer with its version, and what its program says; or why it says nothing, and None."""
    version = installed(peer, python)
    if version is None:
        return f"{peer.name}: skipped, not installed; run: make bench-peers", None
    title = f"{peer.name} {version}"
    try:
        ran = subprocess.run(
            [python, "-m", f"benchmarks.peers.{peer.module}", *given],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{title}: skipped, did not end within {PATIENCE} s", None
    if ran.returncode:
        return f"{title}: skipped, it failed; its error is above", None
    return title, json.loads(ran.stdout.splitlines()[-1])


def installed(peer: Peer, python: Path) -> str | None:
    """The version of a peer; None where it is not installed."""
    if not python.exists():
        return None
    code = f"from importlib.metadata import version; print(version({peer.distribution!r}))"
    asked = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None
