"""The kinds `wait.sleep`, `wait.message` and `wait.approval`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from stepwell import (
    Conflict,
    InvalidInput,
    NoCheckpoint,
    Package,
    Retry,
    RunBuilder,
    RunHandle,
    Runtime,
    VirtualClock,
    connect,
)
from stepwell.engine.exchange import Completed

waits = Package("waits")


@waits.entrypoint
def start(run: RunBuilder, given: dict[str, Any]) -> None:
    retry = Retry(max_attempts=2, initial=0, jitter=0) if given.pop("retry", None) else None
    run.step(given.pop("kind"), given, id="wait", retry=retry)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def runtime(clock: VirtualClock) -> Iterator[Runtime]:
    with connect("memory://", packages=[waits], clock=clock) as runtime:
        yield runtime


def begin(runtime: Runtime, kind: str, **given: Any) -> RunHandle[Any]:
    run = runtime.start_run("waits", {"kind": kind, **given})
    runtime.run_once()
    return run


def status(runtime: Runtime, run: RunHandle[Any]) -> str:
    return str(runtime.step(run.id, "wait").status)


@pytest.mark.parametrize("given", [{"seconds": 90}, {"until": "2030-01-01T01:01:30+01:00"}])
def test_sleep(runtime: Runtime, clock: VirtualClock, given: dict[str, Any]) -> None:
    run = begin(runtime, "wait.sleep", **given)
    assert status(runtime, run) == "waiting"
    clock.advance(timedelta(seconds=89))
    runtime.run_once()
    assert status(runtime, run) == "waiting"
    clock.advance(timedelta(seconds=1))
    runtime.run_once()

    assert run.result() is None
    with pytest.raises(NoCheckpoint):
        runtime.checkpoint(run.id, "wait")


def test_sleep_that_is_paused_keeps_what_is_left(runtime: Runtime, clock: VirtualClock) -> None:
    run = begin(runtime, "wait.sleep", seconds=90)
    clock.advance(timedelta(seconds=30))
    runtime.hold_step(run.id, "wait")
    clock.advance(timedelta(days=1))
    runtime.run_once()
    runtime.release_step(run.id, "wait")
    clock.advance(timedelta(seconds=59))
    runtime.run_once()
    assert status(runtime, run) == "waiting"
    clock.advance(timedelta(seconds=1))
    runtime.run_once()

    assert status(runtime, run) == "succeeded"


def test_no_time_at_all(runtime: Runtime) -> None:
    assert status(runtime, begin(runtime, "wait.sleep", seconds=0)) == "succeeded"


def test_message(runtime: Runtime) -> None:
    run = begin(runtime, "wait.message", topic="t")
    assert status(runtime, run) == "waiting"
    runtime.send(run.id, "t", {"a": 1})
    runtime.run_once()

    assert run.result() == {"a": 1}


def test_message_that_was_there_before(runtime: Runtime) -> None:
    run = runtime.start_run("waits", {"kind": "wait.message", "topic": "t"})
    runtime.send(run.id, "t", "early")
    runtime.run_once()
    runtime.run_once()

    assert run.result() == "early"


def test_message_that_does_not_come(runtime: Runtime, clock: VirtualClock) -> None:
    run = begin(runtime, "wait.message", topic="t", timeout=10, retry=True)
    clock.advance(timedelta(seconds=10))
    runtime.run_once()
    assert status(runtime, run) == "ready"
    runtime.run_once()
    assert status(runtime, run) == "waiting"
    clock.advance(timedelta(seconds=10))
    runtime.run_once()

    error = runtime.step(run.id, "wait").error
    assert error is not None
    assert (error.code, error.message) == ("wait_timeout", "no message came on 't' in time")


def cancel_before_commit(runtime: Runtime, run: RunHandle[Any]) -> None:
    """Let the step end, and cancel its run just before that is committed."""
    exchange = runtime.internals.store.exchange

    def canceled(settle: Any, claim: Any) -> Any:
        if any(isinstance(outcome, Completed) for outcome in settle):
            run.cancel(by="ann")
        return exchange(settle, claim)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime.internals.store, "exchange", canceled)
        runtime.run_once()
    assert status(runtime, run) == "canceled"


def test_message_that_was_taken_is_there_after_a_retry(runtime: Runtime) -> None:
    run = begin(runtime, "wait.message", topic="t")
    runtime.send(run.id, "t", "the only one")
    cancel_before_commit(runtime, run)
    assert runtime.messages(run.id)[0].received_by == "wait"

    runtime.retry_run(run.id)
    runtime.run_once()
    runtime.run_once()

    assert run.result(0) == "the only one"


def test_decision_stands_after_a_retry(runtime: Runtime) -> None:
    run = begin(runtime, "wait.approval")
    runtime.approve(run.id, by="ann")
    cancel_before_commit(runtime, run)

    runtime.retry_run(run.id)
    runtime.run_once()
    with pytest.raises(Conflict, match="was approved by ann before"):
        runtime.reject(run.id, by="bob")
    runtime.run_once()

    assert run.result(0)["by"] == "ann"


def test_approval(runtime: Runtime) -> None:
    run = begin(runtime, "wait.approval", timeout=60)
    runtime.reject(run.id, "wait", by="ann", comment="too dear")
    runtime.run_once()

    assert run.result() == {
        "approved": False,
        "comment": "too dear",
        "by": "ann",
        "at": "2030-01-01T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("wait.sleep", {}, "takes either seconds or until"),
        ("wait.sleep", {"seconds": 1, "until": "2030-01-01T00:00:00Z"}, "takes either"),
        ("wait.sleep", {"seconds": -1}, "greater than or equal to 0"),
        ("wait.sleep", {"seconds": True}, "must be a duration"),
        ("wait.sleep", {"until": "2030-01-01T00:00:00"}, "timezone"),
        ("wait.sleep", {"until": "9999-12-31T23:59:59Z"}, "until: must be before 9"),
        ("wait.sleep", {"until": "9999-12-31T23:59:59-12:00"}, "until: must be before 9"),
        ("wait.message", {"topic": "stepwell.x"}, "begins with 'stepwell.'"),
        ("wait.message", {"topic": ""}, "topic: must have 1 to"),
        ("wait.approval", {"timeout": -1}, "greater than or equal to 0"),
    ],
)
def test_bad_input(runtime: Runtime, kind: str, given: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        runtime.start_run("waits", {"kind": kind, **given})
    assert runtime.runs() == []
