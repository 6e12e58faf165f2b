"""Time per step and memory as runs grow, on SQLite and PostgreSQL."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.fresh import Figures, median, sample

CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Point:
    """A run of so many steps: microseconds for each, start included, and the peak in MB."""

    count: int
    micros: float
    memory: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A shape on a database. `far` are the sizes that take long, and are measured once."""

    shape: str
    near: Sequence[int]
    far: Sequence[int] = ()


CURVES = (
    Curve("fan-out/fan-in", (100, 1_000, 10_000, 100_000)),
    Curve("chain", (100, 1_000, 10_000), (100_000,)),
    Curve("emitted in chunks", (1_000, 10_000, 100_000), (1_000_000,)),
)
ENTRYPOINTS = {"fan-out/fan-in": "fan", "chain": "chain"}


def growth(
    places: Mapping[str, str],
    repeats: int,
    scale: float = 1.0,
    *,
    long: bool = False,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Point]]:
    """The points of each curve, by its name and database; `places` are named by database."""
    found: dict[str, list[Point]] = {}
    for database, place in places.items():
        for curve in CURVES:
            name = f"{curve.shape}, {database}"
            found[name] = []
            for count in _sizes(curve, scale, long):
                told(f"growth: {name}, {count:,} steps")
                times = 1 if count in curve.far else repeats
                samples = [_sample(place, curve.shape, count) for _ in range(times)]
                found[name].append(_point(samples))
    return found


def _sizes(curve: Curve, scale: float, long: bool) -> Iterator[int]:
    for count in (*curve.near, *(curve.far if long else ())):
        if scale == 1 or count * scale >= curve.near[0] or count == curve.near[0]:
            yield count if scale == 1 else max(10, int(count * scale))


def _sample(place: str, shape: str, count: int) -> Figures:
    if shape in ENTRYPOINTS:
        return sample("graph", place=place, shape=ENTRYPOINTS[shape], count=count)
    chunks = max(1, count // CHUNK)
    return sample("emission", place=place, chunks=chunks, size=count // chunks)


def _point(samples: Sequence[Figures]) -> Point:
    micros = statistics.median(
        (each.get("start", 0.0) + each["work"]) / each["steps"] * 1e6 for each in samples
    )
    return Point(int(samples[0]["steps"]), micros, median(samples, "rss"))


def table(found: Mapping[str, Sequence[Point]]) -> list[str]:
    """A line for each curve: its sizes, with the microseconds of a step and the peak memory."""
    width = max(map(len, found), default=0)
    return [
        f"{name.ljust(width)}  "
        + "  ".join(
            f"{point.count:,}: {point.micros:,.0f} µs, {point.memory:,.0f} MB" for point in points
        )
        for name, points in found.items()
    ]
