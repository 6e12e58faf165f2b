"""Other engines on the same server, each by its own program in an environment of its own."""

from __future__ import annotations

from pathlib import Path

from benchmarks.engines import PYTHON, Found, Peer, run
from benchmarks.postgres.raw import Limits
from benchmarks.postgres.server import database, durability, settle_down
from benchmarks.postgres.workloads import percentiles
from benchmarks.report import Measure

PEERS = (
    Peer("DBOS", "dbos", "on_dbos"),
    Peer("PgQueuer", "pgqueuer", "on_pgqueuer"),
)


def measure_peer(
    peer: Peer,
    server: str,
    repeats: int,
    scale: float,
    limits: Limits,
    python: Path = PYTHON,
) -> Found:
    """The figures of a peer on an empty database of the server."""
    with database(server) as url:
        settle_down(url)
        title, rows = run(peer, [url, str(repeats), str(scale)], python)
        if rows is None:
            return Found([], title)
        promise = durability(url)
    return Found([_measure(peer.name, row, limits) for row in rows], f"{title}: {promise}")


def _measure(name: str, row: dict[str, object], limits: Limits) -> Measure:
    title = f"{name}: {row['name']}"
    samples = row.get("samples")
    if isinstance(samples, list):
        return percentiles(title, samples)
    raw = limits.grouped if row["grouped"] else limits.alone
    return Measure(title, float(str(row["value"])), str(row["unit"]), raw=raw)
