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

from stepwell import __version__

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table. `goal` is what the figure must reach, in `unit`; None is no goal."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    best: str = "more"
    raw: float | None = None
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
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
        digits = ",.0f" if item.value >= 100 else ".3g"
        notes = ", ".join(f"{name} {value:,.4g}" for name, value in item.notes.items())
        rows.append(
            (
                item.name,
                f"{item.value:{digits}} {item.unit}",
                _goal(item),
                f"{item.raw:,.0f}" if item.raw else "",
                f"{item.value / item.raw:.2g}" if item.raw else "",
                notes,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _goal(item: Measure) -> str:
    if item.goal is None:
        return ""
    sign = "≥" if item.best == "more" else "≤"
    return f"{sign} {item.goal:,g}{'' if item.met else ' MISSED'}"


def write_json(path: Path, about: Sequence[str], measures: Sequence[Measure]) -> None:
    """The rows in a file, with the lines that stand above the table."""
    rows = [{**dataclasses.asdict(item), "met": item.met} for item in measures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"about": list(about), "rows": rows}, indent=2) + "\n")
