"""Growth curves as one SVG: time per step on the left, memory on the right, both axes by powers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.growth import Point

WIDTH, HEIGHT = 460.0, 320.0
LEFT, TOP, RIGHT, BOTTOM = 64.0, 46.0, 28.0, 40.0
LEGEND_ROW = 18.0
# Distinct for the colour-blind as well, and each database has its own kind of line.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("", "6 3", "2 3")
# In powers of ten: what is hardly more than one needs no further decade.
HARDLY = 0.02


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values between whole powers of ten to a line of so many units."""

    low: int
    high: int
    length: float

    @classmethod
    def of(cls, values: Sequence[float], length: float) -> Axis:
        low = math.floor(math.log10(min(values)))
        high = math.ceil(math.log10(max(values)) - HARDLY)
        return cls(low, max(low + 1, high), length)

    def at(self, value: float) -> float:
        return (math.log10(value) - self.low) / (self.high - self.low) * self.length

    def powers(self) -> Iterator[int]:
        yield from range(self.low, self.high + 1)


@dataclass(frozen=True, slots=True)
class Style:
    """How a curve is drawn: its pen, and its dashes."""

    pen: str
    dashes: str


def svg(title: str, curves: Mapping[str, Sequence[Point]]) -> str:
    """A document that stands alone: no scripts, nothing loaded. Curves are `shape, database`."""
    curves = {name: points for name, points in curves.items() if points}
    height = HEIGHT + LEGEND_ROW * math.ceil(len(curves) / 2) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH:g} {height:g}" '
        f'width="{2 * WIDTH:g}" height="{height:g}" font-family="sans-serif" font-size="11" '
        f'fill="#2c3e50">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{2 * WIDTH:g}" height="{height:g}" fill="#ffffff"/>',
        f'<text x="{LEFT:g}" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    if curves:
        styles = _styles(curves)
        lines += _panel(0, "microseconds per step", curves, styles, lambda point: point.micros)
        lines += _panel(WIDTH, "peak memory, MB", curves, styles, lambda point: point.memory)
        lines += _legend(curves, styles)
    return "\n".join([*lines, "</svg>", ""])


def _styles(curves: Mapping[str, Sequence[Point]]) -> dict[str, Style]:
    """A colour for each shape, dashes for each database."""
    shapes = list(dict.fromkeys(name.rpartition(", ")[0] for name in curves))
    databases = list(dict.fromkeys(name.rpartition(", ")[2] for name in curves))
    styles = {}
    for name in curves:
        shape, _, database = name.rpartition(", ")
        colour = COLOURS[shapes.index(shape) % len(COLOURS)]
        dashes = DASHES[databases.index(database) % len(DASHES)]
        styles[name] = Style(f'stroke="{colour}" stroke-width="2"', f'stroke-dasharray="{dashes}"')
    return styles


def _panel(
    left: float,
    label: str,
    curves: Mapping[str, Sequence[Point]],
    styles: Mapping[str, Style],
    value: Callable[[Point], float],
) -> Iterator[str]:
    every = [point for points in curves.values() for point in points]
    across = Axis.of([point.count for point in every], WIDTH - LEFT - RIGHT)
    up = Axis.of([value(point) for point in every], HEIGHT - TOP - BOTTOM)
    yield f'<g transform="translate({left + LEFT:g} {HEIGHT - BOTTOM:g})">'
    yield f'<text x="0" y="{-up.length - 8:g}">{label}</text>'
    for power in across.powers():
        x = across.at(10.0**power)
        yield f'<path d="M{x:.1f} 0V{-up.length:g}" stroke="#e5e8e8"/>'
        yield f'<text x="{x:.1f}" y="16" text-anchor="middle">{10**power:,}</text>'
    for power in up.powers():
        y = -up.at(10.0**power)
        yield f'<path d="M0 {y:.1f}H{across.length:g}" stroke="#e5e8e8"/>'
        yield f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{10.0**power:,g}</text>'
    yield f'<text x="{across.length / 2:g}" y="32" text-anchor="middle">steps of the run</text>'
    for name, points in curves.items():
        places = [(across.at(point.count), -up.at(value(point))) for point in points]
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path d="M{way}" fill="none" {styles[name].pen} {styles[name].dashes}/>'
        for (x, y), point in zip(places, points, strict=True):
            told = f"{name}, {point.count:,} steps: {value(point):,.1f} {label}"
            yield (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" {styles[name].pen} fill="#ffffff">'
                f"<title>{escape(told)}</title></circle>"
            )
    yield "</g>"


def _legend(curves: Mapping[str, Sequence[Point]], styles: Mapping[str, Style]) -> Iterator[str]:
    for number, name in enumerate(curves):
        x = LEFT + WIDTH * (number % 2)
        y = HEIGHT + LEGEND_ROW * (number // 2) + 8
        yield f'<path d="M{x:g} {y:g}h30" fill="none" {styles[name].pen} {styles[name].dashes}/>'
        yield f'<text x="{x + 38:g}" y="{y + 4:g}">{escape(name)}</text>'
