"""`stepwell retry` and `stepwell cancel`: audited acts of an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.output import counted
from stepwell.cli.session import Session

F = TypeVar("F", bound=Callable[..., Any])


def _audit_options(function: F) -> F:
    function = click.option(
        "--by", metavar="WHO", default="operator", show_default=True, help="Who acts."
    )(function)
    return click.option("--reason", metavar="TEXT", default="", help="Why.")(function)


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.option("--step", metavar="STEP", help="Only this step, and what its end canceled.")
@_audit_options
@click.pass_obj
def retry(session: Session, run: str, step: str | None, reason: str, by: str) -> None:
    """Run failed steps of an ended run again.

    All failed steps and what they canceled, or one --step; of a canceled run, all canceled
    steps. Exit code 7 when there is nothing to retry.
    """
    out = session.output
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        if step is None:
            count = runtime.retry_run(run_id, by=by, reason=reason)
        else:
            count = runtime.retry_step(run_id, step, by=by, reason=reason)
    if out.json:
        out.value({"run_id": run_id, "step_id": step, "steps": count})
    else:
        out.line(f"{counted(count, 'step')} of run {run_id} to run again")
    again, worker = session.again(f"run --resume {run_id}"), session.again("worker")
    out.say(f"work on them with: {again}, or {worker}")


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@_audit_options
@click.pass_obj
def cancel(session: Session, run: str, reason: str, by: str) -> None:
    """Cancel a run and the runs it started.

    Running steps are told, and what they still produce is refused. Exit code 7 when the run
    ended otherwise.
    """
    out = session.output
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        count = runtime.cancel_run(run_id, by=by, reason=reason)
    if out.json:
        out.value({"run_id": run_id, "steps": count})
    else:
        out.line(f"run {run_id} is canceled, with {counted(count, 'step')}")
