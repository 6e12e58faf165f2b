"""What a step costs in transactions and statements, by shape: `python -m benchmarks.counts`.

Each figure is a slope, the difference between a larger and a smaller run over the steps between
them, so that what a worker does once does not count.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.counting import Counts, listening
from benchmarks.package import DIAMOND, bench
from benchmarks.place import fresh_store
from benchmarks.postgres.server import server
from stepwell import Runtime, Settings, connect

# No renewal comes between.
SETTINGS = Settings(lease=3_600)
CHUNK = 500
# For each shape a small and a large run.
SIZES = {
    "chain": (20, 60),
    "fan": (500, 2_500),
    "loose": (500, 2_500),
    "emission": (1, 5),
    "diamonds": (40, 140),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """What each further step costs."""

    transactions: float
    statements: float
    reads: float

    def within(self, most: Rate) -> bool:
        """Whether it is no more than that in any way."""
        return (
            self.transactions <= most.transactions
            and self.statements <= most.statements
            and self.reads <= most.reads
        )


# Steps, and what their start and their work did to the database.
Counted = tuple[int, Counts, Counts]


def start(runtime: Runtime, shape: str, size: int) -> int:
    """Start what is counted; returns its number of steps."""
    if shape == "diamonds":
        for _ in range(size):
            runtime.start_run("bench", entrypoint="diamond")
        return size * DIAMOND
    given = {"chunks": size, "size": CHUNK} if shape == "emission" else size
    runtime.start_run("bench", given, entrypoint=shape)
    return size * (CHUNK + 1) if shape == "emission" else size


def count(url: str, home: Path, shape: str, size: int) -> Counted:
    """Start runs on a store and work them off, counting."""
    with listening() as heard, connect(url, home=home, packages=[bench], settings=SETTINGS) as on:
        begun = heard.counts()
        steps = start(on, shape, size)
        started = heard.counts()
        on.drain()
        return steps, started - begun, heard.counts() - started


def rates(url: str, home: Path, shape: str) -> tuple[Rate, Rate]:
    """What a step costs at the start of its run, and at work."""
    few, many = (count(url, home, shape, size) for size in SIZES[shape])
    return _slope(few, many, lambda counted: counted[1]), _slope(few, many, lambda it: it[2])


def _slope(few: Counted, many: Counted, part: Callable[[Counted], Counts]) -> Rate:
    steps, counts = many[0] - few[0], part(many) - part(few)
    return Rate(counts.transactions / steps, counts.statements / steps, counts.reads / steps)


def main() -> None:
    print("of each step              transactions  statements  reads beside them")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-"))
        places = {"SQLite": folder, "PostgreSQL": stack.enter_context(server())}
        for database, place in places.items():
            for shape in SIZES:
                with fresh_store(place) as (url, home):
                    for when, rate in zip(("start", "work"), rates(url, home, shape), strict=True):
                        print(
                            f"{database:11}{shape:9}{when:6}{rate.transactions:12.4f}"
                            f"{rate.statements:12.3f}{rate.reads:12.4f}"
                        )


if __name__ == "__main__":
    main()
