"""`stepwell show`: a run with its steps, or one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.not_claimed import seen_since, why_nobody_goes_on, why_nobody_takes
from stepwell.cli.options import Command, limit_option
from stepwell.cli.output import counted, json_cell
from stepwell.cli.session import Session
from stepwell.cli.waits import (
    held_by,
    needs_of,
    paused_by,
    waiting_lines,
    waits_for,
    who_holds,
    who_paused,
)
from stepwell.engine.model import Failure, Run, RunProgress, Step
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.states import StepStatus


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("step", metavar="[STEP]", required=False)
@click.option("--status", metavar="STATUS", help="Only steps in this status.")
@limit_option("steps")
@click.option("--after", metavar="STEP", help="Only steps after this one: the next page.")
@click.pass_obj
def show(
    session: Session, run: str, step: str | None, status: str | None, limit: int, after: str | None
) -> None:
    """Show a run with its steps, or one step.

    Of a large run, shows the first steps: on a terminal failed ones first, with --json in order of
    creation. There, `more` says whether there are others, and `next` how to get them.
    """
    with session.reading() as runtime:
        found = find_run(runtime, run)
        if step is not None:
            _show_step(session, runtime, found, runtime.step(found.id, step))
            return
        page = _page(session, runtime, found.id, status, limit, after)
        _show_run(session, runtime, found, page)


@dataclass(frozen=True, slots=True)
class _Page:
    """Steps of a run in order of creation, and how to get the next ones, if any."""

    steps: list[Step]
    next: str
    status: str | None
    limit: int
    after: str | None


def _page(
    session: Session,
    runtime: Runtime,
    run_id: str,
    status: str | None,
    limit: int,
    after: str | None,
) -> _Page:
    # Read one more than is shown, to know whether there are others; a limit has a maximum.
    steps = runtime.steps(run_id, status=status, limit=limit, after=after)
    command = ""
    if len(steps) == limit and runtime.steps(run_id, status=status, limit=1, after=steps[-1].id):
        words = [*(("--status", status) if status else ()), "--limit", str(limit)]
        words += ["--json"] if session.output.json else []
        command = session.typed("show", run_id, *words, "--after", steps[-1].id)
    return _Page(steps, command, status, limit, after)


def _show_run(session: Session, runtime: Runtime, run: Run, page: _Page) -> None:
    out = session.output
    progress = runtime.progress(run.id)
    reason = why_nobody_goes_on(session, runtime, progress, run.id)
    paused = who_paused(runtime, run.id, run.status)
    if out.json:
        out.value(
            {
                "run": run,
                "progress": progress,
                "paused": paused,
                "not_claimed": reason or None,
                "steps": page.steps,
                "more": bool(page.next),
                "next": page.next or None,
            }
        )
        return
    stands = {
        "paused": paused_by(run.id, paused, session.typed),
        "not claimed": reason,
        "waiting": "\n".join(waiting_lines(runtime, run.id, session.typed)),
    }
    out.fields(_run_fields(run, progress, stands))
    steps = _failed_first(runtime, run.id, page)
    if steps:
        out.line()
    out.table(
        ("step", "status", "kind", "attempt", "error"),
        [
            (item.id, item.status, item.kind, item.attempt, _failure(item.error, short=True))
            for item in steps
        ],
    )
    if page.next:
        out.say(f"there are more of {counted(progress.total, 'step')}: {page.next}")


def _failed_first(runtime: Runtime, run_id: str, page: _Page) -> list[Step]:
    """The steps of a page; the first page begins with all failed steps."""
    if page.status is not None or page.after is not None:
        return page.steps
    failed = runtime.steps(run_id, status=StepStatus.FAILED, limit=page.limit)
    return failed + [step for step in page.steps if step.status is not StepStatus.FAILED]


def _show_step(session: Session, runtime: Runtime, run: Run, step: Step) -> None:
    out = session.output
    edges = [edge for edge in runtime.edges(run.id) if edge.step == step.id]
    workers, queues = runtime.workers(), runtime.queues()
    reason = why_nobody_takes(step, workers, queues, seen_since(session), session.again)
    held, paused = who_holds(runtime, step), who_paused(runtime, run.id, run.status)
    if out.json:
        out.value(
            {
                "step": step,
                "dependencies": edges,
                "not_claimed": reason or None,
                "held": held,
                "paused": paused,
            }
        )
        return
    met, missing = needs_of(runtime, step, edges)
    stands = {
        "not claimed": reason,
        "held": held_by(step, held, paused, session.typed),
        "waits for": "\n".join(missing) or waits_for(step, session.typed),
    }
    out.fields(_step_fields(step, met, stands))


def _run_fields(run: Run, progress: RunProgress, stands: dict[str, str]) -> dict[str, Any]:
    counts = [f"{progress.total:,} in all"]
    for name in ("open", "succeeded", "failed", "canceled", "skipped"):
        if number := getattr(progress, name):
            counts.append(f"{number:,} {name}")
    return {
        "run": run.id,
        "name": run.name if run.name != run.package else "",
        "package": run.package,
        "entrypoint": run.entrypoint,
        "status": run.status,
        "summary": run.summary,
        "error": _failure(run.error, short=True),
        "steps": ", ".join(counts),
        "running": ", ".join(progress.running[:10]),
        **stands,
        "input": json_cell(run.input),
        "metadata": json_cell(run.metadata) if run.metadata else "",
        "tags": ", ".join(run.tags),
        "parent": f"{run.parent_run} {run.parent_step}" if run.parent_run else "",
        "queue": run.queue,
        "priority": run.priority,
        "partition key": run.partition_key,
        "version": run.version,
        "dedup key": run.dedup_key,
        "replaced": counted(run.replaced, "time") if run.replaced else "",
        "created": run.created_at,
        "starts at": run.start_at,
        "starts by": run.start_by,
        "started": run.started_at,
        "timeout": run.timeout,
        "deadline": run.deadline,
        "ended": run.ended_at,
    }


def _step_fields(step: Step, needs: list[str], stands: dict[str, str]) -> dict[str, Any]:
    return {
        "step": step.id,
        "run": step.run_id,
        "kind": step.kind,
        "status": step.status,
        **stands,
        "error": _failure(step.error),
        "traceback": (step.error.cause or "").rstrip() if step.error else "",
        "queue": step.queue,
        "priority": step.priority,
        "attempt": f"{step.attempt} ({step.failures} failed of {step.max_attempts} allowed)",
        "depends on": "\n".join(needs),
        "emitted by": step.parent,
        "worker": step.worker,
        "timeout": step.timeout,
        "dedup key": step.dedup_key,
        "input": json_cell(step.input),
        "metadata": json_cell(step.metadata) if step.metadata else "",
        "created": step.created_at,
        "ready": step.ready_at,
        "started": step.started_at,
        "ended": step.ended_at,
    }


def _failure(failure: Failure | None, *, short: bool = False) -> str:
    if failure is None:
        return ""
    origin = f" (from {failure.step})" if failure.step else ""
    text = f"{failure.code}: {failure.message}{origin}"
    if short:
        return text.partition("\n")[0]
    details = f"\n{json_cell(failure.details)}" if failure.details else ""
    return text + details
