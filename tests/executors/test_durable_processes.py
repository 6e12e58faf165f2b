"""Durable operations of steps in child processes: the store is the parent's, asked by JSON."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from stepwell import RunHandle, Runtime, VirtualClock, connect
from tests.executors.durable_bodies import (
    awaited,
    beside,
    canceled,
    dies,
    durable,
    everything,
    picky,
)

PATIENCE = 60


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def runtime(clock: VirtualClock) -> Iterator[Runtime]:
    settings = {"processes": 1}
    with connect("memory://", packages=[durable], clock=clock, settings=settings) as runtime:
        yield runtime


def step_status(runtime: Runtime, run: RunHandle[Any]) -> str:
    (step,) = runtime.steps(run.id)
    assert step.error is None, step.error
    return str(step.status)


def test_all_of_them(runtime: Runtime, clock: VirtualClock) -> None:
    run = runtime.start_run(everything)
    runtime.run_once()
    assert step_status(runtime, run) == "waiting"
    clock.advance(timedelta(hours=1))
    runtime.run_once()
    assert step_status(runtime, run) == "waiting"
    runtime.send(run.id, "orders", "pen")
    runtime.run_once()
    assert step_status(runtime, run) == "waiting"
    runtime.approve(run.id)
    runtime.run_once()
    if step_status(runtime, run) != "succeeded":
        runtime.run_once()

    result = run.result(PATIENCE)
    assert result.pop("missing") == (
        f"there is no run 'nowhere'; there is {run.id!r}; no message came on topic 'never' in time"
    )
    assert result == {
        "child": True,
        "order": "pen",
        "asking": {"for": "pen"},
        "approved": True,
        "value": "asking",
        "kv": ["beside", "first"],
        "seen": [1, 1, 1, 1],
    }
    assert (runtime.kv.get("first"), runtime.kv.get("beside")) == (1, 1)
    recorded = {o.id: o for o in runtime.checkpoint(run.id, "everything").operations}
    assert recorded["note"].value != os.getpid()


def test_a_child_that_dies_loses_nothing_that_was_recorded(runtime: Runtime) -> None:
    run = runtime.start_run(dies)
    runtime.run_once()
    runtime.run_once()

    assert run.result(PATIENCE) == "done"
    assert runtime.kv.get("before") == 1


def test_a_message_that_does_not_fit_is_refused(runtime: Runtime) -> None:
    run = runtime.start_run(picky)
    runtime.send(run.id, "numbers", "seven")
    runtime.send(run.id, "numbers", 7)
    runtime.run_once()
    assert run.status() == "failed"
    assert [message.refused for message in runtime.messages(run.id)] == [True, False]

    runtime.retry_step(run.id, "picky")
    runtime.run_once()

    assert run.result(PATIENCE) == 7


def test_waits_side_by_side(runtime: Runtime, clock: VirtualClock) -> None:
    other = runtime.start_run(picky)
    run = runtime.start_run(beside, other.id)
    runtime.run_once()
    runtime.send(run.id, "number", 7)
    runtime.run_once()
    runtime.cancel_run(other.id)
    clock.advance(timedelta(seconds=10))
    runtime.run_once()
    assert step_status(runtime, run) == "waiting"
    runtime.send(run.id, "note", "so be it")
    runtime.run_once()

    assert run.result(PATIENCE) == ["number", 7, "canceled", None, "so be it"]


def test_a_coroutine(runtime: Runtime, clock: VirtualClock) -> None:
    run = runtime.start_run(awaited)
    runtime.run_once()
    clock.advance(timedelta(seconds=1))
    runtime.run_once()

    assert run.result(PATIENCE) == 1


def test_a_lost_lease_reaches_the_child() -> None:
    with connect("memory://", packages=[durable], settings={"processes": 1}) as runtime:
        run = runtime.start_run(canceled)
        with runtime.worker():
            runtime.wait_for_value(run.id, "begun", PATIENCE)
            run.cancel()
            run.wait(PATIENCE)

        assert run.status() == "canceled"
        assert runtime.kv.get("after") is None
