"""The threads behind an event loop: for `asyncio.to_thread` and `loop.run_in_executor`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

# How many run at the same time; the others wait.
MOST_THREADS = 32


class LoopThreads(ThreadPoolExecutor):
    """Daemon threads: asyncio's own would keep the program alive until the last one returned.

    Each function runs in a copy of its caller's context variables, so that it leaves nothing in the
    thread for the next one. The base class is there only because asyncio requires it.
    """

    def __init__(self) -> None:
        super().__init__(MOST_THREADS)
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._own_threads: list[threading.Thread] = []
        self._idle = 0
        self._ended = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the function in a thread; returns its future. Raises RuntimeError once shut down."""
        future: Future[Any] = Future()
        job = future, partial(copy_context().run, fn, *args, **kwargs)
        with self._changed:
            if self._ended:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if len(self._jobs) >= self._idle and len(self._own_threads) < MOST_THREADS:
                self._start_thread()
            self._jobs.append(job)
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more; with `wait`, wait until all accepted functions have ended."""
        with self._changed:
            self._ended = True
            if cancel_futures:
                while self._jobs:
                    self._jobs.popleft()[0].cancel()
            self._changed.notify_all()
        if wait:
            for thread in self._own_threads:
                thread.join()

    def _start_thread(self) -> None:
        name = f"stepwell-loop-thread-{len(self._own_threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # with fewer threads the work is only slower
            if not self._own_threads:
                raise
        else:
            self._own_threads.append(thread)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            future, function = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)
            # Nothing of it may stay alive while the thread waits for the next one.
            del job, future, function

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            while not self._jobs:
                if self._ended:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._jobs.popleft()
