"""Durable operations of coroutine bodies. Loaded when first used, for asyncio's sake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stepwell.engine.errors import Canceled, InvalidInput
from stepwell.engine.operation import Work


def require_loop(label: str) -> None:
    """Raises InvalidInput where nothing could await."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidInput(
            f"{label}: the function is a coroutine function; call it from a coroutine, or pass "
            "a plain one"
        ) from None


async def perform(work: Work) -> Any:
    """The value of a coroutine function's operation; the loop never waits for a save."""
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
    """Run it beside the body; it is in `tasks` until it has ended.

    A failure until then that nobody reads is logged by asyncio.
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
    """Wait for what the body left running; cancel it if the body itself was.

    Returns the labels and errors of what failed, which nobody else asks for.
    """
    left = set(tasks)
    if canceled:
        for task in left:
            task.cancel()
    if left:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError:  # it came now: nothing of the body outlives that
            for task in left:
                task.cancel()
            await asyncio.wait(left)
            raise
    ended = [(task.get_name(), task.exception()) for task in left if not task.cancelled()]
    return [(label, error) for label, error in ended if error is not None]


def is_cancellation(error: BaseException | None) -> bool:
    """Whether the body was canceled rather than ended."""
    return isinstance(error, (asyncio.CancelledError, Canceled, GeneratorExit))
