"""`stepwell retry`, `cancel`, `pause`, `resume`, `hold`, `release`: audited acts of an operator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command, audit_options
from stepwell.cli.output import counted
from stepwell.cli.run_options import MOMENT
from stepwell.cli.session import Session
from stepwell.engine.model import Run
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.states import RunStatus

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def _on_run(function: F) -> F:
    """Give a command a run, and who acts on it and why."""
    return click.argument("run", metavar="RUN")(audit_options(function))


def _on_step(function: F) -> F:
    """Give a command a step of a run, and who acts on it and why."""
    return click.argument("run", metavar="RUN")(
        click.argument("step", metavar="STEP")(audit_options(function))
    )


def _act(session: Session, run: str, act: Callable[[Runtime, str], T]) -> tuple[Run, T]:
    """Do something to the run that is meant; returns it as it was before, and what `act` does."""
    with session.reading() as runtime:
        found = find_run(runtime, run)
        return found, act(runtime, found.id)


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.option("--step", metavar="STEP", help="Only this step, and what its end canceled.")
@click.option(
    "--deadline",
    type=MOMENT,
    metavar="WHEN",
    help="When the run must have ended, instead of its own deadline.",
)
@click.option(
    "--new-key",
    metavar="KEY",
    help='Its dedup key from now on, if another run holds its own; "" for none.',
)
@audit_options
@click.pass_obj
def retry(  # one parameter for each flag
    session: Session,
    /,
    run: str,
    step: str | None,
    deadline: datetime | None,
    new_key: str | None,
    **who: Any,
) -> None:
    """Run failed steps of an ended run again.

    This means all failed steps and those they canceled, or one --step; of a canceled run, all
    canceled steps. Its timeout counts anew. Exit code 7 if there is nothing to retry or its
    deadline has passed, 4 if another run holds its dedup key.
    """
    anew: dict[str, Any] = {} if deadline is None else {"deadline": deadline}
    if new_key is not None:
        anew["dedup_key"] = new_key or None

    def act(runtime: Runtime, run_id: str) -> int:
        if step is None:
            return runtime.retry_run(run_id, **who, **anew)
        return runtime.retry_step(run_id, step, **who, **anew)

    found, count = _act(session, run, act)
    session.output.done(
        {"run_id": found.id, "step_id": step, "steps": count},
        f"{counted(count, 'step')} of run {found.id} to run again",
    )
    again, worker = session.again("run", "--resume", found.id), session.again("worker")
    session.output.say(f"work on them with: {again}, or {worker}")


@click.command(cls=Command)
@_on_run
@click.pass_obj
def cancel(session: Session, /, run: str, **who: str) -> None:
    """Cancel a run and the runs it started.

    Running steps get a signal, and what they still produce is refused. Exit code 7 if the run has
    ended in another way.
    """
    found, count = _act(session, run, lambda runtime, run_id: runtime.cancel_run(run_id, **who))
    session.output.done(
        {"run_id": found.id, "steps": count},
        f"run {found.id} is canceled, with {counted(count, 'step')}",
    )


@click.command(cls=Command)
@_on_run
@click.pass_obj
def pause(session: Session, /, run: str, **who: str) -> None:
    """Claim no more steps of a run, and freeze its waits.

    Running steps continue to their end. Exit code 7 if the run has ended.
    """
    found, count = _act(session, run, lambda runtime, run_id: runtime.pause_run(run_id, **who))
    session.output.done(
        {"run_id": found.id, "steps": count},
        f"run {found.id} is paused, with {counted(count, 'ready step')} held back",
    )
    session.output.say(f"let it go on with: {session.typed('resume', found.id)}")


@click.command(cls=Command)
@_on_run
@click.pass_obj
def resume(session: Session, /, run: str, **who: str) -> None:
    """Let a paused run go on.

    Its waits continue with the time they had left; steps that are held one by one stay held. Exit
    code 7 if the run is not paused.
    """
    found, count = _act(session, run, lambda runtime, run_id: runtime.resume_run(run_id, **who))
    session.output.done(
        {"run_id": found.id, "steps": count},
        f"run {found.id} goes on, with {counted(count, 'ready step')}",
    )


@click.command(cls=Command)
@_on_step
@click.pass_obj
def hold(session: Session, /, run: str, step: str, **who: str) -> None:
    """Hold one step back, and freeze its wait.

    Exit code 7 if the step is running or has ended.
    """
    found, _ = _act(session, run, lambda runtime, run_id: runtime.hold_step(run_id, step, **who))
    session.output.done(
        {"run_id": found.id, "step_id": step}, f"step {step} of run {found.id} is held"
    )
    session.output.say(f"let it go on with: {session.typed('release', found.id, step)}")


@click.command(cls=Command)
@_on_step
@click.pass_obj
def release(session: Session, /, run: str, step: str, **who: str) -> None:
    """Let a held step go on.

    A wait continues with the time it had left. Exit code 7 if the step itself is not held.
    """
    found, _ = _act(session, run, lambda runtime, run_id: runtime.release_step(run_id, step, **who))
    session.output.done(
        {"run_id": found.id, "step_id": step}, f"step {step} of run {found.id} is released"
    )
    if found.status is RunStatus.PAUSED:
        session.output.say(
            f"its run is paused; let that go on with: {session.typed('resume', found.id)}"
        )
