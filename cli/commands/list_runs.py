"""`stepwell list`: runs, newest first."""

from __future__ import annotations

from typing import Any

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command, limit_option
from stepwell.cli.session import Session


@click.command(name="list", cls=Command)
@click.option("--package", metavar="NAME", help="Only runs of this package.")
@click.option("--status", metavar="STATUS", help="Only runs in this status.")
@click.option("--name", metavar="NAME", help="Only runs with this name.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option(
    "--dead", is_flag=True, help="Only runs that failed because a step lost its lease too often."
)
@limit_option()
@click.option("--before", metavar="RUN", help="Only runs started before this one: the next page.")
@click.pass_obj
def list_runs(session: Session, /, limit: int, before: str | None, **where: Any) -> None:
    """List runs, newest first."""
    out = session.output
    with session.reading() as runtime:
        last = None if before is None else find_run(runtime, before).id
        found = runtime.runs(limit=limit, before=last, **where)
    if out.json:
        out.value(found)
        return
    out.table(
        ("id", "status", "package", "done", "created", "name"),
        [
            (
                *(run.id, run.status, run.package),
                f"{run.total_steps - run.open_steps:,}/{run.total_steps:,}",
                *(run.created_at, run.name),
            )
            for run in found
        ],
    )
    if not found:
        out.say("no dead runs" if where["dead"] else "no runs")
    elif len(found) == limit:
        out.say(f"there may be more: --before {found[-1].id}")
