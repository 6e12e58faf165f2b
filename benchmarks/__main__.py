"""`make bench`: runs the workloads, prints a table, and writes it as JSON."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sqlite3
import sys
import tempfile
from pathlib import Path

from benchmarks.workloads import Measure, chain, fan_out, flatness, latency, start_up
from stepwell import __version__


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--folder", type=Path, help="where the stores lie; a disk, not a tmpfs")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as name:
        measures = measure(Path(name), options.repeats)
    print(machine())
    for row in table(measures):
        print(row)
    if options.json:
        rows = [{**dataclasses.asdict(item), "met": item.met} for item in measures]
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")
    return 0 if all(item.met for item in measures) else 1


def measure(folder: Path, repeats: int) -> list[Measure]:
    script = str(Path(sys.executable).with_name("stepwell"))
    return [
        fan_out(folder, 10_000, repeats, goal=10_000),
        chain(folder, 1_000, repeats, goal=1_500),
        latency(folder, 300),
        flatness(folder, repeats),
        start_up([sys.executable, "-c", "import stepwell"], "import stepwell", 0.25, repeats * 2),
        start_up([script, "--help"], "stepwell --help", 0.3, repeats * 2),
    ]


def machine() -> str:
    return (
        f"stepwell {__version__}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, {platform.machine()}"
    )


def table(measures: list[Measure]) -> list[str]:
    rows = [("workload", "measured", "goal", "raw limit", "of raw", "besides")]
    for item in measures:
        digits = ",.0f" if item.value >= 100 else ".3g"
        notes = ", ".join(f"{name} {value:,.4g}" for name, value in item.notes.items())
        rows.append(
            (
                item.name,
                f"{item.value:{digits}} {item.unit}",
                f"{'≥' if item.best == 'more' else '≤'} {item.goal:,g}"
                f"{'' if item.met else ' MISSED'}",
                f"{item.raw:,.0f}" if item.raw else "",
                f"{item.value / item.raw:.2f}" if item.raw else "",
                notes,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


if __name__ == "__main__":
    sys.exit(main())
