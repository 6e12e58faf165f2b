"""`stepwell artifacts` and `stepwell artifact`: what steps stored as bytes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from stepwell.cli.files import write_file
from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.session import Session
from stepwell.engine.errors import InvalidInput

READABLE = ("text/", "application/json", "application/xml", "image/svg+xml")


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("step", metavar="[STEP]", required=False)
@click.pass_obj
def artifacts(session: Session, run: str, step: str | None) -> None:
    """List the artifacts of a run or step."""
    out = session.output
    with session.reading() as runtime:
        found = runtime.artifacts(find_run(runtime, run).id, step)
    if out.json:
        out.value(found)
        return
    out.table(
        ("id", "size", "content_type", "step", "name"),
        [(ref.id, ref.size, ref.content_type, ref.step_id, ref.name) for ref in found],
    )
    if not found:
        out.say("no artifacts")


@click.command(cls=Command)
@click.argument("artifact_id", metavar="ID")
@click.option(
    "--output", "-o", metavar="FILE", help="Write to this file; it is replaced as a whole."
)
@click.pass_obj
def artifact(session: Session, artifact_id: str, output: str | None) -> None:
    """Write an artifact's bytes to stdout or a file.

    Their digest is checked first. With --json its description is printed, and bytes go to
    --output only.
    """
    out = session.output
    with session.reading() as runtime:
        ref = runtime.artifact(artifact_id)
        if output is not None:
            with runtime.open_artifact(artifact_id) as source:
                write_file(source, Path(output))
            out.say(f"wrote {ref.size:,} bytes to {output}")
        if out.json:
            out.value(ref)
        elif output is None:
            if sys.stdout.isatty() and not ref.content_type.startswith(READABLE):
                raise InvalidInput(
                    f"artifact {artifact_id!r} is {ref.content_type}, which a terminal cannot "
                    "show; use --output FILE"
                )
            with runtime.open_artifact(artifact_id) as source:
                shutil.copyfileobj(source, sys.stdout.buffer)
