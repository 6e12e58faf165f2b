"""`stepwell events`: what happened in a run."""

from __future__ import annotations

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.output import Output, json_text, moment
from stepwell.cli.session import Session
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.events import Event
from stepwell.engine.runtime.runtime import Runtime

PAGE = 1_000
LOOK_EVERY = 0.2


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="Only events with a larger number than this.",
)
@click.option("--follow", "-f", is_flag=True, help="Continue with new ones until the run ends.")
@click.pass_obj
def events(session: Session, run: str, after: int, follow: bool) -> None:
    """Print what happened in a run.

    With --json it prints a list, or with --follow one object per line.
    """
    out = session.output
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        if out.json and not follow:
            out.value(runtime.events(run_id, after))
            return
        after = _print_new(out, runtime, run_id, after)
        while follow:
            try:
                runtime.wait(run_id, timeout=LOOK_EVERY)
                follow = False  # it has ended: no events will follow
            except WaitTimeout:
                pass
            after = _print_new(out, runtime, run_id, after)


def _print_new(out: Output, runtime: Runtime, run_id: str, after: int) -> int:
    """Print events up to the present; returns the number of the last one."""
    while page := runtime.events(run_id, after, PAGE):
        for event in page:
            if out.json:
                out.value(event, indent=None)
            else:
                out.line(_line(event))
        after = page[-1].seq or after
    print(end="", flush=True)
    return after


def _line(event: Event) -> str:
    data = "  ".join(f"{key}={_short(value)}" for key, value in event.data.items())
    parts = [f"{event.seq:>5}", moment(event.at), f"{event.type.value:<15}"]
    return "  ".join([*parts, event.step_id or "-", data]).rstrip()


def _short(value: object) -> str:
    return value if isinstance(value, str) else json_text(value, indent=None)
