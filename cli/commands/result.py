"""`stepwell result`: what an ended step produced."""

from __future__ import annotations

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.output import json_cell
from stepwell.cli.session import Session


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("step", metavar="STEP")
@click.pass_obj
def result(session: Session, run: str, step: str) -> None:
    """Show what an ended step left behind.

    Refused with exit code 7 while the step has not ended.
    """
    out = session.output
    with session.reading() as runtime:
        found = runtime.result(find_run(runtime, run).id, step)
    if out.json:
        out.value(found)
        return
    error = found.error
    out.fields(
        {
            "status": found.status,
            "completed": found.completed_at,
            "value": found.value if isinstance(found.value, str) else json_cell(found.value),
            "error": "" if error is None else f"{error.code}: {error.message}",
            "from": error.step if error else "",
            "details": json_cell(error.details) if error and error.details else "",
            "records": "\n".join(f"{ref.collection}/{ref.key}" for ref in found.records),
            "artifacts": "\n".join(f"{ref.id}  {ref.name}" for ref in found.artifacts),
            "emitted": "\n".join(found.emitted),
        }
    )
