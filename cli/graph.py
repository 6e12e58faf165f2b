"""A run's graph, prepared for drawing, and as text: tree, Mermaid and DOT."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from stepwell.cli.output import clean
from stepwell.engine.model import EdgeRow, Step
from stepwell.engine.states import Condition

# Fill, line and text of a step in each status.
COLOURS = {
    "succeeded": ("#d9f2e0", "#2e8b57"),
    "failed": ("#fadcd9", "#c0392b"),
    "running": ("#d6eaf8", "#2471a3"),
    "canceled": ("#fdebd0", "#b9770e"),
    "waiting": ("#e8daef", "#7d3c98"),
    "held": ("#e8daef", "#7d3c98"),
    "ready": ("#eaf2f8", "#5d6d7e"),
    "pending": ("#f4f6f6", "#99a3a4"),
    "skipped": ("#f4f6f6", "#bfc9ca"),
}
ALSO_SHOWN = 3
# How deep a tree is indented; deeper steps name their parent instead.
DEEPEST = 20
# A longer chain of steps is folded; this many steps stay at each of its ends.
LONGEST_ROW = 12
ENDS_SHOWN = 3
# A chain that still has more rows is folded without regard to statuses.
MOST_ROWS = 6


@dataclass(frozen=True)
class Drawing:
    """Steps in order of creation, and the dependencies between them."""

    title: str
    steps: Sequence[Step]
    edges: Sequence[EdgeRow]

    @cached_property
    def incoming(self) -> dict[str, list[EdgeRow]]:
        """The dependencies of each step."""
        found: dict[str, list[EdgeRow]] = defaultdict(list)
        for edge in self.edges:
            found[edge.step].append(edge)
        return found

    @cached_property
    def emissions(self) -> list[tuple[str, str]]:
        """Pairs of emitter and emitted step that are not dependencies as well."""
        known = {step.id for step in self.steps}
        return [
            (step.parent, step.id)
            for step in self.steps
            if step.parent in known
            and all(edge.target != step.parent for edge in self.incoming.get(step.id, ()))
        ]

    @cached_property
    def layers(self) -> dict[str, int]:
        """The length of the longest path to each step from one without dependencies."""
        before: dict[str, list[str]] = defaultdict(list)
        after: dict[str, list[str]] = defaultdict(list)
        for target, step in [*((e.target, e.step) for e in self.edges), *self.emissions]:
            before[step].append(target)
            after[target].append(step)
        waiting = {step.id: len(before[step.id]) for step in self.steps}
        layers = {id: 0 for id, count in waiting.items() if count == 0}
        queue = list(layers)
        for target in queue:
            for step in after[target]:
                layers[step] = max(layers.get(step, 0), layers[target] + 1)
                waiting[step] -= 1
                if waiting[step] == 0:
                    queue.append(step)
        return layers

    @cached_property
    def children(self) -> dict[str | None, list[Step]]:
        """Each step below its parent: the deepest dependency, else its emitter."""
        emitter = {step: parent for parent, step in self.emissions}
        found: dict[str | None, list[Step]] = defaultdict(list)
        for step in self.steps:
            targets = [edge.target for edge in self.incoming.get(step.id, ())]
            deepest = max(targets, key=lambda id: self.layers.get(id, 0), default=None)
            found[deepest if deepest is not None else emitter.get(step.id)].append(step)
        return found


def tree(
    drawing: Drawing, tint: Callable[[str], str], *, ascii_only: bool = False
) -> Iterator[str]:
    """Lines of a tree that shows every step once, followed by its other dependencies."""
    branch, last, pipe, blank = (
        ("|- ", "`- ", "|  ", "   ") if ascii_only else ("├─ ", "└─ ", "│  ", "   ")
    )
    yield clean(drawing.title)
    stack = [("", step, end, "") for end, step in _flagged(drawing.children.get(None))]
    while stack:
        indent, step, is_last, above = stack.pop()
        chain = _chain(drawing, step)
        for entry in _folded(chain):
            deep = len(indent) >= DEEPEST * len(blank)
            if isinstance(entry, str):
                label = f"{'...' if ascii_only else '…'} {entry}"
            else:
                label = _label(drawing, entry, tint) + (f"  (below {clean(above)})" if deep else "")
            yield f"{indent}{last if is_last else branch}{label}"
            if not deep:
                indent += blank if is_last else pipe
            is_last = True
            above = entry if isinstance(entry, str) else entry.id
        above = chain[-1].id
        children = drawing.children.get(above)
        stack += [(indent, child, end, above) for end, child in _flagged(children)]


def _chain(drawing: Drawing, step: Step) -> list[Step]:
    """A step and its descendants, as long as each has only one child."""
    chain = [step]
    while len(below := drawing.children.get(chain[-1].id, [])) == 1:
        chain.append(below[0])
    return chain


def _folded(chain: Sequence[Step]) -> Iterator[Step | str]:
    """The steps of a chain; of many in a row with the same status, only the first and last."""
    rows = [list(same) for _, same in groupby(chain, key=lambda step: step.status)]
    if len(rows) > MOST_ROWS:  # regardless of their statuses
        rows = [list(chain)]
    for row in rows:
        if len(row) <= LONGEST_ROW:
            yield from row
            continue
        between = row[ENDS_SHOWN:-ENDS_SHOWN]
        counts = Counter(step.status.value for step in between)
        told = ", ".join(f"{count:,} {status}" for status, count in counts.items())
        yield from row[:ENDS_SHOWN]
        yield f"{len(between):,} steps, each below the one before ({told})"
        yield from row[-ENDS_SHOWN:]


def _flagged(steps: Sequence[Step] | None) -> Iterator[tuple[bool, Step]]:
    """The steps in reverse, each with whether it is the last of its siblings."""
    for index, step in enumerate(reversed(steps or ())):
        yield index == 0, step


def _label(drawing: Drawing, step: Step, tint: Callable[[str], str]) -> str:
    edges = drawing.incoming.get(step.id, ())
    deepest = max((drawing.layers.get(edge.target, 0) for edge in edges), default=0)
    first = next((e for e in edges if drawing.layers.get(e.target, 0) == deepest), None)
    notes = [] if first is None or not _note(first) else [_note(first).strip()]
    others = [edge for edge in edges if edge is not first]
    if others:
        names = ", ".join(f"{edge.target}{_note(edge)}" for edge in others[:ALSO_SHOWN])
        more = f" and {len(others) - ALSO_SHOWN:,} more" if len(others) > ALSO_SHOWN else ""
        notes.append(f"also after {names}{more}")
    note = f"  ({'; '.join(notes)})" if notes else ""
    kind = "" if step.kind == step.id else f"  {step.kind}"
    return f"{clean(step.id)}  {tint(step.status.value)}{clean(kind)}{clean(note)}"


def _note(edge: EdgeRow) -> str:
    """What is special about a dependency, or nothing."""
    words = [] if edge.condition is Condition.SUCCEEDED else [f"if {edge.condition.value}"]
    if edge.subtree:
        words.append("with subtree")
    return f" [{', '.join(words)}]" if words else ""


def mermaid(drawing: Drawing) -> Iterator[str]:
    """A Mermaid flow chart; ids are escaped, so that none can end its label."""
    names = {step.id: f"s{number}" for number, step in enumerate(drawing.steps)}
    yield "flowchart LR"
    for status, (fill, line) in COLOURS.items():
        yield f"  classDef {status} fill:{fill},stroke:{line},color:#1b2631"
    for step in drawing.steps:
        yield f'  {names[step.id]}["{_entities(step.id)}"]:::{step.status.value}'
    for edge in drawing.edges:
        if edge.step in names and edge.target in names:
            arrow = "-->" if edge.condition is Condition.SUCCEEDED else "-.->"
            label = f"|{_entities(_note(edge).strip(' []'))}|" if _note(edge) else ""
            yield f"  {names[edge.target]} {arrow}{label} {names[edge.step]}"
    for parent, step_id in drawing.emissions:
        yield f"  {names[parent]} -.->|emits| {names[step_id]}"


def _entities(text: str) -> str:
    """The text with every character that has a meaning in Mermaid or HTML as a numeric entity."""
    return "".join(
        char if char.isalnum() or char in " :._-/,+=@" else f"#{ord(char)};" for char in text
    )


def dot(drawing: Drawing) -> Iterator[str]:
    """A graph for Graphviz."""
    yield "digraph run {"
    yield f"  label={_quoted(drawing.title)};"
    yield '  rankdir=LR; node [shape=box, style="rounded,filled", fontname="sans-serif"];'
    for step in drawing.steps:
        fill, line = COLOURS[step.status.value]
        tooltip = _quoted(f"{step.kind}, {step.status.value}")
        yield (f'  {_quoted(step.id)} [fillcolor="{fill}", color="{line}", tooltip={tooltip}];')
    for edge in drawing.edges:
        label = _note(edge).strip(" []")
        extra = f" [style=dashed, label={_quoted(label)}]" if label else ""
        yield f"  {_quoted(edge.target)} -> {_quoted(edge.step)}{extra};"
    for parent, step_id in drawing.emissions:
        yield f'  {_quoted(parent)} -> {_quoted(step_id)} [style=dotted, label="emits"];'
    yield "}"


def _quoted(text: str) -> str:
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
