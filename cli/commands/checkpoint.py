"""`stepwell checkpoint`: what a step has recorded so far."""

from __future__ import annotations

from datetime import UTC

import click

from stepwell.cli.lookup import find_run
from stepwell.cli.options import Command
from stepwell.cli.output import json_cell, json_text
from stepwell.cli.session import Session
from stepwell.engine.checkpoints.checkpoint import Checkpoint, CheckpointWait, Operation


@click.command(cls=Command)
@click.argument("run", metavar="RUN")
@click.argument("step", metavar="STEP")
@click.pass_obj
def checkpoint(session: Session, run: str, step: str) -> None:
    """Show the operations a step has recorded.

    Also shows its variables; with --json the whole checkpoint. Exit code 3 if it has recorded
    nothing.
    """
    out = session.output
    with session.reading() as runtime:
        found = runtime.checkpoint(find_run(runtime, run).id, step)
    if out.json:
        out.value(found.model_dump())
        return
    out.fields(_fields(found))
    if found.operations:
        out.line()
    out.table(
        ("operation", "kind", "attempts", "seconds", "ended", "value"),
        [
            (
                *(item.id, item.kind, item.attempts, _seconds(item)),
                *(None if item.ended is None else item.ended.astimezone(UTC), _end(item)),
            )
            for item in found.operations
        ],
    )
    if not found.operations:
        out.say("no operations yet")


def _fields(found: Checkpoint) -> dict[str, object]:
    paused = ""
    if found.pause_requested:
        paused = f"requested{': ' if found.pause_reason else ''}{found.pause_reason}"
    error = found.error
    return {
        "execution": found.execution_id,
        "status": found.status,
        "pause": paused,
        "waits for": "" if found.wait is None else _wait(found.wait),
        "error": "" if error is None else f"{error.code}: {error.message}",
        "variables": json_cell(found.variables) if found.variables else "",
        "saved": found.checkpoint_at,
    }


def _wait(wait: CheckpointWait) -> str:
    text = f"{wait.kind} of {wait.operation}"
    if wait.topic is not None and wait.kind != "approval":
        text += f" on {wait.topic}"
    if wait.remaining is not None:
        return f"{text}, {max(0.0, wait.remaining):g} s left"
    if wait.wake_at is not None:
        return f"{text}, until {wait.wake_at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    return text


def _seconds(operation: Operation) -> str:
    """How long its function took; a wait has no function, and its length is not recorded."""
    if operation.kind != "do":
        return "-"
    if operation.started is None or operation.ended is None:
        return ""
    return f"{(operation.ended - operation.started).total_seconds():.3f}"


def _end(operation: Operation) -> str:
    """Its value, or its error, and whether the next attempt runs it again."""
    if operation.error is None:
        return json_text(operation.value, indent=None)
    again = " (to run again)" if operation.open else ""
    return f"{operation.error.code}: {operation.error.message}{again}"
