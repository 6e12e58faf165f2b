"""`stepwell list`: runs, newest first."""

from __future__ import annotations

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.session import Session


@click.command(name="list", cls=Command)
@click.option("--package", metavar="NAME", help="Only runs of this package.")
@click.option("--status", metavar="STATUS", help="Only runs in this status.")
@click.option("--name", metavar="NAME", help="Only runs with this name.")
@click.option("--tag", metavar="TAG", help="Only runs with this tag.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    default=50,
    show_default=True,
    help="At most so many.",
)
@click.option("--before", metavar="RUN", help="Only runs started before this one: the next page.")
@click.pass_obj
def list_runs(
    session: Session,
    package: str | None,
    status: str | None,
    name: str | None,
    tag: str | None,
    limit: int,
    before: str | None,
) -> None:
    """List runs, newest first."""
    out = session.output
    with session.reading() as runtime:
        found = runtime.runs(
            package=package,
            status=status,
            name=name,
            tag=tag,
            limit=limit,
            before=None if before is None else find_run(runtime, before).id,
        )
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
        out.say("no runs")
    elif len(found) == limit:
        out.say(f"there may be more: --before {found[-1].id}")
