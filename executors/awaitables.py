"""Runs an awaitable to its end where there is no event loop to give it to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from contextvars import copy_context
from typing import Any

from stepwell.executors.pools.loop_threads import LoopThreads


def run(awaitable: Awaitable[Any]) -> Any:
    """The awaitable's value, from an event loop made for it.

    If this thread has a running loop, which cannot be entered twice, it runs in another thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_wait_for(awaitable))
    return _run_beside(awaitable)


async def _wait_for(awaitable: Awaitable[Any]) -> Any:
    asyncio.get_running_loop().set_default_executor(LoopThreads())
    return await awaitable


def _run_beside(awaitable: Awaitable[Any]) -> Any:
    ended: list[tuple[Any, BaseException | None]] = []

    def target() -> None:
        try:
            ended.append((asyncio.run(_wait_for(awaitable)), None))
        except BaseException as error:
            ended.append((None, error))

    thread = threading.Thread(
        target=copy_context().run, args=(target,), name="stepwell-awaitable", daemon=True
    )
    thread.start()
    thread.join()
    value, error = ended[0]
    if error is not None:
        raise error
    return value
