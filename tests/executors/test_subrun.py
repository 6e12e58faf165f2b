"""`run.start`: starts, waits, and ends as the other run did."""

from typing import Any

import pytest

from stepwell.engine.errors import InvalidPayload
from stepwell.engine.exchange import Completed, Failed, Outcome, Suspended
from stepwell.engine.step.execution import Execution
from stepwell.executors.pools.inline import InlinePool
from tests.executors.fakes import FakeReads, Outbox, claimed, services


def outcome(status: str | None = None, *, resumed: bool = True) -> Outcome:
    """The outcome of a step that waited for run `other`, which is in this status."""
    reads = FakeReads(statuses={} if status is None else {"other": status})
    wait = '{"run_id":"other"}' if resumed else None
    step = claimed("run.start", {"package": "shop", "input": {"n": 1}}, wait=wait)
    outbox = Outbox()
    InlinePool(1, outbox).submit([Execution(step, "w", services(reads=reads))])
    return outbox.outcome()


def test_the_first_execution_starts_the_run_and_waits() -> None:
    ended = outcome(resumed=False)

    assert isinstance(ended, Suspended)
    assert ended.wait.start is not None
    assert ended.wait.run_id == ended.wait.start.id
    assert (ended.wait.start.package, ended.wait.start.input) == ("shop", '{"n":1}')


def test_a_run_that_succeeded() -> None:
    ended = outcome("succeeded")

    assert isinstance(ended, Completed)
    assert ended.value == '{"run_id":"other","status":"succeeded"}'


@pytest.mark.parametrize(
    ("status", "code"),
    [("failed", "child_failed"), ("canceled", "child_canceled"), (None, "child_missing")],
)
def test_a_run_that_ended_otherwise(status: str | None, code: str) -> None:
    ended = outcome(status)

    assert isinstance(ended, Failed)
    assert ended.failure.code == code
    assert "'other'" in ended.failure.message
    assert ended.failure.details["run_id"] == "other"


@pytest.mark.parametrize("status", ["pending", "running", "paused"])
def test_a_run_that_is_still_open_is_waited_for_again(status: str) -> None:
    ended = outcome(status)

    assert isinstance(ended, Suspended)
    assert (ended.wait.run_id, ended.wait.start) == ("other", None)


@pytest.mark.parametrize("input", [{}, {"package": ""}, {"package": "a", "run_id": "x"}])
def test_wrong_inputs_are_refused(input: dict[str, Any]) -> None:
    made = Execution(claimed("run.start", input), "w", services())

    with pytest.raises(InvalidPayload):
        made.invoke()
