"""DBOS on PostgreSQL: workflows of steps, and a fan-out through a queue, with its defaults.

`python -m benchmarks.peers.on_dbos URL REPEATS SCALE` prints its figures as one line of JSON. A
second process, started by the first, dequeues as well, as DBOS recommends for more machines.
"""
# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS, DBOSConfig

QUEUE = "bench"
CLIENTS = 4


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


def launch(url: str, executor: str) -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "executor_id": executor,
        "application_version": "bench",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(QUEUE)


def main(url: str, repeats: int, scale: float) -> None:
    launch(url, "one")
    second = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.on_dbos", url, "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert second.stdin
    assert second.stdout
    try:
        second.stdout.readline()  # it is up
        print(json.dumps(measure(repeats, scale)), flush=True)
    finally:
        second.stdin.close()
        second.wait()
        DBOS.destroy()


def work(url: str) -> None:
    launch(url, "two")
    print("ready", flush=True)
    sys.stdin.read()
    DBOS.destroy()


def measure(repeats: int, scale: float) -> list[dict[str, object]]:
    length, width, runs = (max(2, int(scale * full)) for full in (1_000, 1_000, 400))
    steps(5)
    DBOS.start_workflow(fan, 5).get_result()
    return [
        row(f"workflow of {length:,} steps", length, repeats, lambda: steps(length), grouped=False),
        row(
            f"queue of {width:,} workflows of a step, 2 processes",
            width,
            repeats,
            lambda: DBOS.start_workflow(fan, width).get_result(),
        ),
        row(
            f"{runs:,} workflows of 5 steps, {CLIENTS} clients",
            runs * 5,
            repeats,
            lambda: many(runs),
        ),
        latency(max(10, int(scale * 200))),
    ]


def row(
    name: str, count: int, repeats: int, run: Callable[[], object], *, grouped: bool = True
) -> dict[str, object]:
    rates = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        rates.append(count / (time.perf_counter() - begun))
    value = statistics.median(rates)
    return {"name": name, "value": value, "unit": "steps/s", "grouped": grouped}


def many(runs: int) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        handles = list(clients.map(lambda _: DBOS.start_workflow(steps, 5), range(runs)))
    for handle in handles:
        handle.get_result()


def latency(count: int) -> dict[str, object]:
    samples = []
    for _ in range(count):
        begun = time.perf_counter()
        steps(1)
        samples.append((time.perf_counter() - begun) * 1e3)
    return {"name": "submit to result, same process", "samples": samples}


if __name__ == "__main__":
    if sys.argv[2] == "worker":
        work(sys.argv[1])
    else:
        main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
