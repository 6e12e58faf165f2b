"""What a step or a run waits for, in words, with the command that lets it go on."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.cli.output import duration, moment
from stepwell.engine.model import Step, StepWait
from stepwell.engine.runtime import Runtime
from stepwell.engine.states import RunStatus, StepStatus

# How a command is written for the person who is to type it.
Typed = Callable[..., str]

# So many waiting steps are named one by one.
NAMED = 10


def waits_for(step: Step, typed: Typed) -> str:
    """What a waiting step waits for, and how to give it; empty for other steps."""
    wait = step.wait
    if wait is None:
        return ""
    until = _until(wait)
    if wait.kind == "message" and wait.topic is not None:
        send = typed("send", step.run_id, wait.topic, "JSON")
        return f"a message on topic {wait.topic!r}{until}; send one: {send}"
    if wait.kind == "approval":
        approve, reject = (typed(word, step.run_id, step.id) for word in ("approve", "reject"))
        return f"a decision{until}; give it: {approve}, or: {reject}"
    if wait.kind == "sleep":
        return f"a time{until}"
    if wait.value is not None:
        run_id, key = wait.value
        return f"a value for {key!r} from run {run_id!r}{until}"
    if wait.run_id is not None:
        return f"the end of run {wait.run_id!r}{until}"
    if wait.kind == "paused":
        return f"the end of the pause in its checkpoint{until}, when it looks again"
    return f"{wait.kind}{until}"


def held_by(step: Step, run_status: RunStatus, typed: Typed) -> str:
    """Who holds a step back, and how to let it go on; empty where nobody does."""
    if step.status.ended or step.status is StepStatus.RUNNING:
        return ""
    holds = []
    if step.held:
        release = typed("release", step.run_id, step.id)
        holds.append(f"an operator holds this step; let it go on: {release}")
    if run_status is RunStatus.PAUSED:
        holds.append(f"its run is paused; let it go on: {typed('resume', step.run_id)}")
    return "\n".join(holds)


def paused(run_id: str, run_status: RunStatus, typed: Typed) -> str:
    """How to let a paused run go on; empty where it is not paused."""
    if run_status is not RunStatus.PAUSED:
        return ""
    return f"no step is claimed; let it go on: {typed('resume', run_id)}"


def waiting_lines(runtime: Runtime, run_id: str, typed: Typed) -> list[str]:
    """A line for each waiting or held step of a run, the first ones of many."""
    waiting = runtime.steps(run_id, status=StepStatus.WAITING, limit=NAMED + 1)
    lines = [
        f"step {step.id} waits for {waits_for(step, typed)}{_and_held(step, typed)}"
        for step in waiting[:NAMED]
    ]
    if len(waiting) > NAMED:
        lines.append(f"… and more: {typed('show', run_id, '--status', 'waiting')}")
    held = [
        step for step in runtime.steps(run_id, status=StepStatus.HELD, limit=NAMED + 1) if step.held
    ]
    lines += [
        f"step {step.id} is held; let it go on: {typed('release', run_id, step.id)}"
        for step in held[:NAMED]
    ]
    if len(held) > NAMED:
        lines.append(f"… and more: {typed('show', run_id, '--status', 'held')}")
    return lines


def why_it_stands(runtime: Runtime, run_id: str, typed: Typed) -> list[str]:
    """What a run waits for of which nothing can go on by itself; empty for one that works.

    A run that waits for the end of another stands only where that one does.
    """
    return _why(runtime, run_id, typed, set())


def _why(runtime: Runtime, run_id: str, typed: Typed, seen: set[str]) -> list[str]:
    seen.add(run_id)
    counts = runtime.progress(run_id)
    if counts.status.ended:
        return []
    if counts.status is RunStatus.PAUSED:
        return [f"run {run_id} is paused; let it go on: {typed('resume', run_id)}"]
    if counts.running or runtime.steps(run_id, status=StepStatus.READY, limit=1):
        return []
    lines = waiting_lines(runtime, run_id, typed)
    for other in _awaited_runs(runtime, run_id) - seen:
        why = _why(runtime, other, typed, seen)
        if not why:
            return []
        lines += why
    return lines


def _awaited_runs(runtime: Runtime, run_id: str) -> set[str]:
    waits = (step.wait for step in runtime.steps(run_id, status=StepStatus.WAITING, limit=NAMED))
    return {wait.run_id for wait in waits if wait is not None and wait.run_id is not None}


def _until(wait: StepWait) -> str:
    if wait.until is not None:
        return f", until {moment(wait.until)}"
    if wait.left is not None:
        # What is overdue and held back has nothing left to wait for.
        return f", with {duration(max(0.0, wait.left.total_seconds()))} left"
    return ""


def _and_held(step: Step, typed: Typed) -> str:
    if not step.held:
        return ""
    return f"; it is held, let it go on: {typed('release', step.run_id, step.id)}"
