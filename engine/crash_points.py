"""The points at which a process may die: every commit, rename, fsync and acknowledgement.

The product only reports that it reached a point; nothing happens until a test arms a hook, which
may kill the process, raise, or switch to another simulated process. Add the points of every new
write to this list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum


class Write(StrEnum):
    """The kinds of write transactions, each with four points.

    `before_begin`: nothing was sent. `before_commit`: its statements have run. `after_commit`: it
    is durable, but no thread knows yet; writes of other threads may have been committed with it.
    `before_acknowledgement`: its own thread knows, but has not returned to the caller.
    """

    MIGRATE = "migrate"
    DEFINE_QUEUES = "define queues"
    START_RUN = "start run"
    CLAIM = "claim"
    SETTLE = "settle"
    SETTLE_AND_CLAIM = "settle and claim"
    RENEW = "renew"
    CHECK_LEASE = "check lease"
    RELEASE_OTHERS = "release others"
    REAP = "reap"
    WAKE = "wake"
    ENFORCE_LIMITS = "enforce_limits"
    RECORD_WORKER = "record worker"
    FORGET_WORKER = "forget worker"
    FORGET_SILENT_WORKERS = "forget silent workers"
    RETRY_STEP = "retry step"
    RETRY_RUN = "retry run"
    CANCEL_RUN = "cancel run"
    PAUSE_RUN = "pause run"
    RESUME_RUN = "resume run"
    HOLD_STEP = "hold step"
    RELEASE_STEP = "release step"
    SEND = "send"
    RECEIVE = "receive"
    REFUSE = "refuse"
    DECIDE = "decide"
    SET_VALUE = "set value"
    KV_SET = "kv set"
    KV_DELETE = "kv delete"
    CHECKPOINT = "checkpoint"
    PROJECTION = "projection"
    KEEP_FEED = "keep feed"

    def __init__(self, what: str) -> None:
        self.before_begin = f"{what}: before the begin"
        self.before_commit = f"{what}: before the commit"
        self.after_commit = f"{what}: after the commit"
        self.before_acknowledgement = f"{what}: before the acknowledgement"


class Point(StrEnum):
    """The points outside of write transactions."""

    # inside one
    SETTLED = "settle and claim: after what was settled and before the claim"

    # a worker's cycle and its end
    CLAIMED = "worker: after a claim and before its steps are handed to their pools"
    DELIVERED = "worker: after outcomes came in and before they are settled"
    BEFORE_RENEWAL = "worker: before its leases are renewed"
    AFTER_RENEWAL = "worker: after its leases were renewed"
    DRAINING = "worker: at its end, before it gives back what it has not begun"
    BEFORE_RELEASE = "worker: before it releases what it could not finish"
    AFTER_RELEASE = "worker: after it released what it could not finish"
    STOPPED = "worker: after its pools were stopped"

    # a child process
    BEFORE_HAND_OVER = "process pool: before a step is sent to a child"
    AFTER_HAND_OVER = "process pool: after a step was sent to a child"
    CHILD_DONE = "process pool: after a child's outcome came and before it is delivered"

    # a durable operation
    OPERATION_DONE = "operation: after it was done and before it is recorded"
    OPERATION_RECORDED = "operation: after it was recorded"

    # a checkpoint file
    CHECKPOINT_FOLDER_MADE = "checkpoint file: after its folder was made and before that is synced"
    CHECKPOINT_CREATED = "checkpoint file: after a new one was made, still empty"
    CHECKPOINT_WRITTEN = "checkpoint file: after a new one was written and before it is synced"
    CHECKPOINT_SYNCED = "checkpoint file: after a new one was synced and before it is renamed"
    CHECKPOINT_RENAMED = "checkpoint file: after it was renamed and before its folder is synced"
    CHECKPOINT_REPLACED = "checkpoint file: after its folder was synced"
    CHECKPOINT_CUT = "checkpoint file: after a torn end was cut off"
    CHECKPOINT_APPENDED = "checkpoint file: after a line was written and before it is synced"
    CHECKPOINT_EXTENDED = "checkpoint file: after a line was synced"
    CHECKPOINT_FOLDING = "checkpoint file: before its lines are folded"
    CHECKPOINT_REMOVED = "checkpoint file: after it was removed and before its folder is synced"
    CHECKPOINT_GONE = "checkpoint file: after the folder of a removed one was synced"

    # an artifact in a file
    FOLDER_MADE = "folder: after it was made and before its parent is synced"
    ARTIFACT_FOLDER_MADE = "artifact: after its folder was made and before that is synced"
    ARTIFACT_CREATED = "artifact: after its temporary file was made"
    ARTIFACT_WRITTEN = "artifact: after its bytes were written and before they are synced"
    ARTIFACT_SYNCED = "artifact: after its bytes were synced and before it is renamed"
    ARTIFACT_RENAMED = "artifact: after it was renamed and before its folder is synced"
    ARTIFACT_STORED = "artifact: after its folder was synced"
    ARTIFACT_REMOVED = "artifact: after it was removed and before its folder is synced"
    ARTIFACT_GONE = "artifact: after the folder of a removed one was synced"
    ARTIFACT_SWEEP = "artifact: before what a killed writer left is removed"

    # a file that a command writes
    OUTPUT_WRITTEN = "output file: after it was written and before it is renamed"
    OUTPUT_REPLACED = "output file: after it was renamed"


class Stage(StrEnum):
    """Points in the life of one step, as its author sees them, named by step and operation.

    Only the virtual runtime of `stepwell.testing` reports them; for the product, each lies between
    the transactions above.
    """

    BODY_BEGINS = "before the body of {}"
    BODY_ENDED = "after the body of {} and before its end was settled"
    SETTLED = "after {} settled"
    OPERATION_BEGINS = "before {}"
    OPERATION_FAILED = "after {} failed and before that was recorded"
    OPERATION_OVER = "after {} was over and before that was recorded"
    OPERATION_DONE = "after {} was done and before it was recorded"
    OPERATION_RECORDED = "after {} was recorded"

    def of(self, what: str) -> str:
        """The point, for this step or operation."""
        return self.value.format(what)


# All points that the product reports.
POINTS: frozenset[str] = frozenset(Point) | {
    point
    for write in Write
    for point in (
        write.before_begin,
        write.before_commit,
        write.after_commit,
        write.before_acknowledgement,
    )
}

# Called with each point that any thread of this process reaches; what it raises is raised there.
Hook = Callable[[str], object]

_hooks: list[Hook] = []


def reach(point: str) -> None:
    """The process is at this point."""
    if _hooks:
        _hooks[-1](point)


def is_armed() -> bool:
    """Whether a hook is armed."""
    return bool(_hooks)


@contextmanager
def armed(hook: Hook) -> Iterator[None]:
    """Call `hook` at every point, in any thread, during the `with` block."""
    _hooks.append(hook)
    try:
        yield
    finally:
        _hooks.remove(hook)
