"""Runs steps as tasks of one asyncio event loop in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress

from stepwell.engine.exchange import Outcome, Released
from stepwell.engine.ports import Task
from stepwell.executors.pools.attempt import Deliver, hand_over, refuse
from stepwell.executors.pools.event_loop import EventLoop

# If a loop does not answer for this many seconds after a cancellation, a body blocks it.
STUCK = 5.0

_log = logging.getLogger("stepwell.pool")


class AsyncioPool:
    """Up to `size` coroutines side by side; the loop's thread starts with the first of them.

    Further tasks wait in the pool, so that the next one begins at the moment one ends. Plain
    functions are called on the loop, so they must be quick. A body that blocks the loop delays its
    neighbours, but not the end of the program. If it is canceled, for example by its timeout, and
    still blocks, another loop takes over: tasks that had not begun begin there, and those that had
    are given back.
    """

    def __init__(self, size: int, deliver: Deliver) -> None:
        self.size = size
        self._deliver = deliver
        self._open: dict[Task, None] = {}
        self._lock = threading.Lock()
        self._loop: EventLoop | None = None
        self._stuck: list[EventLoop] = []
        self._watched: EventLoop | None = None
        self._closed = False

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._open[task] = None
        try:
            with self._lock:
                self._begin(tasks)
        except (RuntimeError, OSError) as error:  # no thread, or no descriptors for a loop
            refuse(tasks, self._done, error)

    def cancel(self, task: Task) -> None:
        task.cancel()
        self._open.pop(task, None)
        with self._lock:
            if self._loop is None or self._closed:
                return
            for loop in (self._loop, *self._stuck):
                loop.cancel(task)
            if self._watched is not self._loop:
                self._look_after(self._loop)

    def shutdown(self, grace: float) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for loop in self._stuck:
            loop.finish(0)
        if self._loop is not None:
            self._loop.finish(grace)
            self._loop.await_end(grace)

    def _begin(self, tasks: Sequence[Task]) -> None:
        if self._loop is None:
            self._loop = EventLoop(self.size, self._open.__contains__, self._done)
        self._loop.begin(tasks)

    def _done(self, task: Task, outcome: Outcome | None) -> None:
        self._open.pop(task, None)
        if outcome is not None:
            hand_over(task, outcome, self._deliver)

    def _look_after(self, loop: EventLoop) -> None:
        watch = threading.Thread(
            target=self._watch, args=(loop,), name="stepwell-watch", daemon=True
        )
        with suppress(RuntimeError):  # no thread is available; the next cancellation tries again
            watch.start()
            self._watched = loop

    def _watch(self, loop: EventLoop) -> None:
        """Check whether a loop handles a cancellation; replace it if it does not."""
        answered = loop.answers(STUCK)
        with self._lock:
            self._watched = None
            self._stuck = [each for each in self._stuck if not each.is_closed]
            if answered or self._closed or self._loop is not loop:
                return
            begun, culprit = loop.begun()
            self._stuck.append(loop)
            self._loop = None
            waiting = [task for task in tuple(self._open) if task not in begun]
            refused: Exception | None = None
            try:
                self._begin(waiting)
            except (RuntimeError, OSError) as error:  # the next `submit` tries again
                refused = error
            loop.finish(None)
            innocent = [task for task in begun if task in self._open and task is not culprit]
            for task in innocent:
                task.cancel()
                self._open.pop(task, None)
                loop.cancel(task)
        _log.warning(
            "the event loop is blocked%s; another one takes over, and %d steps are given back",
            f" by step {culprit.step.id!r} of kind {culprit.kind!r}" if culprit else "",
            len(innocent),
            extra={"action": "pool.loop_replaced"},
        )
        if refused is not None:
            refuse(waiting, self._done, refused)
        for task in innocent:
            hand_over(
                task, Released(task.step, "another step blocked the event loop"), self._deliver
            )
