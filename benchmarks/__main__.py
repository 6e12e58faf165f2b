"""`make bench`: runs the workloads, prints a table, and writes it as JSON, with growth as SVG."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import benchmarks.engines as engines
import benchmarks.growth as growth
from benchmarks.plot import svg
from benchmarks.postgres.server import server
from benchmarks.report import PAGE, Measure, keep, machine, table, write_json
from benchmarks.rows import ROWS, Conditions

RESULTS = Path(".stepwell/bench/sqlite.json")
PLOT = PAGE.with_name("growth.svg")
TRACES = "STEPWELL_BENCH_TRACES"


def main() -> int:
    options = _options()
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = options.folder or Path.cwd()
        place = stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=".bench-"))
        conditions = Conditions(place, options.repeats, options.scale, options.traces)
        measures = list(_measure(conditions, options))
        given = (place, options.repeats, options.scale, _told)
        found = list(engines.measure(options.peers, *given))
        curves = {} if options.no_growth else _grow(conditions, options, stack)
    about = [
        machine(f"SQLite {sqlite3.sqlite_version}, synchronous=FULL"),
        f"load average {load:.2f} at the start, {os.getloadavg()[0]:.2f} at the end; "
        f"medians of {options.repeats}",
        *(peer.about for peer in found),
    ]
    if options.traces is None:
        about.append(f"makespan: skipped, no traces; name their folder: --traces or {TRACES}")
    measures += [item for peer in found for item in peer.measures]
    lines = [*about, *table(measures), *growth.table(curves)]
    print("\n".join(lines))
    points = {
        name: [dataclasses.asdict(point) for point in points] for name, points in curves.items()
    }
    write_json(options.json, about, measures, growth=points)
    written = [options.json]
    if curves:
        written.append(options.json.with_suffix(".svg"))
        written[-1].write_text(svg(about[0], curves), encoding="utf-8")
    if options.keep:
        keep(PAGE, "results", lines)
        if curves:
            PLOT.write_text(svg(about[0], curves), encoding="utf-8")
        written.append(PAGE)
    print(f"written to {' and '.join(map(str, written))}")
    missed = [item.name for item in measures if not item.met]
    if missed:
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _measure(conditions: Conditions, options: argparse.Namespace) -> Iterator[Measure]:
    for row in options.rows:
        _told(row.name)
        yield from row.measure(conditions)


def _grow(
    conditions: Conditions, options: argparse.Namespace, stack: ExitStack
) -> dict[str, list[growth.Point]]:
    places = {"SQLite": conditions.place, "PostgreSQL": stack.enter_context(server())}
    return growth.growth(
        places, conditions.repeats, conditions.scale, long=options.long, told=_told
    )


def _told(what: str) -> None:
    """Progress, for whoever watches."""
    if sys.stderr.isatty():
        print(f"measuring {what}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    given = os.environ.get(TRACES)
    add = parser.add_argument
    add("--repeats", type=int, default=5, help="runs of each; the median counts")
    add("--scale", type=float, default=1.0, help="0.01 for a quick look, no goals")
    add("--only", metavar="REGEX", help="only rows and peers whose name matches")
    add("--long", action="store_true", help="also what takes minutes: runs of 1,000,000 steps")
    add("--no-peers", action="store_true", help="only Stepwell and the raw limits")
    add("--no-growth", action="store_true", help="only the table")
    add("--folder", type=Path, help="where the stores lie; a disk, not a tmpfs")
    add(
        "--traces",
        type=Path,
        default=Path(given) if given else None,
        help=f"a folder of WfCommons instances (WfFormat 1.5), for makespans; default ${TRACES}",
    )
    add("--keep", action="store_true", help="also put the table and the plot into the README")
    add("--json", type=Path, default=RESULTS, help=f"default {RESULTS}; the plot lies beside it")
    options = parser.parse_args()
    if options.traces and not options.traces.is_dir():
        parser.error(f"--traces: {options.traces} is no folder")
    options.rows = [row for row in ROWS if options.long or not row.long]
    options.peers = () if options.no_peers else engines.LOCAL
    if options.only:
        _choose(parser, options)
    return options


def _choose(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Keep the rows and peers that `--only` names; refuse it if these are none."""
    try:
        named = re.compile(options.only).search
    except re.error as error:
        parser.error(f"--only: {options.only!r} is no regular expression: {error}")
    known = [item.name for item in (*options.rows, *options.peers)]
    options.rows = [row for row in options.rows if named(row.name)]
    options.peers = [peer for peer in options.peers if named(peer.name)]
    options.no_growth = True
    if not options.rows and not options.peers:
        left_out = [row.name for row in ROWS if row.long and named(row.name) and not options.long]
        remedy = f"{left_out[0]!r} needs --long" if left_out else f"there are: {'; '.join(known)}"
        parser.error(f"--only: no row or peer has a name like {options.only!r}; {remedy}")


if __name__ == "__main__":
    sys.exit(main())
