"""Why nobody takes a step that is ready: what the workers that live cannot do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from stepwell.engine.model import QueueStatus, Step, WorkerRow
from stepwell.engine.states import StepStatus

# A worker is seen every third of its lease; one that was not seen for so many is taken for dead.
SILENT_LEASES = 2


def why_nobody_takes(
    step: Step,
    workers: Sequence[WorkerRow],
    queues: Sequence[QueueStatus],
    seen_since: datetime,
) -> str:
    """What keeps all workers seen since then from this step; empty if one of them can take it.

    Only of ready steps: others wait for something else than a worker.
    """
    if step.status is not StepStatus.READY:
        return ""
    live = [worker for worker in workers if worker.seen_at >= seen_since]
    if not live:
        return "no worker is running; start one: stepwell worker"
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


def still_seen(now: datetime, lease: float) -> datetime:
    """Since when a worker with this lease must have been seen to count as alive."""
    return now - timedelta(seconds=SILENT_LEASES * lease)
