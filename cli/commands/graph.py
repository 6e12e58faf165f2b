"""`stepwell graph`: a run's graph as tree, Mermaid, DOT or SVG."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import click

from stepwell.cli.files import write_file
from stepwell.cli.graph import Drawing, dot, mermaid, tree
from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.output import Output
from stepwell.cli.session import Session
from stepwell.cli.svg import svg

FORMATS = ("tree", "mermaid", "dot", "svg")


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="tree", show_default=True, help="How."
)
@click.option("--output", "-o", metavar="FILE", help="Write to this file instead of stdout.")
@click.pass_obj
def graph(session: Session, run: str, form: str, output: str | None) -> None:
    """Draw a run's graph of steps.

    With --json it prints steps and dependencies as data, whatever the format.
    """
    out = session.output
    with session.reading() as runtime:
        found = find_run(runtime, run)
        steps = runtime.steps(found.id)
        # Leave out steps that were emitted between these two reads.
        known = {step.id for step in steps}
        edges = [edge for edge in runtime.edges(found.id) if {edge.step, edge.target} <= known]
    if out.json:
        out.value(
            {
                "run_id": found.id,
                "status": found.status,
                "steps": [
                    {
                        "id": step.id,
                        "kind": step.kind,
                        "status": step.status,
                        "parent": step.parent,
                    }
                    for step in steps
                ],
                "dependencies": edges,
            }
        )
        return
    drawing = Drawing(f"{found.package} {found.id} {found.status.value}", steps, edges)
    if output is None:
        for line in _lines(drawing, form, out, to_file=False):
            print(line)
        return
    text = "".join(f"{line}\n" for line in _lines(drawing, form, out, to_file=True))
    write_file(BytesIO(text.encode()), Path(output))
    out.say(f"wrote {output}")


def _lines(drawing: Drawing, form: str, out: Output, *, to_file: bool) -> Iterator[str]:
    if form == "mermaid":
        return mermaid(drawing)
    if form == "dot":
        return dot(drawing)
    if form == "svg":
        return svg(drawing)
    unicode = to_file or (sys.stdout.encoding or "").lower().startswith("utf")
    return tree(drawing, str if to_file else out.tint, ascii_only=not unicode)
