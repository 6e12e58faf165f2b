"""Functions that run beside a step's body, in daemon threads. Loaded when first used."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import Any

# So many run at the same time; the others wait for their turn.
MOST_THREADS = 32
# How often a wait for them looks whether the step was canceled meanwhile, in seconds.
LOOK = 0.1


class Beside:
    """The functions one body has started and not yet waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = 0
        self._open: set[Future[Any]] = set()

    def start(self, function: Callable[[], Any]) -> Future[Any]:
        """Run the function in the caller's context variables; its future."""
        future: Future[Any] = Future()
        context = copy_context()
        with self._lock:
            self._open.add(future)
            self._waiting.append((future, lambda: context.run(function)))
            hire = self._threads < MOST_THREADS
            self._threads += hire
        if hire:
            threading.Thread(target=self._work, name="stepwell-beside", daemon=True).start()
        return future

    def join(self, is_canceled: Callable[[], bool]) -> None:
        """Wait until all have ended, or the step is canceled."""
        while not is_canceled():
            with self._lock:
                left = set(self._open)
            if not left:
                return
            wait(left, LOOK)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                future, function = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)
            with self._lock:
                self._open.discard(future)
