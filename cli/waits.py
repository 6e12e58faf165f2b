"""Says what a step or a run waits for, with the command that lets it continue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from stepwell.cli.output import duration, moment
from stepwell.engine.events import Event, EventType
from stepwell.engine.model import EdgeRow, Step, StepWait
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.states import Condition, RunStatus, StepStatus, Verdict, verdict

# Formats a command for a person to type.
Typed = Callable[..., str]

# How many waiting steps, or dependencies, are listed.
NAMED = 10
# How many dependencies of a step are searched for unmet ones.
LOOKED_AT = 200
# How a dependency has to end.
_MUST = {Condition.SUCCEEDED: "succeed", Condition.FINISHED: "end", Condition.FAILED: "fail"}


def waits_for(step: Step, typed: Typed) -> str:
    """What a waiting step waits for, and how to provide it; empty for other steps."""
    wait = step.wait
    if wait is None:
        return ""
    until = _until(wait)
    if wait.waits:
        mode = "the first of" if wait.kind == "any" else "all of"
        each = (_named(step, one, typed) for one in wait.waits)
        return f"{mode} {len(wait.waits)}{until}: " + " | ".join(each)
    return _waits_for(step, wait, until, typed)


def _named(step: Step, wait: StepWait, typed: Typed) -> str:
    """One of several waits, with its name or place."""
    label = (wait.operation or "").rpartition(".")[2]
    return f"{label}: {_waits_for(step, wait, _until(wait), typed)}"


def _waits_for(step: Step, wait: StepWait, until: str, typed: Typed) -> str:
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


@dataclass(frozen=True, slots=True)
class Act:
    """An operator's act that is still in effect: who, why, and when."""

    by: str
    reason: str
    at: datetime | None

    def __str__(self) -> str:
        since = "" if self.at is None else f" since {moment(self.at)}"
        return f"by {self.by}{since}{f' ({self.reason})' if self.reason else ''}"


def who_paused(runtime: Runtime, run_id: str, status: RunStatus) -> Act | None:
    """Who paused a run; None if it is not paused."""
    if status is not RunStatus.PAUSED:
        return None
    return _act(runtime.last_event(run_id, EventType.RUN_PAUSED))


def who_holds(runtime: Runtime, step: Step) -> Act | None:
    """Who holds this step itself; None if nobody does."""
    if not step.held or step.status.ended:
        return None
    return _act(runtime.last_event(step.run_id, EventType.STEP_HELD, step.id))


def _act(event: Event | None) -> Act:
    if event is None:  # the store was written by other means
        return Act("an operator", "", None)
    return Act(event.data["by"], event.data["reason"], event.at)


def held_by(step: Step, held: Act | None, paused: Act | None, typed: Typed) -> str:
    """Who holds a step, and how to release it; empty if nobody does."""
    if step.status.ended or step.status is StepStatus.RUNNING:
        return ""
    holds = []
    if held is not None:
        holds.append(f"{held}; let it go on: {typed('release', step.run_id, step.id)}")
    if paused is not None:
        resume = typed("resume", step.run_id)
        holds.append(f"its run is paused {paused}; let it go on: {resume}")
    return "\n".join(holds)


def paused_by(run_id: str, paused: Act | None, typed: Typed) -> str:
    """Who paused a run, and how to resume it; empty if it is not paused."""
    if paused is None:
        return ""
    return f"{paused}; no step is claimed; let it go on: {typed('resume', run_id)}"


def waiting_lines(runtime: Runtime, run_id: str, typed: Typed) -> list[str]:
    """A line for each waiting or held step of a run, up to a limit."""
    waiting = runtime.steps(run_id, status=StepStatus.WAITING, limit=NAMED + 1)
    lines = [
        f"step {step.id} waits for {waits_for(step, typed)}{_and_held(runtime, step, typed)}"
        for step in waiting[:NAMED]
    ]
    if len(waiting) > NAMED:
        lines.append(f"… and more: {typed('show', run_id, '--status', 'waiting')}")
    held = [
        step
        for step in runtime.steps(run_id, status=StepStatus.HELD, limit=2 * NAMED + 1)
        if step.held and step.status is not StepStatus.WAITING
    ]
    lines += [
        f"step {step.id} is held {who_holds(runtime, step)}; let it go on: "
        f"{typed('release', run_id, step.id)}"
        for step in held[:NAMED]
    ]
    if len(held) > NAMED:
        lines.append(f"… and more: {typed('show', run_id, '--status', 'held')}")
    return lines


def why_it_stands(runtime: Runtime, run_id: str, typed: Typed) -> list[str]:
    """What a run waits for, if no step of it can continue by itself; else empty.

    A run that waits for the end of another one is stuck only if that one is.
    """
    return _why(runtime, run_id, typed, set())


def _why(runtime: Runtime, run_id: str, typed: Typed, seen: set[str]) -> list[str]:
    seen.add(run_id)
    counts = runtime.progress(run_id)
    if counts.status.ended:
        return []
    if counts.status is RunStatus.PAUSED:
        paused = who_paused(runtime, run_id, counts.status)
        return [f"run {run_id} is paused {paused}; let it go on: {typed('resume', run_id)}"]
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
    each = (one for wait in waits if wait is not None for one in (wait, *wait.waits))
    return {wait.run_id for wait in each if wait.run_id is not None}


def _until(wait: StepWait) -> str:
    if wait.until is not None:
        return f", until {moment(wait.until)}"
    if wait.left is not None:
        return f", with {duration(wait.left.total_seconds())} left"
    return ""


def _and_held(runtime: Runtime, step: Step, typed: Typed) -> str:
    held = who_holds(runtime, step)
    if held is None:
        return ""
    return f"; it is held {held}, let it go on: {typed('release', step.run_id, step.id)}"


def needs_of(runtime: Runtime, step: Step, edges: Sequence[EdgeRow]) -> tuple[list[str], list[str]]:
    """The dependencies of a step, and those that a pending one still waits for, up to a limit.

    Each comes with the status of the other step, and how that must end.
    """
    pending = step.pending if step.status is StepStatus.PENDING else 0
    met: list[str] = []
    missing: list[str] = []
    for edge in edges[:LOOKED_AT]:
        if len(met) >= min(NAMED, len(edges) - pending) and len(missing) >= min(NAMED, pending):
            break
        status = runtime.step(step.run_id, edge.target).status
        subtree = " and all it emits" if edge.subtree else ""
        told = f"{edge.target}{subtree} ({status.value}; must {_MUST[edge.condition]})"
        waited_for = pending and verdict(edge.condition, status) is not Verdict.MET
        (missing if waited_for else met).append(told)
    return _first(met, len(edges) - pending), _first(missing, pending)


def _first(told: list[str], of: int) -> list[str]:
    more = of - min(len(told), NAMED)
    return told[:NAMED] + ([f"… and {more:,} more; see --json"] if more > 0 else [])
