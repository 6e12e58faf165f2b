"""The rows of the table on SQLite: what each measures, and what it must reach."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import benchmarks.census as census
from benchmarks.fresh import median, sample
from benchmarks.report import Measure

CLIENTS = 4
CHUNK = 1_000
SLOTS = 8
# Each trace is scaled so that no schedule can be shorter, in seconds.
SPAN = 3.0
CORES = 2
LARGEST_LOG = 64.0
# What an empty program takes where start-up must take no more than its goals, in seconds.
EMPTY = 0.02


@dataclass(frozen=True)
class Conditions:
    """How it is measured. `scale` shrinks every count for a quick look; then no goal counts."""

    place: str
    repeats: int = 5
    scale: float = 1.0
    traces: Path | None = None

    def size(self, full: int) -> int:
        """A count, or its share in a quick look."""
        return max(5, int(full * self.scale))

    def goal(self, figure: float) -> float | None:
        """What counts only at full size."""
        return figure if self.scale == 1 else None

    def each(self) -> range:
        return range(self.repeats)


@dataclass(frozen=True, slots=True)
class Row:
    """One or more rows of the table, measured together. `long` ones are left out unless asked."""

    name: str
    measure: Callable[[Conditions], list[Measure]]
    long: bool = False


def graph(shape: str, title: str, count: int, goal: float, raw_goal: float, batch: int) -> Row:
    """A run from `start_run` to its end; the raw limit writes groups of `batch` steps."""

    def measure(conditions: Conditions) -> list[Measure]:
        size = conditions.size(count)
        whole, work, raw, alone = [], [], [], []
        for _ in conditions.each():
            found = sample("graph", place=conditions.place, shape=shape, count=size)
            whole.append(found["steps"] / (found["start"] + found["work"]))
            work.append(found["steps"] / found["work"])
            limit = sample("raw", place=conditions.place, steps=size, batch=batch)
            raw.append(size / limit["work"])
            floor = sample("replay", place=conditions.place, shape=shape, count=size)
            alone.append(size / floor["work"])
        return [
            Measure(
                f"{title} of {size:,}",
                statistics.median(whole),
                "steps/s",
                conditions.goal(goal),
                raw=statistics.median(raw),
                raw_goal=conditions.goal(raw_goal),
                notes={
                    "work only": statistics.median(work),
                    "its statements alone": statistics.median(alone),
                },
            )
        ]

    return Row(f"{title} of {count:,}", measure)


def diamonds(conditions: Conditions) -> list[Measure]:
    size = conditions.size(5_000)
    shape = {"place": conditions.place, "count": size, "clients": CLIENTS}
    beside, within, apart, alone = [], [], [], []
    for _ in conditions.each():
        beside.append(sample("diamonds", workers=1, **shape))
        within.append(sample("diamonds", workers=0, **shape))
        apart.append(sample("diamonds apart", **shape))
        alone.append(within[-1]["steps"] / sample("replay_diamonds", **shape)["work"])
    steps = apart[0]["steps"]
    notes = {
        "starts alone": steps / median(apart, "submitted"),
        "work alone": steps / median(apart, "work"),
        "lock never free": steps / median(apart, "held"),
        "its statements alone": statistics.median(alone),
    }
    return [
        Measure(
            f"{size:,} runs of 5 steps, {CLIENTS} clients, {where}",
            statistics.median(each["steps"] / each["work"] for each in samples),
            "steps/s",
            conditions.goal(12_000),
            notes=notes,
        )
        for where, samples in (("worker beside", beside), ("same process", within))
    ]


def million(conditions: Conditions) -> list[Measure]:
    """The rate of a large run against that of a small one of the same shape."""
    chunks = conditions.size(1_000)
    few = max(1, chunks // 100)
    small = [
        sample("emission", place=conditions.place, chunks=few, size=CHUNK)
        for _ in conditions.each()
    ]
    large = sample("emission", place=conditions.place, chunks=chunks, size=CHUNK)
    title = f"{chunks * CHUNK:,} steps, emitted in chunks"
    near = statistics.median(each["steps"] / each["work"] for each in small)
    rate = large["steps"] / large["work"]
    return [
        Measure(
            f"{title}: rate against {few * CHUNK:,}",
            rate / near,
            "ratio",
            conditions.goal(0.8),
            notes={"steps/s": rate, "and": near},
        ),
        Measure(f"{title}: memory", large["rss"], "MB at most", conditions.goal(300), best="less"),
        Measure(
            f"{title}: write-ahead log",
            large["wal"],
            "MiB at most",
            conditions.goal(LARGEST_LOG),
            best="less",
        ),
    ]


def latency(conditions: Conditions, where: str) -> list[Measure]:
    elsewhere = where == "other"
    p50, p99 = (5.0, 20.0) if elsewhere else (1.5, 5.0)
    size = conditions.size(300)
    samples, alone = [], []
    for _ in conditions.each():
        samples.append(sample("latency", place=conditions.place, count=size, elsewhere=elsewhere))
        if not elsewhere:
            alone.append(sample("replay_singles", place=conditions.place, count=size))
    return [
        Measure(
            f"submit to result, {where} process, {name}",
            median(samples, name),
            "ms",
            conditions.goal(goal),
            best="less",
            notes={"its statements alone": median(alone, "each")} if alone and mean else {},
        )
        for name, goal, mean in (("p50", p50, True), ("p99", p99, False))
    ]


def waits(conditions: Conditions) -> list[Measure]:
    size, concurrency, seconds = conditions.size(10_000), conditions.size(500), 0.1
    samples = [
        sample(
            "waits",
            place=conditions.place,
            count=size,
            seconds=seconds,
            concurrency=concurrency,
        )
        for _ in conditions.each()
    ]
    return [
        Measure(
            f"{size:,} asyncio steps of 100 ms, {concurrency} at once",
            statistics.median(each["ideal"] / each["work"] for each in samples),
            "of ideal",
            conditions.goal(0.9),
            notes={"s": median(samples, "work"), "ideal": median(samples, "ideal")},
        )
    ]


def traces(conditions: Conditions) -> list[Measure]:
    """A row for each trace in the folder; the raw limit is a schedule without any overhead."""
    paths = sorted(conditions.traces.glob("*.json")) if conditions.traces else []
    return [_trace(conditions, path) for path in paths]


def _trace(conditions: Conditions, path: Path) -> Measure:
    span = SPAN if conditions.scale == 1 else 0.2
    samples = [
        sample("trace", place=conditions.place, path=str(path.resolve()), slots=SLOTS, span=span)
        for _ in conditions.each()
    ]
    bound = samples[0]["bound"]
    return Measure(
        f"makespan of {path.stem}",
        bound / median(samples, "makespan"),
        "of bound",
        conditions.goal(0.97),
        raw=bound / samples[0]["floor"],
        raw_goal=conditions.goal(0.97),
        notes={"s": median(samples, "makespan")},
    )


def code_census(conditions: Conditions) -> list[Measure]:
    folder = census.standard_library()
    limit = None if conditions.scale == 1 else conditions.size(1_500)
    given = {"folder": folder, "limit": limit}
    one, plain, ours = [], [], []
    for _ in conditions.each():
        one.append(sample("census of one core", **given))
        plain.append(sample("census by map", **given, processes=CORES))
        ours.append(sample("census", **given, place=conditions.place, processes=CORES))
    seconds = median(ours, "work")
    notes = {"files": ours[0]["files"], "s": seconds, "s by map": median(plain, "work")}
    return [
        Measure(
            f"code census on {CORES} processes, against one core",
            median(one, "work") / seconds,
            "times",
            conditions.goal(1.7),
            notes={
                "s on one": median(one, "work"),
                "times by map": median(one, "work") / median(plain, "work"),
            },
        ),
        Measure(
            "code census against multiprocessing's map",
            seconds / median(plain, "work"),
            "of its time",
            conditions.goal(1.15),
            best="less",
            notes=notes,
        ),
    ]


def ready(conditions: Conditions) -> list[Measure]:
    size = conditions.size(100_000)
    samples = [sample("ready", place=conditions.place, count=size) for _ in conditions.each()]
    return [
        Measure(
            f"memory of a worker with {size:,} ready steps",
            median(samples, "worker"),
            "MB at most",
            conditions.goal(90),
            best="less",
        )
    ]


def flatness(conditions: Conditions) -> list[Measure]:
    """How much dearer a step is in a large run than in a small one."""
    sizes = [conditions.size(count) for count in (1_000, 100_000)]
    small, large = (
        [
            sample("graph", place=conditions.place, shape="fan", count=size)
            for _ in conditions.each()
        ]
        for size in sizes
    )
    costs = [
        statistics.median(each["work"] / each["steps"] for each in samples)
        for samples in (small, large)
    ]
    return [
        Measure(
            f"cost of a step at {sizes[1]:,} / at {sizes[0]:,}",
            costs[1] / costs[0],
            "ratio",
            conditions.goal(1.25),
            best="less",
            notes={f"µs at {size:,}": cost * 1e6 for size, cost in zip(sizes, costs, strict=True)},
        )
    ]


def operations(conditions: Conditions) -> list[Measure]:
    size = conditions.size(2_000)
    ours, raw = [], []
    for _ in conditions.each():
        ours.append(sample("operations", place=conditions.place, count=size))
        raw.append(sample("raw operations", place=conditions.place, count=size))
    return [
        Measure(
            f"{size:,} durable operations of one step",
            size / median(ours, "work"),
            "operations/s",
            conditions.goal(1_500),
            raw=size / median(raw, "work"),
        )
    ]


def sleepers(conditions: Conditions) -> list[Measure]:
    size = conditions.size(10_000)
    asleep = 6.0 if conditions.scale == 1 else 1.0
    samples = [
        sample("sleepers", place=conditions.place, count=size, asleep=asleep)
        for _ in conditions.each()
    ]
    rate = size / median(samples, "work")
    return [Measure(f"waking {size:,} due sleepers", rate, "steps/s", conditions.goal(5_000))]


def start_up(conditions: Conditions) -> list[Measure]:
    library = [sys.executable, "-c", "import stepwell"]
    command = [str(Path(sys.executable).with_name("stepwell")), "--help"]
    return [
        _start_up(conditions, "import stepwell", library, 0.25, ["pydantic"]),
        _start_up(conditions, "stepwell --help", command, 0.3, ["pydantic", "click"]),
    ]


def _start_up(
    conditions: Conditions, name: str, command: list[str], goal: float, needs: list[str]
) -> Measure:
    """The raw limit is an empty program; beside it, one that only imports what it `needs`."""
    imports = f"import {', '.join(needs)}"
    programs = {
        name: command,
        "pass": [sys.executable, "-c", "pass"],
        imports: [sys.executable, "-c", imports],
    }
    samples: dict[str, list[float]] = {program: [] for program in programs}
    for _ in range(2 * conditions.repeats):
        for program, words in programs.items():
            begun = time.perf_counter()
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            samples[program].append(time.perf_counter() - begun)
    seconds = {program: statistics.median(each) for program, each in samples.items()}
    return Measure(
        name,
        seconds[name],
        "s",
        conditions.goal(goal),
        best="less",
        raw=seconds["pass"],
        raw_goal=conditions.goal(EMPTY / goal),
        notes={imports: seconds[imports]},
    )


ROWS: Sequence[Row] = (
    graph("chain", "chain", 1_000, 3_000, 0.6, batch=1),
    graph("chain", "chain", 10_000, 3_000, 0.6, batch=1),
    graph("fan", "fan-out/fan-in", 10_000, 25_000, 0.17, batch=128),
    graph("fan", "fan-out/fan-in", 100_000, 25_000, 0.17, batch=128),
    Row("runs of 5 steps", diamonds),
    Row("1,000,000 steps", million, long=True),
    Row("submit to result, same process", lambda conditions: latency(conditions, "same")),
    Row("submit to result, other process", lambda conditions: latency(conditions, "other")),
    Row("asyncio steps", waits),
    Row("makespan", traces),
    Row("code census", code_census),
    Row("memory of ready steps", ready),
    Row("cost of a step", flatness),
    Row("durable operations", operations),
    Row("due sleepers", sleepers),
    Row("start-up", start_up),
)
