"""From asyncio to a runtime: calls in a few threads, and waits that take none."""

from __future__ import annotations

import threading
from asyncio import get_running_loop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from stepwell.engine.duration_checks import patience
from stepwell.engine.durations import Duration
from stepwell.engine.errors import RuntimeClosed, WaitTimeout
from stepwell.engine.forks import ForkAware, Lineage
from stepwell.engine.runtime.aio_ends import AioEnds, Watched
from stepwell.engine.runtime.run_ends import RunEnds

P = ParamSpec("P")
R = TypeVar("R")

# The most calls at once; others wait for one to end.
MOST_THREADS = 8


class Bridge(ForkAware):
    """Calls and waits for the tasks of any number of event loops. Threads are made when needed."""

    def __init__(self, ends: AioEnds) -> None:
        self._ends = ends
        self._closed = False
        self._begin_anew()
        Lineage.register(self)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as the contract has it
        """See `forks.ForkAware`. The threads are the parent's."""
        self._begin_anew()

    async def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make the call in a thread, with the context variables of the task.

        If the task is canceled, a call that has begun goes on, and another one is dropped.
        """
        context = copy_context()

        def work() -> R:
            return context.run(function, *args, **kwargs)

        with self._lock:
            if self._closed:
                raise RuntimeClosed("the runtime is closed; connect() again")
            if self._threads is None:
                self._threads = ThreadPoolExecutor(MOST_THREADS, "stepwell-aio")
            called = get_running_loop().run_in_executor(self._threads, work)
        return await called

    async def finished(
        self, run_id: str, timeout: Duration | None, read: Callable[[], tuple[R] | None]
    ) -> R:
        """Wait until the run has ended; returns the only item of what `read` returns.

        `read` returns None if the run goes on. Raises WaitTimeout after `timeout`.
        """
        limit = patience(timeout)
        until = None if limit is None else get_running_loop().time() + limit
        while True:
            try:
                await self._ends.ended(run_id, until)
            except TimeoutError:
                raise WaitTimeout(f"run {run_id!r} did not end within {limit:g} s") from None
            found = await self.call(read)
            if found is not None:  # else it was retried meanwhile
                return found[0]

    def close(self) -> None:
        """End all waits with RuntimeClosed, and refuse further calls."""
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, None
        self._ends.close()
        if threads is not None:
            threads.shutdown(wait=False)


def made(store: Watched, run_ends: RunEnds, monotonic: Callable[[], float]) -> Bridge:
    """The bridge to a runtime that has these parts."""
    return Bridge(AioEnds(store, run_ends, monotonic))
