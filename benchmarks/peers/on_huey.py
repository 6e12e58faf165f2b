"""Huey on SQLite with its consumer in a process of its own: a pipeline, and a group of tasks."""
# pyright: reportMissingImports=false, reportFunctionMemberAccess=false

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.peers import timing

CONSUMER = "benchmarks.peers.huey_tasks.huey"
PATIENCE = 300


def main(folder: str, repeats: int, scale: float) -> None:
    os.environ["STEPWELL_BENCH_HUEY"] = str(Path(folder, "huey.db"))
    from benchmarks.peers.huey_tasks import huey, noop  # noqa: PLC0415  # the file is known now

    def pipeline(count: int) -> None:
        """Tasks that each get the value of the one before."""
        first = last = noop.s(1)
        for _ in range(count - 1):  # as `first.then`, which walks to the last each time
            last.then(noop)
            last = last.on_complete
        results = list(huey.enqueue(first))
        results[-1].get(blocking=True, timeout=PATIENCE)

    def group(count: int) -> None:
        noop.map(range(count)).get(blocking=True, timeout=PATIENCE)

    length, width = timing.size(200, scale), timing.size(1_000, scale)
    command = [sys.executable, "-m", "huey.bin.huey_consumer", CONSUMER, "-w", "4", "-q"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as consumer:
        try:
            pipeline(2)
            rows = [
                timing.rate(f"pipeline of {length:,}", length, repeats, lambda: pipeline(length)),
                timing.rate(f"group of {width:,}", width, repeats, lambda: group(width)),
            ]
        finally:
            consumer.terminate()
    timing.report(rows, timing.pragmas(huey.storage.conn))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
