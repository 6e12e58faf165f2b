"""Two charts as inline SVG, coloured by the page's own style."""

from bisect import bisect_left
from collections.abc import Sequence
from html import escape

from code_census.readmodel import Package

# Upper ends of the histogram's bins, in lines; what is larger falls into one more.
BINS = (10, 30, 100, 300, 1_000, 3_000)
WIDTH = 720
NAME_WIDTH = 150
VALUE_WIDTH = 70
ROW = 26
HEIGHT = 220
PARTS = ("code", "notes", "blank")


def package_bars(packages: Sequence[Package]) -> str:
    """A bar for each package: its lines of code, of notes, and blank ones."""
    room = WIDTH - NAME_WIDTH - VALUE_WIDTH
    scale = room / max([1, *(package.lines for package in packages)])
    rows = []
    for index, package in enumerate(packages):
        top = index * ROW
        middle = top + ROW / 2
        name = _shorten(package.name)
        rows.append(f'<text class="name" x="{NAME_WIDTH - 10}" y="{middle}">{escape(name)}</text>')
        left = float(NAME_WIDTH)
        for part in PARTS:
            wide = getattr(package, part) * scale
            rows.append(
                f'<rect class="{part}" x="{left:.1f}" y="{top + 4}" width="{wide:.1f}" '
                f'height="{ROW - 8}"><title>{escape(package.name)}: '
                f"{getattr(package, part):,} lines of {part}</title></rect>"
            )
            left += wide
        rows.append(f'<text x="{left + 8:.1f}" y="{middle}">{package.lines:,}</text>')
    return _svg(len(packages) * ROW, "Lines in each of the largest packages", rows)


def size_histogram(sizes: Sequence[int]) -> str:
    """How many files have how many lines."""
    counts = bin_counts(sizes)
    lows = (0, *(end + 1 for end in BINS))
    labels = [f"{low:,}-{end:,}" for low, end in zip(lows, BINS, strict=False)]
    labels.append(f"{lows[-1]:,} and more")
    wide = WIDTH / len(counts)
    foot, head = 24, 20
    scale = (HEIGHT - foot - head) / max(1, *counts)
    parts = []
    for index, (count, label) in enumerate(zip(counts, labels, strict=True)):
        high = count * scale
        top = HEIGHT - foot - high
        middle = (index + 0.5) * wide
        parts.append(
            f'<rect class="code" x="{index * wide + 6:.1f}" y="{top:.1f}" '
            f'width="{wide - 12:.1f}" height="{high:.1f}"/>'
            f'<text class="bin" x="{middle:.1f}" y="{top - 9:.1f}">{count:,}</text>'
            f'<text class="bin" x="{middle:.1f}" y="{HEIGHT - foot / 2}">{label}</text>'
        )
    return _svg(HEIGHT, "Number of files by their lines", parts)


def bin_counts(sizes: Sequence[int]) -> list[int]:
    """How many of the sizes fall into each bin."""
    counts = [0] * (len(BINS) + 1)
    for size in sizes:
        counts[bisect_left(BINS, size)] += 1
    return counts


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {height:g}">'
        f"{''.join(parts)}</svg>"
    )


def _shorten(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"
