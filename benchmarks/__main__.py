"""`make bench`: runs the workloads, prints a table, and writes it as JSON."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from pathlib import Path

from benchmarks.durable import dbos_operations, operations, sleepers
from benchmarks.report import Measure, machine, table, write_json
from benchmarks.workloads import chain, fan_out, flatness, latency, start_up


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each; the median counts")
    parser.add_argument("--folder", type=Path, help="where the stores lie; a disk, not a tmpfs")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder or Path.cwd()) as name:
        measures = measure(Path(name), options.repeats)
        peers, told = dbos_operations(Path(name), 1_000, min(3, options.repeats))
    about = [machine(f"SQLite {sqlite3.sqlite_version}"), told]
    measures += peers
    print("\n".join(about))
    for row in table(measures):
        print(row)
    if options.json:
        write_json(options.json, about, measures)
    return 0 if all(item.met for item in measures) else 1


def measure(folder: Path, repeats: int) -> list[Measure]:
    script = str(Path(sys.executable).with_name("stepwell"))
    return [
        fan_out(folder, 10_000, repeats, goal=10_000),
        chain(folder, 1_000, repeats, goal=1_500),
        latency(folder, 300),
        flatness(folder, repeats),
        operations(folder, 2_000, repeats, goal=1_500),
        sleepers(folder, 10_000, repeats, goal=5_000),
        start_up([sys.executable, "-c", "import stepwell"], "import stepwell", 0.25, repeats * 2),
        start_up([script, "--help"], "stepwell --help", 0.3, repeats * 2),
    ]


if __name__ == "__main__":
    sys.exit(main())
