"""The transition table as a table: every act on every status, written out here once more."""

from __future__ import annotations

import itertools

import pytest

from stepwell.engine.states import (
    RUN_ENDED,
    STEP_ENDED,
    STEP_OPEN,
    STEP_TRANSITIONS,
    Act,
    Condition,
    RunStatus,
    StepStatus,
    Verdict,
    run_end,
    sources,
    target,
    verdict,
)

STATUSES = [
    *("pending", "ready", "running", "waiting", "held"),
    *("succeeded", "failed", "canceled", "skipped"),
]
# One row an act: the status it leads to, and a mark for each status it may be done in, in the
# order above.
TABLE = """
    ready    ready      x . . . . . . . .
    claim    running    . x . . . . . . .
    succeed  succeeded  . . x . . . . . .
    fail     failed     . . x . . . . . .
    retry    ready      . . x . . . . . .
    release  ready      . . x . . . . . .
    lapse    ready      . . x . . . . . .
    lose     failed     . . x . . . . . .
    suspend  waiting    . . x . . . . . .
    wake     ready      . . . x . . . . .
    hold     held       . x . . . . . . .
    unhold   ready      . . . . x . . . .
    cancel   canceled   x x x x x . . . .
    skip     skipped    x . . . . . . . .
    reopen   pending    . . . . . . x x x
    unready  pending    . x . . x . . . .
"""
ROWS = {words[0]: words[1:] for line in TABLE.strip().splitlines() if (words := line.split())}

VERDICTS = {
    ("succeeded", "succeeded"): "met",
    ("succeeded", "failed"): "cancel",
    ("succeeded", "canceled"): "cancel",
    ("succeeded", "skipped"): "skip",
    ("finished", "succeeded"): "met",
    ("finished", "failed"): "met",
    ("finished", "canceled"): "met",
    ("finished", "skipped"): "met",
    ("failed", "succeeded"): "skip",
    ("failed", "failed"): "met",
    ("failed", "canceled"): "skip",
    ("failed", "skipped"): "skip",
}


def test_the_table_above_knows_every_act_and_status() -> None:
    assert list(ROWS) == [act.value for act in Act]
    assert [status.value for status in StepStatus] == STATUSES
    assert set(STEP_TRANSITIONS) == set(Act)


@pytest.mark.parametrize("status", StepStatus)
@pytest.mark.parametrize("act", Act)
def test_act_in_status(act: Act, status: StepStatus) -> None:
    leads_to, *marks = ROWS[act]

    assert (status in sources(act)) == (marks[STATUSES.index(status)] == "x")
    assert target(act) == leads_to


@pytest.mark.parametrize(("condition", "status"), list(itertools.product(Condition, StepStatus)))
def test_verdict(condition: Condition, status: StepStatus) -> None:
    expected = VERDICTS.get((condition.value, status.value), "wait")

    assert verdict(condition, status) is Verdict(expected)


def test_only_an_operator_leads_out_of_an_end() -> None:
    leading_out = {act for act in Act if sources(act) & STEP_ENDED}

    assert leading_out == {Act.REOPEN}


def test_ended_and_open() -> None:
    assert set(StepStatus) == STEP_OPEN | STEP_ENDED
    assert not STEP_OPEN & STEP_ENDED
    assert {status for status in StepStatus if status.ended} == STEP_ENDED
    assert {status for status in RunStatus if status.ended} == RUN_ENDED


@pytest.mark.parametrize(
    ("canceled", "failures", "status"),
    [
        (False, False, RunStatus.SUCCEEDED),
        (False, True, RunStatus.FAILED),
        (True, False, RunStatus.CANCELED),
        (True, True, RunStatus.CANCELED),
    ],
)
def test_end_of_a_run(canceled: bool, failures: bool, status: RunStatus) -> None:
    assert run_end(canceled=canceled, unhandled_failures=failures) is status
