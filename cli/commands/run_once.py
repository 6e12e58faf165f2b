"""`stepwell run-once`: one cycle of a worker."""

from __future__ import annotations

import click

from stepwell.cli.logs import show_log
from stepwell.cli.options import Command, settings_options
from stepwell.cli.output import plain
from stepwell.cli.session import Session


@click.command(cls=Command)
@settings_options
@click.pass_obj
def run_once(session: Session) -> None:
    """Claim once, run what was claimed, settle it, and end.

    Prints how many steps were made ready again (refreshed) and executed (processed), and how they
    ended.
    """
    show_log(session, events=True, quiet=False)
    with session.working() as runtime:
        result = runtime.run_once()
    if session.output.json:
        session.output.value(result)
    else:
        session.output.fields(plain(result))
