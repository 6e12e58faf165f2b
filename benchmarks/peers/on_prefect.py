"""Prefect with the server that it starts for itself, on SQLite: tasks in a row, and a map.

Results are persisted, so that a flow could go on where it stopped.
"""
# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportFunctionMemberAccess=false

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.peers import timing

SETTINGS = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "DO_NOT_TRACK": "1",
}


def main(folder: str, repeats: int, scale: float) -> None:
    # Read when it is imported.
    os.environ.update(SETTINGS, PREFECT_HOME=folder)
    from prefect import flow, task  # noqa: PLC0415

    @task
    def noop(number: int) -> int:
        return number

    @flow
    def chain(count: int) -> int:
        value = 0
        for _ in range(count):
            value = noop(value)
        return value

    @flow
    def fan(count: int) -> int:
        return sum(noop.map(range(count)).result())

    chain(2)  # the server is up
    length, width = timing.size(100, scale), timing.size(200, scale)
    rows = [
        timing.rate(f"chain of {length:,}", length, repeats, lambda: chain(length)),
        timing.rate(f"map of {width:,}", width, repeats, lambda: fan(width)),
    ]
    told = timing.fresh_pragmas(Path(folder, "prefect.db"))
    timing.report(rows, f"{told} or less; states are recorded after the fact, results in files")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
