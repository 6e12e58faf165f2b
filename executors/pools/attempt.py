"""One attempt of one step: begin, invoke, collect, deliver. Nothing a body raises gets past it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import stepwell.executors as executors
from stepwell.engine.model import Failed, Failure, Outcome
from stepwell.engine.ports import Task

Deliver = Callable[[Task, Outcome], None]

_log = logging.getLogger("stepwell.pool")


def attempt(task: Task, deliver: Deliver) -> None:
    """Run a task's body in this thread, awaitable or not, and deliver its outcome."""
    outcome = perform(task)
    if outcome is not None:
        hand_over(task, outcome, deliver)


def perform(task: Task) -> Outcome | None:
    """The outcome of a task run in this thread, or None when it must not begin."""
    try:
        if not task.begin():
            return None
        value = task.invoke()
        if hasattr(value, "__await__"):
            value = executors.awaitables.run(value)
        return task.completed(value)
    except BaseException as error:
        return failure(task, error)


def failure(task: Task, error: BaseException) -> Outcome:
    """The outcome of a body that raised, even if the error itself cannot be described."""
    try:
        return task.failed(error)
    except BaseException as second:
        return Failed(
            task.step,
            Failure(
                "indescribable",
                f"the attempt ended with {type(error).__name__}; "
                f"describing it failed with {type(second).__name__}",
            ),
        )


def hand_over(task: Task, outcome: Outcome, deliver: Deliver) -> None:
    """Deliver; a receiver that fails is logged and does not cost the pool its thread."""
    try:
        deliver(task, outcome)
    except BaseException:
        _log.exception(
            "an outcome could not be delivered", extra={"action": "pool.delivery_failed"}
        )
