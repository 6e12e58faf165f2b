"""What a benchmark found, as rows of a table and as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepwell import __version__

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "benchmarks" / "README.md"


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table. `goal` is what the figure must reach, in `unit`; None is no goal.

    `raw` is what is possible at all, measured in the same run. Where `raw_goal` says how near the
    figure must come to it, that decides: it does not depend on the machine.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    best: str = "more"
    raw: float | None = None
    raw_goal: float | None = None
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        if self.of_raw is not None and self.raw_goal is not None:
            return self.of_raw >= self.raw_goal
        return self.reaches_goal

    @property
    def of_raw(self) -> float | None:
        """The share of what is possible."""
        if not self.raw or not self.value:
            return None
        return self.value / self.raw if self.best == "more" else self.raw / self.value

    @property
    def reaches_goal(self) -> bool:
        """Whether the figure itself is where it should be, on this machine."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.best == "more" else self.value <= self.goal


def machine(database: str) -> str:
    """What was measured on what; `database` is its name and version."""
    return (
        f"stepwell {__version__} ({commit()}), Python {platform.python_version()}, "
        f"{database}, {os.cpu_count()} cores, {platform.machine()}"
    )


def commit() -> str:
    """The commit of this tree, with a plus if it was changed since."""
    shown = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip() or "no commit"


def table(measures: Sequence[Measure]) -> list[str]:
    """The rows as aligned lines under a heading."""
    rows = [("workload", "measured", "goal", "raw limit", "of raw", "besides")]
    for item in measures:
        notes = ", ".join(f"{name} {value:,.4g}" for name, value in item.notes.items())
        rows.append(
            (
                item.name,
                f"{_figure(item.value)} {item.unit}",
                _goal(item),
                _figure(item.raw) if item.raw else "",
                _of_raw(item),
                notes,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _figure(value: float) -> str:
    return f"{value:{',.0f' if abs(value) >= 100 else '.3g'}}"


def _goal(item: Measure) -> str:
    if item.goal is None:
        return ""
    sign = "≥" if item.best == "more" else "≤"
    missed = "" if item.reaches_goal else " under" if item.met else " MISSED"
    return f"{sign} {item.goal:,g}{missed}"


def _of_raw(item: Measure) -> str:
    if item.of_raw is None:
        return ""
    if item.raw_goal is None:
        return f"{item.of_raw:.2g}"
    return f"{item.of_raw:.3g} (≥ {item.raw_goal:g}){'' if item.met else ' MISSED'}"


def keep(page: Path, name: str, lines: Sequence[str]) -> None:
    """Put the lines into a page, in place of those between its comments `name: begin` and `end`."""
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{page.name} has no comments {begin} and {end}")
    table = "\n".join(["```text", *lines, "```"])
    page.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", encoding="utf-8")


def write_json(path: Path, about: Sequence[str], measures: Sequence[Measure], **more: Any) -> None:
    """The rows in a file, with the lines that stand above the table, and what else is named."""
    rows = [
        {**dataclasses.asdict(item), "of_raw": item.of_raw, "met": item.met} for item in measures
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"about": list(about), "rows": rows, **more}
    path.write_text(json.dumps(found, indent=2) + "\n")
