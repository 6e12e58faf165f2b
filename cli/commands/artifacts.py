"""`stepwell artifacts` and `stepwell artifact`: the bytes that steps stored."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from stepwell.cli.files import write_file
from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.session import Session
from stepwell.engine.errors import InvalidInput, NotFound, nearest
from stepwell.engine.model import ArtifactRef
from stepwell.engine.runtime.runtime import Runtime

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
@click.argument("which", metavar="ID | RUN STEP NAME", nargs=-1)
@click.option(
    "--output", "-o", metavar="FILE", help="Write to this file; it is replaced as a whole."
)
@click.pass_obj
def artifact(session: Session, which: tuple[str, ...], output: str | None) -> None:
    """Write an artifact's bytes to stdout or a file.

    Give its ID, or RUN, STEP and its NAME; of several with the same name, the last one counts. The
    digest is checked first. With --json its description is printed, and bytes go to --output only.
    """
    if len(which) not in (1, 3):
        raise click.UsageError("give the ID of an artifact, or RUN STEP NAME")
    out = session.output
    with session.reading() as runtime:
        ref = runtime.artifact(*which) if len(which) == 1 else _named(runtime, *which)
        artifact_id = ref.id
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


def _named(runtime: Runtime, run: str, step: str, name: str) -> ArtifactRef:
    """The last artifact of a step with this name. Raises NotFound with the nearest."""
    run_id = find_run(runtime, run).id
    found = {ref.name: ref for ref in runtime.artifacts(run_id, step)}
    if name not in found:
        hint = nearest(name, found) if found else "; it stored none"
        raise NotFound(f"step {step!r} of run {run_id!r} has no artifact {name!r}{hint}")
    return found[name]
