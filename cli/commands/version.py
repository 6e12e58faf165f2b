"""`stepwell version`."""

from __future__ import annotations

import platform

import click

from stepwell.cli.options import Command
from stepwell.cli.session import Session
from stepwell.defaults import VERSION


@click.command(cls=Command)
@click.pass_obj
def version(session: Session) -> None:
    """Print the version."""
    if session.output.json:
        session.output.value({"version": VERSION, "python": platform.python_version()})
    else:
        session.output.line(f"stepwell {VERSION}")
