"""The states of runs and steps, and the one table of the transitions of steps.

::

    run    pending ─▶ running ─▶ succeeded | failed | canceled        (⇄ paused, by an operator)

    step   pending ─▶ ready ─▶ running ─▶ succeeded | failed | canceled
              │         ▲ │        ├─▶ ready      retry later, released, lease lapsed
              │         │ ▼        └─▶ waiting ─▶ ready      durable wait, no slot, no lease
              │        held
              └─▶ canceled | skipped

Stores build the guards of their statements from `STEP_TRANSITIONS`, the only source of these rules.
"""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """The status of a run."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """True when only an operator can change the run again."""
        return self in RUN_ENDED


class StepStatus(StrEnum):
    """The status of a step."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """True when only an operator can change the step again."""
        return self in STEP_ENDED


class Condition(StrEnum):
    """When a dependency is met: after success, after any end, or after a failure."""

    SUCCEEDED = "succeeded"
    FINISHED = "finished"
    FAILED = "failed"


class Verdict(StrEnum):
    """What the status of a dependency's target means for the step that depends on it."""

    WAIT = "wait"
    MET = "met"
    CANCEL = "cancel"
    SKIP = "skip"


class Act(StrEnum):
    """Everything that changes the status of a step."""

    READY = "ready"  # the last unmet dependency was met
    CLAIM = "claim"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"  # the attempt failed and is retried later
    RELEASE = "release"  # its worker gave it back, uncharged
    LAPSE = "lapse"  # the lease ran out
    LOSE = "lose"  # the lease ran out once too often
    SUSPEND = "suspend"
    WAKE = "wake"
    HOLD = "hold"
    UNHOLD = "unhold"
    CANCEL = "cancel"  # by an operator, or because a required dependency did not succeed
    SKIP = "skip"  # the branch was not taken
    REOPEN = "reopen"  # an operator retries an ended step
    UNREADY = "unready"  # a dependency was reopened before the step started


RUN_ENDED = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED})
STEP_ENDED = frozenset(
    {StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.CANCELED, StepStatus.SKIPPED}
)
STEP_OPEN = frozenset(StepStatus) - STEP_ENDED

_S = StepStatus
STEP_TRANSITIONS: dict[Act, tuple[frozenset[StepStatus], StepStatus]] = {
    Act.READY: (frozenset({_S.PENDING}), _S.READY),
    Act.CLAIM: (frozenset({_S.READY}), _S.RUNNING),
    Act.SUCCEED: (frozenset({_S.RUNNING}), _S.SUCCEEDED),
    Act.FAIL: (frozenset({_S.RUNNING}), _S.FAILED),
    Act.RETRY: (frozenset({_S.RUNNING}), _S.READY),
    Act.RELEASE: (frozenset({_S.RUNNING}), _S.READY),
    Act.LAPSE: (frozenset({_S.RUNNING}), _S.READY),
    Act.LOSE: (frozenset({_S.RUNNING}), _S.FAILED),
    Act.SUSPEND: (frozenset({_S.RUNNING}), _S.WAITING),
    Act.WAKE: (frozenset({_S.WAITING}), _S.READY),
    Act.HOLD: (frozenset({_S.READY}), _S.HELD),
    Act.UNHOLD: (frozenset({_S.HELD}), _S.READY),
    Act.CANCEL: (STEP_OPEN, _S.CANCELED),
    Act.SKIP: (frozenset({_S.PENDING}), _S.SKIPPED),
    Act.REOPEN: (frozenset({_S.FAILED, _S.CANCELED, _S.SKIPPED}), _S.PENDING),
    Act.UNREADY: (frozenset({_S.READY, _S.HELD}), _S.PENDING),
}


def sources(act: Act) -> frozenset[StepStatus]:
    """The statuses a step may be in for `act` to apply."""
    return STEP_TRANSITIONS[act][0]


def target(act: Act) -> StepStatus:
    """The status `act` leads to."""
    return STEP_TRANSITIONS[act][1]


def verdict(condition: Condition, status: StepStatus) -> Verdict:
    """What a target in `status` means for a dependency with `condition`.

    A required dependency cancels if its target ends without success; if the target was itself
    skipped, the branch was not taken, and the dependent is skipped too.
    """
    if status not in STEP_ENDED:
        return Verdict.WAIT
    if condition is Condition.FINISHED:
        return Verdict.MET
    if condition is Condition.FAILED:
        return Verdict.MET if status is StepStatus.FAILED else Verdict.SKIP
    if status is StepStatus.SUCCEEDED:
        return Verdict.MET
    return Verdict.SKIP if status is StepStatus.SKIPPED else Verdict.CANCEL


def run_end(*, canceled: bool, unhandled_failures: bool) -> RunStatus:
    """The status of a run that has no open step left."""
    if canceled:
        return RunStatus.CANCELED
    return RunStatus.FAILED if unhandled_failures else RunStatus.SUCCEEDED
