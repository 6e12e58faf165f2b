"""What the programs share: rates as medians, and figures as one line of JSON.

Each is called with an empty folder, how often to repeat, and a share of the usual counts.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Row = dict[str, object]
SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")


def size(full: int, scale: float) -> int:
    """The usual count, or its share."""
    return max(5, int(full * scale))


def rate(name: str, steps: int, repeats: int, run: Callable[[], object]) -> Row:
    """Steps per second of `run`, from its call to its return."""
    rates = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        rates.append(steps / (time.perf_counter() - begun))
    return {"name": name, "value": statistics.median(rates), "unit": "steps/s"}


def report(rows: Sequence[Row], durability: str) -> None:
    print(json.dumps({"rows": list(rows), "durability": durability}), flush=True)


def pragmas(connection: sqlite3.Connection) -> str:
    """What a SQLite connection of the engine promises of a commit."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    level = connection.execute("PRAGMA synchronous").fetchone()[0]
    return f"SQLite, journal_mode={mode}, synchronous={SYNCHRONOUS[level]}"


def fresh_pragmas(file: Path) -> str:
    """The same of a file whose engine is gone and leaves `synchronous` as it is."""
    connection = sqlite3.connect(file)
    try:
        return pragmas(connection)
    finally:
        connection.close()
