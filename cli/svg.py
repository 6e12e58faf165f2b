"""A run's graph as SVG: one column for each layer, steps as boxes coloured by status."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from stepwell.cli.graph import COLOURS, Drawing
from stepwell.cli.output import clean, width
from stepwell.engine.model import Step
from stepwell.engine.states import Condition

CHARACTER = 7.3
BOX_HEIGHT = 36
ROW = 50
GAP = 70
MARGIN = 20
TITLE = 30
LONGEST = 32
NARROWEST = 90.0


@dataclass(frozen=True, slots=True)
class Box:
    """The rectangle of a step."""

    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        """The height at which edges arrive and leave."""
        return self.y + BOX_HEIGHT / 2


def svg(drawing: Drawing) -> Iterator[str]:
    """The lines of a self-contained SVG document: no scripts, nothing to load."""
    boxes = layout(drawing)
    right = max((box.x + box.width for box in boxes.values()), default=200) + MARGIN
    right = max(right, width(drawing.title) * CHARACTER + 2 * MARGIN)
    bottom = max((box.y + BOX_HEIGHT for box in boxes.values()), default=TITLE) + MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right:.0f}" height="{bottom:.0f}" '
        f'viewBox="0 0 {right:.0f} {bottom:.0f}" font-family="sans-serif" font-size="12">'
    )
    yield f"<title>{_text(drawing.title)}</title>"
    yield (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#85929e"/></marker></defs>'
    )
    yield f'<rect width="{right:.0f}" height="{bottom:.0f}" fill="#ffffff"/>'
    yield f'<text x="{MARGIN}" y="{MARGIN}" font-weight="bold">{_text(drawing.title)}</text>'
    for edge in drawing.edges:
        if edge.target in boxes and edge.step in boxes:
            dashed = edge.subtree or edge.condition is not Condition.SUCCEEDED
            yield _arrow(boxes[edge.target], boxes[edge.step], "5 3" if dashed else "")
    for parent, step_id in drawing.emissions:
        yield _arrow(boxes[parent], boxes[step_id], "2 3")
    for step in drawing.steps:
        yield _box(step, boxes[step.id])
    yield "</svg>"


def layout(drawing: Drawing) -> dict[str, Box]:
    """A box for each step: its column is its layer, its row is near its dependencies."""
    columns: dict[int, list[Step]] = defaultdict(list)
    for step in drawing.steps:
        columns[drawing.layers.get(step.id, 0)].append(step)
    tallest = max(map(len, columns.values()), default=0) * ROW
    boxes: dict[str, Box] = {}
    x = float(MARGIN)
    for _, steps in sorted(columns.items()):
        wide = max(NARROWEST, max(width(_short(step.id)) for step in steps) * CHARACTER + 20)
        above = {step.id: _height(drawing, step, boxes) for step in steps}
        top = TITLE + MARGIN + (tallest - len(steps) * ROW) / 2
        # Sorting is stable: equal ones keep the order of creation.
        for row, step in enumerate(sorted(steps, key=lambda step: above[step.id])):
            boxes[step.id] = Box(x, top + row * ROW, wide)
        x += wide + GAP
    return boxes


def _height(drawing: Drawing, step: Step, boxes: dict[str, Box]) -> float:
    targets = [edge.target for edge in drawing.incoming.get(step.id, ())]
    if step.parent is not None:
        targets.append(step.parent)
    heights = [boxes[target].middle for target in targets if target in boxes]
    return sum(heights) / len(heights) if heights else 0.0


def _arrow(start: Box, end: Box, dashes: str) -> str:
    x1, x2 = start.x + start.width, end.x
    half = max(20.0, (x2 - x1) / 2)
    style = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path d="M{x1:.1f} {start.middle:.1f}C{x1 + half:.1f} {start.middle:.1f} '
        f'{x2 - half:.1f} {end.middle:.1f} {x2:.1f} {end.middle:.1f}" fill="none" '
        f'stroke="#85929e" marker-end="url(#arrow)"{style}/>'
    )


def _box(step: Step, box: Box) -> str:
    fill, line = COLOURS[step.status.value]
    error = f": {step.error.code}: {step.error.message}" if step.error else ""
    return (
        f"<g><title>{_text(f'{step.id} ({step.kind}) {step.status.value}{error}')}</title>"
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{BOX_HEIGHT}" '
        f'rx="6" fill="{fill}" stroke="{line}"/>'
        f'<text x="{box.x + 10:.1f}" y="{box.y + 15:.1f}">{_text(_short(step.id))}</text>'
        f'<text x="{box.x + 10:.1f}" y="{box.y + 29:.1f}" font-size="10" fill="{line}">'
        f"{step.status.value}</text></g>"
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _text(text: str) -> str:
    return escape(clean(text))
