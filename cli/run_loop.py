"""Works on one run until it ends, and reports how it ended, for `stepwell run`."""

from __future__ import annotations

from typing import Any

from stepwell.cli.output import counted, duration, json_cell
from stepwell.cli.progress import shown
from stepwell.cli.session import Session
from stepwell.cli.signals import Interrupted, draining
from stepwell.cli.waits import why_it_stands
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.model import Run, RunProgress, StepResult
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.states import RunStatus, StepStatus

EXIT_OF = {RunStatus.SUCCEEDED: 0, RunStatus.FAILED: 1, RunStatus.CANCELED: 6}
FAILURES_SHOWN = 10
RESULTS_SHOWN = 10
# Finding the last steps means reading all edges, which takes too long in larger runs.
RESULTS_UP_TO = 50_000


def work_until_end(
    session: Session, runtime: Runtime, run_id: str, timeout: float | None, *, quiet: bool
) -> int:
    """Work in this thread until the run ends; prints how it ended and returns the exit code.

    A first signal lets running steps finish within the grace period and leaves the run as it is.
    Raises WaitTimeout after `timeout` seconds.
    """
    out = session.output
    try:
        with (
            draining(runtime, session.interrupts, deadline=session.deadline) as drain,
            shown(
                lambda: runtime.progress(run_id),
                lambda: _waits(session, runtime, run_id),
                out.say,
                quiet=quiet,
            ),
        ):
            runtime.drain(run_id, timeout)
    except WaitTimeout as error:
        again = session.again("run", "--resume", run_id)
        raise WaitTimeout(f"{error}; go on with: {again}") from None
    except Interrupted:  # before or after the work
        if not runtime.run(run_id).status.ended:
            _tell_interrupted(session, run_id)
        raise
    run = runtime.run(run_id)
    if not run.status.ended:
        _tell_interrupted(session, run_id)
        return 128 + drain.received[-1] if drain.received else 0
    session.exit_code = EXIT_OF[run.status]
    _tell(session, runtime, run)
    return session.exit_code


def _tell_interrupted(session: Session, run_id: str) -> None:
    session.output.say(
        f"run {run_id} is interrupted; go on with: {session.again('run', '--resume', run_id)}, "
        f"or let a worker finish it: {session.again('worker')}"
    )


def _waits(session: Session, runtime: Runtime, run_id: str) -> list[str]:
    lines = why_it_stands(runtime, run_id, session.typed)
    return [*lines, "going on when that is there; Ctrl-C leaves the run as it is"] if lines else []


def _tell(session: Session, runtime: Runtime, run: Run) -> None:
    out = session.output
    session.told = f"see it with: {session.typed('show', run.id)}"
    progress = runtime.progress(run.id)
    results = _last_results(runtime, run)
    if out.json:
        values = {result.step_id: result.value for result in results}
        out.value({"run": run, "progress": progress, "results": values})
    else:
        for result in results:
            _print_result(session, result.step_id, result.value)
        for ref in [ref for result in results for ref in result.artifacts][:RESULTS_SHOWN]:
            written = session.typed("artifact", ref.id)
            out.say(f"artifact {ref.name} of step {ref.step_id}: {written}")
    for step in runtime.steps(run.id, status=StepStatus.FAILED, limit=FAILURES_SHOWN):
        if step.error is not None:
            out.say(f"step {step.id} failed: {step.error.code}: {step.error.message}")
    if progress.failed > FAILURES_SHOWN:
        others = session.typed("show", run.id, "--status", "failed")
        out.say(f"… and {progress.failed - FAILURES_SHOWN:,} more: {others}")
    _tell_canceled_ends(session, runtime, run, progress)
    took = ""
    if run.ended_at is not None:
        took = f" in {duration((run.ended_at - run.created_at).total_seconds())}"
    out.say(f"run {run.id} {run.status.value}{took}, {counted(progress.total, 'step')}")


def _tell_canceled_ends(
    session: Session, runtime: Runtime, run: Run, progress: RunProgress
) -> None:
    """Name the steps at the end of the graph that were canceled because of others."""
    if not progress.canceled or run.total_steps > RESULTS_UP_TO:
        return
    needed = {edge.target for edge in runtime.edges(run.id)}
    canceled = runtime.steps(run.id, status=StepStatus.CANCELED)
    ends = [step for step in canceled if step.id not in needed and step.error is not None]
    for step in ends[:FAILURES_SHOWN]:
        if step.error is not None and step.error.step is not None:
            session.output.say(f"step {step.id} was {step.error.message}")


def _print_result(session: Session, step_id: str, value: Any) -> None:
    """Print a result; a text unchanged, as a step's summary for people."""
    if isinstance(value, str):
        session.output.text(f"{step_id}:\n{value}" if "\n" in value else f"{step_id}: {value}")
    else:
        session.output.fields({step_id: json_cell(value)})


def _last_results(runtime: Runtime, run: Run) -> list[StepResult]:
    """Results of the last steps: those that succeeded and that no step depends on."""
    if run.total_steps > RESULTS_UP_TO:
        return []
    needed = {edge.target for edge in runtime.edges(run.id)}
    last = [
        step.id
        for step in runtime.steps(run.id, status=StepStatus.SUCCEEDED)
        if step.id not in needed
    ]
    return [runtime.result(run.id, step_id) for step_id in last[:RESULTS_SHOWN]]
