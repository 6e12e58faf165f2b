"""`stepwell show`: a run with its steps, or one step."""

from __future__ import annotations

from typing import Any

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command, limit_option
from stepwell.cli.output import counted, json_cell
from stepwell.cli.session import Session
from stepwell.cli.standstill import seen_since, why_nobody_goes_on, why_nobody_takes
from stepwell.cli.waits import held_by, paused, waiting_lines, waits_for
from stepwell.engine.model import EdgeRow, Failure, Run, RunProgress, Step
from stepwell.engine.runtime import Runtime

EDGES_SHOWN = 10


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("step", metavar="[STEP]", required=False)
@click.option("--status", metavar="STATUS", help="Only steps in this status.")
@limit_option("steps")
@click.pass_obj
def show(session: Session, run: str, step: str | None, status: str | None, limit: int) -> None:
    """Show a run with its steps, or one step."""
    out = session.output
    with session.reading() as runtime:
        found = find_run(runtime, run)
        if step is not None:
            one = runtime.step(found.id, step)
            edges = [edge for edge in runtime.edges(found.id) if edge.step == step]
            reason = _standstill(session, runtime, one)
            if out.json:
                out.value({"step": one, "dependencies": edges, "not_claimed": reason or None})
            else:
                holds = {"held": held_by(one, found.status, session.typed)}
                waits = {"waits for": _pending(one) or waits_for(one, session.typed)}
                out.fields(_step_fields(one, edges, {"not claimed": reason} | holds | waits))
            return
        progress = runtime.progress(found.id)
        steps = runtime.steps(found.id, status=status, limit=limit)
        reason = why_nobody_goes_on(session, runtime, progress, found.id)
        waiting = [] if out.json else waiting_lines(runtime, found.id, session.typed)
    if out.json:
        out.value(
            {"run": found, "progress": progress, "steps": steps, "not_claimed": reason or None}
        )
        return
    stands = {"paused": paused(found.id, found.status, session.typed), "not claimed": reason}
    out.fields(_run_fields(found, progress, stands | {"waiting": "\n".join(waiting)}))
    if steps:
        out.line()
    out.table(
        ("step", "status", "kind", "attempt", "error"),
        [
            (item.id, item.status, item.kind, item.attempt, _failure(item.error, short=True))
            for item in steps
        ],
    )
    if status is None and progress.total > len(steps):
        out.say(f"{progress.total - len(steps):,} more steps; see --limit and --status")


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
        "steps": ", ".join(counts),
        "running": ", ".join(progress.running[:10]),
        **stands,
        "input": json_cell(run.input),
        "metadata": json_cell(run.metadata) if run.metadata else "",
        "tags": ", ".join(run.tags),
        "parent": f"{run.parent_run} {run.parent_step}" if run.parent_run else "",
        "created": run.created_at,
        "started": run.started_at,
        "ended": run.ended_at,
    }


def _standstill(session: Session, runtime: Runtime, step: Step) -> str:
    workers, queues = runtime.workers(), runtime.queues()
    return why_nobody_takes(step, workers, queues, seen_since(session), session.again)


def _pending(step: Step) -> str:
    return counted(step.pending, "step") if step.pending else ""


def _step_fields(step: Step, edges: list[EdgeRow], stands: dict[str, str]) -> dict[str, Any]:
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
        "depends on": "\n".join(_edges(edges)),
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


def _edges(edges: list[EdgeRow]) -> list[str]:
    lines = [_edge(edge) for edge in edges[:EDGES_SHOWN]]
    if len(edges) > EDGES_SHOWN:
        lines.append(f"… and {len(edges) - EDGES_SHOWN:,} more; see --json")
    return lines


def _edge(edge: EdgeRow) -> str:
    subtree = " and all it emits" if edge.subtree else ""
    return f"{edge.target}{subtree} ({edge.condition.value})"


def _failure(failure: Failure | None, *, short: bool = False) -> str:
    if failure is None:
        return ""
    origin = f" (from {failure.step})" if failure.step else ""
    text = f"{failure.code}: {failure.message}{origin}"
    if short:
        return text.partition("\n")[0]
    details = f"\n{json_cell(failure.details)}" if failure.details else ""
    return text + details
