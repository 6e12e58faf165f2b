"""One attempt of one step: begin, invoke, collect, deliver. No error of a body escapes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import stepwell.executors as executors
from stepwell.engine.errors import StepError
from stepwell.engine.exchange import Failed, Outcome
from stepwell.engine.forks import Lineage
from stepwell.engine.model import Failure
from stepwell.engine.ports import Task

Deliver = Callable[[Task, Outcome], None]

_log = logging.getLogger("stepwell.pool")


def attempt(task: Task, deliver: Deliver) -> None:
    """Run a task's body in this thread, awaitable or not, and deliver its outcome."""
    outcome = perform(task)
    if outcome is not None:
        hand_over(task, outcome, deliver)


def perform(task: Task) -> Outcome | None:
    """The outcome of a task run in this thread, or None when it must not begin.

    It runs in its own context variables, and leaves those of this thread unchanged.
    """
    return task.fresh_variables().run(_perform, task)


def _perform(task: Task) -> Outcome | None:
    forks = Lineage.forks
    try:
        if not task.begin():
            return None
        value = value_of(task, forks)
        return task.completed(value)
    except BaseException as error:
        end_copy(forks)
        return failure(task, error)


def value_of(task: Task, forks: int) -> Any:
    """Run the body in this thread, awaitable or not, within what is around it.

    `forks` is `Lineage.forks` from before the body; a forked copy ends before what is around it.
    """
    with task.around():
        try:
            value = task.invoke()
            return executors.awaitables.run(value) if hasattr(value, "__await__") else value
        finally:
            end_copy(forks)


def end_copy(forks: int) -> None:
    """End a fork in which the body has returned: the step's outcome is not the copy's.

    Otherwise the copy would answer, wait and write instead of the worker, on its descriptors.
    `forks` is `Lineage.forks` from before the body.
    """
    if forks != Lineage.forks:
        os._exit(0)


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


def refuse(tasks: Sequence[Task], deliver: Deliver, error: Exception) -> None:
    """Fail tasks that a pool has no thread for; by their policy they are tried again."""
    reason = StepError("thread_start", f"cannot start a thread to run it: {error}")
    for task in tasks:
        deliver(task, failure(task, reason))
