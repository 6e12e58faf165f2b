"""`stepwell worker`: work until told to stop."""

from __future__ import annotations

import signal

import click

from stepwell.cli.logs import show_log
from stepwell.cli.options import Command, settings_options
from stepwell.cli.session import Session
from stepwell.cli.signals import draining


def _names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise click.BadParameter(f"must be names with commas between them, got {value!r}")
    return names


@click.command(cls=Command)
@click.option("--queues", metavar="A,B", callback=_names, help="Only these queues.")
@click.option(
    "--labels",
    metavar="A,B",
    callback=_names,
    help="Also claim from queues that require these labels.",
)
@click.option(
    "--max-cycles", type=click.IntRange(min=1), metavar="N", help="Stop after this many cycles."
)
@click.option("--quiet", "-q", is_flag=True, help="Log errors only.")
@settings_options
@click.pass_obj
def worker(
    session: Session,
    queues: list[str] | None,
    labels: list[str] | None,
    max_cycles: int | None,
    quiet: bool,
) -> int:
    """Work on all runs until told to stop.

    At the first SIGTERM, SIGHUP or SIGINT (Ctrl-C), it stops claiming, lets running steps finish
    within --grace and gives the rest back uncharged; the exit code is then 0. At a second one it
    stops at once: running steps are given back, and the exit code is 143, 129 or 130.
    """
    show_log(session, events=True, quiet=quiet)
    with (
        session.working(patient=True) as runtime,
        draining(runtime, session.interrupts, deadline=session.deadline) as drain,
    ):
        runtime.start_workers(max_cycles=max_cycles, queues=queues, labels=labels or ())
    names = [signal.Signals(signum).name for signum in drain.received]
    if session.output.json:
        session.output.value({"stopped_by": names[0] if names else None, "drained": len(names) < 2})
    return 128 + drain.received[1] if len(names) > 1 else 0
