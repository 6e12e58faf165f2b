"""`stepwell run`: start a run, or go on with one, and work on it until it ends."""

from __future__ import annotations

from typing import Any

import click

from stepwell.cli.input_help import StartCommand
from stepwell.cli.logs import show_log
from stepwell.cli.lookup import find_run
from stepwell.cli.options import TIME, settings_options
from stepwell.cli.run_loop import work_until_end
from stepwell.cli.session import Session
from stepwell.cli.starting import Start, said_of, start_options

# The flags whose values have other names.
FLAGS = {"assignments": "set", "tags": "tag", "run_version": "version"}


@click.command(cls=StartCommand)
@click.argument("target", metavar="[PACKAGE[:ENTRYPOINT]]", required=False)
@start_options
@click.option("--resume", metavar="RUN", help="Continue this run instead of starting one.")
@click.option("--timeout", type=TIME, metavar="TIME", help="Give up after this time.")
@click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
@settings_options
@click.pass_obj
def run(
    session: Session,
    /,
    target: str | None,
    resume: str | None,
    timeout: float | None,
    quiet: bool,
    **given: Any,
) -> int:
    """Start a run and work on it until it ends.

    Prints the results of its last steps. Ctrl-C lets running steps finish within --grace and
    says how to continue. Exit code: 0 succeeded, 1 failed, 5 timed out, 6 canceled.
    """
    if (target is None) == (resume is None):
        raise click.UsageError("give either a PACKAGE or --resume RUN")
    show_log(session, events=False, quiet=quiet)
    if target is not None:
        start = Start.of(session, target, given)
        with session.working() as runtime:
            handle = start.on(runtime)
            if not quiet:
                told = f"run {handle.id} of {handle.package} started"
                session.output.say(told if handle.started else said_of(handle))
            return work_until_end(session, runtime, handle.id, timeout, quiet=quiet)
    for name, value in given.items():
        if value is not None and value != ():
            flag = FLAGS.get(name, name).replace("_", "-")
            raise click.UsageError(f"--{flag} does not go with --resume")
    session.check_store_exists()
    with session.working() as runtime:
        found = find_run(runtime, resume or "")
        if not found.status.ended:
            session.check_package(found.package)
        return work_until_end(session, runtime, found.id, timeout, quiet=quiet)
