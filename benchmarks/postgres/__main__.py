"""`make bench-postgres`: Stepwell, the raw limit and peers on one PostgreSQL, in one run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.postgres.peers import PEERS, measure_peer
from benchmarks.postgres.raw import Limits, measure_limits
from benchmarks.postgres.server import durability, server, version
from benchmarks.postgres.workloads import chain, diamonds, fan_out, latency
from benchmarks.report import PAGE, Measure, keep, machine, table, write_json

RESULTS = Path(".stepwell/bench/postgres.json")


def main() -> int:
    options = _options()
    load = os.getloadavg()[0]
    with server() as url:
        limits = measure_limits(url, options.repeats, options.scale)
        ours = measure_stepwell(
            url, options.repeats, options.scale, limits, goals=options.scale == 1
        )
        found = [
            measure_peer(peer, url, options.repeats, options.scale, limits)
            for peer in (() if options.no_peers else PEERS)
        ]
        about = [
            machine(version(url)),
            f"load average {load:.2f} at the start, {os.getloadavg()[0]:.2f} at the end; "
            f"medians of {options.repeats}",
            f"Stepwell and raw limit: {durability(url)}",
            *(peer.about for peer in found),
        ]
    measures = [*limits.rows, *ours, *(item for peer in found for item in peer.measures)]
    lines = [*about, *table(measures)]
    print("\n".join(lines))
    if options.keep:
        keep(PAGE, "results-postgres", lines)
    write_json(options.json, about, measures)
    print(f"written to {options.json}")
    return 0 if all(item.met for item in measures) else 1


def measure_stepwell(
    url: str, repeats: int, scale: float, limits: Limits, *, goals: bool
) -> list[Measure]:
    """Stepwell's rows. `scale` shrinks every count, for a quick look."""

    def size(full: int) -> int:
        return max(5, int(full * scale))

    def goal(figure: float) -> float | None:
        return figure if goals else None

    return [
        fan_out(url, size(10_000), repeats, limits, goal(8_000)),
        diamonds(url, size(1_000), repeats, limits, goal(5_000)),
        chain(url, size(1_000), repeats, limits, goal(1_000)),
        latency(url, size(200), goal(5), elsewhere=False),
        latency(url, size(200), goal(20), elsewhere=True),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the median counts")
    parser.add_argument("--scale", type=float, default=1.0, help="0.01 for a quick look, no goals")
    parser.add_argument("--no-peers", action="store_true", help="only Stepwell and the raw limit")
    parser.add_argument("--keep", action="store_true", help="also put the table into the README")
    parser.add_argument("--json", type=Path, default=RESULTS, help=f"default {RESULTS}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
