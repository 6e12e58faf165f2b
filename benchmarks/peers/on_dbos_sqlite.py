"""DBOS on SQLite, with its defaults: a workflow of steps, and workflows of a step on a queue."""
# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false

from __future__ import annotations

import sys
import time
from pathlib import Path

from dbos import DBOS, DBOSConfig

from benchmarks.peers import timing

QUEUE = "bench"
LATENCIES = 100


@DBOS.step()
def noop(number: int) -> int:
    return number


@DBOS.workflow()
def steps(count: int) -> int:
    return sum(noop(number) for number in range(count))


@DBOS.workflow()
def fan(count: int) -> int:
    handles = [DBOS.enqueue_workflow(QUEUE, steps, 1) for _ in range(count)]
    return sum(handle.get_result() for handle in handles)


def main(folder: str, repeats: int, scale: float) -> None:
    file = Path(folder, "dbos.db")
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{file}",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(QUEUE)
    length, width = timing.size(1_000, scale), timing.size(500, scale)
    steps(5)
    DBOS.start_workflow(fan, 5).get_result()
    rows = [
        timing.rate(f"workflow of {length:,} steps", length, repeats, lambda: steps(length)),
        timing.rate(
            f"queue of {width:,} workflows of a step",
            width,
            repeats,
            lambda: DBOS.start_workflow(fan, width).get_result(),
        ),
        latency(timing.size(LATENCIES, scale)),
    ]
    DBOS.destroy()
    timing.report(rows, timing.fresh_pragmas(file))


def latency(count: int) -> timing.Row:
    samples = []
    for _ in range(count):
        begun = time.perf_counter()
        steps(1)
        samples.append((time.perf_counter() - begun) * 1e3)
    value = sorted(samples)[count // 2]
    return {"name": "submit to result, same process", "value": value, "unit": "ms p50"}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
