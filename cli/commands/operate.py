"""`stepwell retry`, `cancel`, `pause`, `resume`, `hold`, `release`: audited acts of an operator."""

from __future__ import annotations

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command, audit_options
from stepwell.cli.output import counted
from stepwell.cli.session import Session
from stepwell.engine.states import RunStatus


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.option("--step", metavar="STEP", help="Only this step, and what its end canceled.")
@audit_options
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
    again, worker = session.again("run", "--resume", run_id), session.again("worker")
    out.say(f"work on them with: {again}, or {worker}")


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@audit_options
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


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@audit_options
@click.pass_obj
def pause(session: Session, run: str, reason: str, by: str) -> None:
    """Claim no more steps of a run, and freeze its waits.

    Running steps end as they would. Exit code 7 when the run has ended.
    """
    out = session.output
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        count = runtime.pause_run(run_id, by=by, reason=reason)
    if out.json:
        out.value({"run_id": run_id, "steps": count})
    else:
        out.line(f"run {run_id} is paused, with {counted(count, 'ready step')} held back")
    out.say(f"let it go on with: {session.typed('resume', run_id)}")


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@audit_options
@click.pass_obj
def resume(session: Session, run: str, reason: str, by: str) -> None:
    """Let a paused run go on.

    Its waits have the time left that they had, and steps held one by one stay held. Exit code 7
    when the run is not paused.
    """
    out = session.output
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        count = runtime.resume_run(run_id, by=by, reason=reason)
    if out.json:
        out.value({"run_id": run_id, "steps": count})
    else:
        out.line(f"run {run_id} goes on, with {counted(count, 'ready step')}")


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("step", metavar="STEP")
@audit_options
@click.pass_obj
def hold(session: Session, run: str, step: str, reason: str, by: str) -> None:
    """Hold one step back, and freeze its wait.

    Exit code 7 when the step is running or has ended.
    """
    out = session.output
    with session.reading() as runtime:
        run_id = find_run(runtime, run).id
        runtime.hold_step(run_id, step, by=by, reason=reason)
    if out.json:
        out.value({"run_id": run_id, "step_id": step})
    else:
        out.line(f"step {step} of run {run_id} is held")
    out.say(f"let it go on with: {session.typed('release', run_id, step)}")


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("step", metavar="STEP")
@audit_options
@click.pass_obj
def release(session: Session, run: str, step: str, reason: str, by: str) -> None:
    """Let a held step go on.

    If it waits, it has the time left that it had. Exit code 7 when the step is not held by itself.
    """
    out = session.output
    with session.reading() as runtime:
        found = find_run(runtime, run)
        runtime.release_step(found.id, step, by=by, reason=reason)
    if out.json:
        out.value({"run_id": found.id, "step_id": step})
    else:
        out.line(f"step {step} of run {found.id} is released")
    if found.status is RunStatus.PAUSED:
        out.say(f"its run is paused; let that go on with: {session.typed('resume', found.id)}")
