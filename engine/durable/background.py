"""Background tasks: functions that run in daemon threads during a body. Loaded on first use."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import Any

from stepwell.engine.errors import Signal

_log = logging.getLogger("stepwell.step")

# How many run at the same time; the others wait for their turn.
MOST_THREADS = 32
# How often a wait for them checks whether the step was canceled, in seconds.
LOOK = 0.1


class _Operation(Future[Any]):
    """A future that remembers whether its outcome was read."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label
        self.is_read = False

    def result(self, timeout: float | None = None) -> Any:
        self.is_read = True
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.is_read = True
        return super().exception(timeout)


class BackgroundTasks:
    """The background tasks of one body."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[_Operation, Callable[[], Any]]] = deque()
        self._threads = 0
        self._open: set[Future[Any]] = set()
        self._failed: list[tuple[_Operation, BaseException]] = []

    def start(self, function: Callable[[], Any], label: str) -> Future[Any]:
        """Run the function with the caller's context variables; returns its future."""
        future = _Operation(label)
        context = copy_context()
        with self._lock:
            self._open.add(future)
            self._waiting.append((future, lambda: context.run(function)))
            hire = self._threads < MOST_THREADS
            self._threads += hire
        if hire:
            self._hire(future)
        return future

    def _hire(self, future: _Operation) -> None:
        """Start one more thread. Raises RuntimeError if that fails and no other thread exists."""
        try:
            threading.Thread(target=self._work, name="stepwell-background", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._threads -= 1
                if self._threads:  # one of the others will run it
                    return
                self._open.discard(future)
                self._waiting = deque(item for item in self._waiting if item[0] is not future)
            raise

    def join(self, is_canceled: Callable[[], bool]) -> None:
        """Wait until all tasks have ended, or the step is canceled."""
        while not is_canceled():
            with self._lock:
                left = set(self._open)
            if not left:
                return
            wait(left, LOOK)

    def log_unread(self, execution_id: str) -> list[BaseException]:
        """Log the failures that were never read, each once; returns them."""
        with self._lock:
            failed, self._failed = self._failed, []
        unread = [(future.label, error) for future, error in failed if not future.is_read]
        for label, error in unread:
            log_unread(execution_id, label, error)
        return [error for _, error in unread]

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
                    with self._lock:
                        self._failed.append((future, error))
                    future.set_exception(error)
            with self._lock:
                self._open.discard(future)


def log_unread(execution_id: str, label: str, error: BaseException) -> None:
    """Log a failure that was never read, unless it is a signal that unwinds the execution."""
    if isinstance(error, Exception) and not isinstance(error, Signal):
        _log.warning(
            "%s: %s failed, and nothing read its result: %s: %s",
            *(execution_id, label, type(error).__name__, error),
            exc_info=error,
            extra={"action": "operation.unread"},
        )
