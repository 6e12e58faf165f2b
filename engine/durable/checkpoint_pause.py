"""How an execution that is paused through its checkpoint checks whether the pause is over."""

from __future__ import annotations

from datetime import timedelta

from stepwell.engine.checkpoints.checkpoint import Checkpoint, CheckpointWait
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.payloads.payload import decode

# The kind of its wait meanwhile; `operation` is `pause#<looks>`.
PAUSED = "paused"
# The delays between checks, in seconds: longer and longer.
PAUSE_MIN = 1.0
PAUSE_MAX = 60.0


def looks(step: ClaimedStep) -> int:
    """How often earlier executions of the step have checked."""
    waited = decode(step.wait) if step.wait else {}
    if waited.get("kind") != PAUSED:
        return 0
    return int(str(waited.get("operation")).rpartition("#")[2])


def delay(looks: int) -> float:
    """Seconds until the next check, after this many."""
    return float(min(PAUSE_MIN * 2 ** min(looks, 10), PAUSE_MAX))


def noticed(found: Checkpoint, step: ClaimedStep) -> CheckpointWait | None:
    """The wait in a checkpoint, at the moment when its step checks it.

    A wait for an event could not end before the end of the pause was noticed, so it gets the time
    since the last check in addition.
    """
    wait, before = found.wait, looks(step)
    if wait is None or wait.wake_at is None or not before or found.pause_requested:
        return wait
    if wait.kind == "sleep":
        return wait
    since = timedelta(seconds=delay(before - 1))
    return wait.model_copy(update={"wake_at": wait.wake_at + since})
