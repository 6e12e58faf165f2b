"""`stepwell values`: what a run published."""

from __future__ import annotations

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.output import json_text
from stepwell.cli.session import Session
from stepwell.engine.errors import NotFound, nearest


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("key", metavar="[KEY]", required=False)
@click.pass_obj
def values(session: Session, run: str, key: str | None) -> None:
    """Show the values a run has set.

    Shows the last value of each key, or with a KEY all values of that key, oldest first.
    """
    out = session.output
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        if key is None:
            found = runtime.last_values(run_id)
        else:
            found = runtime.value_history(run_id, key)
            if not found:
                known = [entry.key for entry in runtime.last_values(run_id)]
                raise NotFound(f"run {run_id!r} has set no value for {key!r}{nearest(key, known)}")
    if out.json:
        out.value(found)
        return
    out.table(
        ("key", "number", "step", "set", "value"),
        [
            (item.key, item.number, item.step_id, item.at, json_text(item.value, indent=None))
            for item in found
        ],
    )
    if not found:
        out.say(f"run {run_id} has set no values")
