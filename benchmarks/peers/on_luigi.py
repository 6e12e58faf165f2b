"""Luigi with its local scheduler: tasks whose targets are files, as its docs have them."""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import sys
import tempfile
from functools import partial
from typing import Any

import luigi

from benchmarks.peers import timing


class Noop(luigi.Task):  # type: ignore[misc]  # without types
    folder = luigi.Parameter()
    name = luigi.Parameter()

    def output(self) -> Any:
        return luigi.LocalTarget(f"{self.folder}/{self.name}")

    def run(self) -> None:
        with self.output().open("w") as file:
            file.write("1")


class Link(Noop):
    number = luigi.IntParameter()

    def requires(self) -> Any:
        if self.number:
            below = self.number - 1
            return Link(folder=self.folder, name=f"link-{below}", number=below)
        return []


class Join(Noop):
    count = luigi.IntParameter()

    def requires(self) -> Any:
        return [Leaf(folder=self.folder, name=f"leaf-{n}") for n in range(self.count)]


class Leaf(Noop):
    def requires(self) -> Any:
        return Noop(folder=self.folder, name="root")


def build(task: luigi.Task) -> None:
    if not luigi.build([task], local_scheduler=True, workers=1, log_level="ERROR"):
        raise SystemExit("luigi's tasks did not succeed")


def main(folder: str, repeats: int, scale: float) -> None:
    sizes = [timing.size(count, scale) for count in (100, 1_000)]

    def chain(count: int) -> None:
        home = tempfile.mkdtemp(dir=folder)
        build(Link(folder=home, name=f"link-{count - 1}", number=count - 1))

    def fan(count: int) -> None:
        build(Join(folder=tempfile.mkdtemp(dir=folder), name="join", count=count))

    rows = [
        *(timing.rate(f"chain of {n:,}", n, repeats, partial(chain, n)) for n in sizes),
        *(timing.rate(f"fan-out/fan-in of {n:,}", n + 2, repeats, partial(fan, n)) for n in sizes),
    ]
    timing.report(rows, "files that are moved into place, without fsync; no state of the run")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
