"""Finds living workers, and why none of them takes a ready step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from stepwell.cli.session import Session
from stepwell.cli.waits import Typed
from stepwell.engine.clock import SystemClock, to_datetime
from stepwell.engine.model import QueueStatus, RunProgress, Step, WorkerRow
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.states import StepStatus

# How many ready steps of a run are examined.
LOOKED_AT = 1_000


def why_nobody_takes(
    step: Step,
    workers: Sequence[WorkerRow],
    queues: Sequence[QueueStatus],
    since: datetime,
    typed: Typed,
) -> str:
    """Why no worker seen since then takes this step; empty if one of them can.

    Only for ready steps: others do not wait for a worker.
    """
    if step.status is not StepStatus.READY:
        return ""
    live = living(workers, since)
    if not live:
        return f"no worker is running; start one: {typed('worker')}"
    knowing = [worker for worker in live if step.kind in worker.kinds]
    if not knowing:
        return f"no live worker runs steps of kind {step.kind!r}; start one with its package"
    listening = [w for w in knowing if w.queues is None or step.queue in w.queues]
    if not listening:
        return f"no live worker of its kind works on queue {step.queue!r}; see --queues"
    wanted = {label for queue in queues if queue.name == step.queue for label in queue.labels}
    if not any(wanted <= set(worker.labels) for worker in listening):
        names = ", ".join(sorted(wanted))
        return f"no live worker has the labels that queue {step.queue!r} asks for: {names}"
    return ""


def why_nobody_goes_on(session: Session, runtime: Runtime, progress: RunProgress, run: str) -> str:
    """Why no worker takes any ready step of a run, a line for each reason.

    Empty if a step of the run is running, if none is ready, or if a worker can take one.
    """
    if progress.running:
        return ""
    ready = runtime.steps(run, status=StepStatus.READY, limit=LOOKED_AT)
    alike = {(step.kind, step.queue): step for step in ready}
    if not alike:
        return ""
    workers, queues, since = runtime.workers(), runtime.queues(), seen_since(session)
    reasons = [
        why_nobody_takes(step, workers, queues, since, session.again) for step in alike.values()
    ]
    return "\n".join(dict.fromkeys(reasons)) if all(reasons) else ""


def living(workers: Sequence[WorkerRow], since: datetime) -> list[WorkerRow]:
    """The workers that were seen since then."""
    return [worker for worker in workers if worker.seen_at >= since]


def seen_since(session: Session) -> datetime:
    """The time since which a worker must have been seen to count as alive, by the lease setting.

    A worker reports every third of its lease; one silent for a whole lease has lost its steps.
    """
    return wall_time() - timedelta(seconds=session.configuration.engine.lease)


def wall_time() -> datetime:
    """The time by this machine's clock."""
    return to_datetime(SystemClock().micros())
