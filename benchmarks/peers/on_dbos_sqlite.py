"""DBOS on SQLite: one workflow of many steps, with its defaults.

`python on_dbos_sqlite.py URL COUNT REPEATS` prints its figure as one line of JSON.
"""
# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import time
from importlib.metadata import version

from dbos import DBOS, DBOSConfig


@DBOS.step()
def noop(number: int) -> int:
    return number


@DBOS.workflow()
def steps(count: int) -> int:
    return sum(noop(number) for number in range(count))


def main(url: str, count: int, repeats: int) -> None:
    config: DBOSConfig = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
    DBOS(config=config)
    DBOS.launch()
    steps(5)
    rates = []
    for _ in range(repeats):
        begun = time.perf_counter()
        steps(count)
        rates.append(count / (time.perf_counter() - begun))
    DBOS.destroy()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    told = {
        "version": version("dbos"),
        "value": statistics.median(rates),
        "durability": f"journal_mode={mode}, synchronous as SQLite's default",
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
