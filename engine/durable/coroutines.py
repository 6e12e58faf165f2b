"""Durable operations of coroutine bodies. Loaded on first use, because of asyncio."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from stepwell.engine.durable.operation import Work
from stepwell.engine.errors import Canceled, InvalidInput, Signal

# Advice: what to use instead of concurrent waits.
REMEDY = (
    "a wait unwinds the step's function, and is called in the function itself: wait for several "
    "things at once with step.wait_any(…) or step.wait_all(…), for a limited time with timeout=…"
)


def own_task() -> asyncio.Task[Any] | None:
    """The current task."""
    return asyncio.current_task()


def elsewhere(own: asyncio.Task[Any] | None) -> str:
    """Why a wait cannot be called here, with advice; empty if it can.

    `own` is the body's task, or None for a plain function. A time limit of asyncio is found if
    the event loop exposes it.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return ""
    current = asyncio.current_task()
    if own is None:
        runner = _runner()
        if runner is None:  # the function itself runs in that loop, and nothing else does
            return ""
        is_fine = runner.f_locals.get("future") is current
    else:
        is_fine = current is own or _is_alone(own, current)
    if not is_fine:
        if current is not None:
            current.add_done_callback(_retrieve)
        return f"called in a task of its own, as gather, create_task and wait_for make; {REMEDY}"
    if _is_limited(loop, own) or _is_limited(loop, current):
        return (
            "called under a time limit of asyncio, which would not outlast the wait; leave it out, "
            "and limit the wait itself: timeout=…, for a sleep step.wait_any(…, timeout=…)"
        )
    return ""


def _runner() -> FrameType | None:
    """The frame in which a plain function runs an event loop, as `asyncio.run` does."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__") != "stepwell.engine.step.execution":
        if frame.f_code.co_name == "run_until_complete":
            return frame
        frame = frame.f_back
    return None


def _is_alone(own: Any, task: asyncio.Task[Any] | None) -> bool:
    """Whether the body awaits only this task, so that a wait in it unwinds the body as well."""
    awaited = getattr(own, "_fut_waiter", None)
    if task is None or awaited is None:
        return False
    if awaited is task:
        return True
    owners = [
        getattr(told[0], "__self__", None) for told in getattr(task, "_callbacks", None) or ()
    ]
    return any(
        isinstance(owner, asyncio.TaskGroup)
        and getattr(owner, "_on_completed_fut", None) is awaited
        and getattr(owner, "_tasks", None) == {task}
        for owner in owners
    )


def _is_limited(loop: Any, task: asyncio.Task[Any] | None) -> bool:
    """Whether `asyncio.timeout` or the like will cancel this task."""
    if task is None:
        return False
    for handle in (*getattr(loop, "_scheduled", ()), *getattr(loop, "_ready", ())):
        owner = getattr(getattr(handle, "_callback", None), "__self__", None)
        if owner is None or handle.cancelled():
            continue
        if task in (getattr(owner, "_task", None), getattr(owner, "_host_task", None)):
            return True
    return False


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark its failure as read, since it was reported already: asyncio need not log it."""
    if not task.cancelled():
        task.exception()


def require_loop(label: str) -> None:
    """Raises InvalidInput without a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidInput(
            f"{label}: the function is a coroutine function; call it from a coroutine, or pass "
            "a plain one"
        ) from None


async def perform(work: Work) -> Any:
    """The value of a coroutine function's operation; saves never block the loop."""
    try:
        return await _performed(work)
    except Signal:  # unwinds the execution, whichever task awaits this one
        if (task := asyncio.current_task()) is not None:
            task.add_done_callback(_retrieve)
        raise


async def _performed(work: Work) -> Any:
    if work.checkpoint and not work.journal.is_loaded:
        await asyncio.to_thread(work.journal.load)
    if work.is_recorded():
        return work.replayed()
    if work.journal.must_save:
        await asyncio.to_thread(work.begin)
    else:
        work.begin()
    value: Any = None
    delay: float | None = 0.0
    while delay is not None:
        if delay:
            await asyncio.sleep(delay)
        try:
            with work.inside():
                value, delay = await work.call(), None
        except Exception as error:
            delay = work.again_in(error)
            if delay is None:
                raise
    return await asyncio.to_thread(work.finish, value) if work.checkpoint else value


def start(
    work: Work, tasks: set[Any], on_failure: Callable[[Exception], None]
) -> asyncio.Task[Any]:
    """Run it in the background, as a task that is in `tasks` until it has ended.

    After that, asyncio itself logs a failure that nobody reads.
    """

    async def noted() -> Any:
        try:
            return await perform(work)
        except Exception as error:
            on_failure(error)
            raise

    task = asyncio.get_running_loop().create_task(noted(), name=work.request.label)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def finish(
    tasks: set[asyncio.Task[Any]], *, canceled: bool
) -> list[tuple[str, BaseException]]:
    """Wait for the tasks that the body left running; cancel them if the body was canceled.

    Returns the labels and errors of those that failed, since nothing else reads them.
    """
    left = set(tasks)
    if canceled:
        for task in left:
            task.cancel()
    if left:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError:  # canceled only now: no task may outlive the body
            for task in left:
                task.cancel()
            await asyncio.wait(left)
            raise
    ended = [(task.get_name(), task.exception()) for task in left if not task.cancelled()]
    return [(label, error) for label, error in ended if error is not None]


def is_cancellation(error: BaseException | None) -> bool:
    """Whether the body was canceled rather than ended."""
    return isinstance(error, (asyncio.CancelledError, Canceled, GeneratorExit))
