"""PgQueuer: jobs enqueued in one call and worked off in batches of 100. They have no results.

`python -m benchmarks.peers.on_pgqueuer URL REPEATS SCALE` prints its figures as one line of JSON.
Where two processes work, the second one is this program again, told to begin at the same moment.
"""
# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

BATCH = 100


async def connected(url: str) -> tuple[PgQueuer, Queries]:
    queue = PgQueuer.from_asyncpg_connection(await asyncpg.connect(url))

    @queue.entrypoint("noop")
    async def noop(job: Job) -> None:
        assert job.payload

    return queue, Queries(queue.connection)


async def drained(url: str, jobs: int, other: subprocess.Popen[bytes] | None) -> float:
    """Seconds from the enqueueing of the jobs until the queue is empty."""
    queue, queries = await connected(url)
    begun = time.perf_counter()
    await queries.enqueue(["noop"] * jobs, [b"1"] * jobs, [0] * jobs)
    if other:
        assert other.stdin
        other.stdin.write(b"go\n")
        other.stdin.flush()
    await queue.qm.run(batch_size=BATCH, mode=QueueExecutionMode.drain)
    if other:
        assert other.stdout
        await asyncio.to_thread(other.stdout.readline)
    return time.perf_counter() - begun


async def work(url: str) -> None:
    queue, _ = await connected(url)
    print("ready", flush=True)
    sys.stdin.readline()
    await queue.qm.run(batch_size=BATCH, mode=QueueExecutionMode.drain)
    print("done", flush=True)


async def prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    await Queries.from_asyncpg_connection(connection).install()
    await connection.close()


def sample(url: str, jobs: int, processes: int) -> float:
    """Jobs per second."""
    if processes == 1:
        return jobs / float(uvloop.run(drained(url, jobs, None)))
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.on_pgqueuer", url, "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        other.stdout.readline()  # it is up
        return jobs / float(uvloop.run(drained(url, jobs, other)))


def main(url: str, repeats: int, scale: float) -> None:
    jobs = max(BATCH, int(scale * 10_000))
    uvloop.run(prepare(url))
    sample(url, BATCH, 1)
    rows = []
    for processes in (1, 2):
        rates = [sample(url, jobs, processes) for _ in range(repeats)]
        workers = f"{processes} worker{'s' if processes > 1 else ''}"
        name = f"{jobs:,} jobs in batches of {BATCH}, {workers}"
        value = statistics.median(rates)
        rows.append({"name": name, "value": value, "unit": "jobs/s", "grouped": True})
    print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    if sys.argv[2] == "worker":
        uvloop.run(work(sys.argv[1]))
    else:
        main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
