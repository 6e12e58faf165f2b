"""`stepwell start`: only start a run."""

from __future__ import annotations

from typing import Any

import click

from stepwell.cli.input_help import StartCommand
from stepwell.cli.options import settings_options
from stepwell.cli.session import Session
from stepwell.cli.starting import Start, said_of, start_options


@click.command(cls=StartCommand)
@click.argument("target", metavar="PACKAGE[:ENTRYPOINT]")
@start_options
@settings_options
@click.pass_obj
def start(session: Session, /, target: str, **given: Any) -> None:
    """Start a run for workers to work on; prints its id."""
    session.check_store_lasts()
    wanted = Start.of(session, target, given)
    with session.working() as runtime:
        handle = wanted.on(runtime)
        session.told = said_of(handle)
        if not handle.started:
            session.output.say(session.told)
        if session.output.json:
            session.output.value(runtime.run(handle.id))
        else:
            session.output.line(handle.id)
