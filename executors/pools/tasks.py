"""Runs steps as tasks of one asyncio event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from stepwell.engine.model import Outcome
from stepwell.engine.ports import Task
from stepwell.executors.pools.attempt import Deliver, failure, hand_over

# How long canceled bodies may take to unwind at the end, in seconds.
UNWIND = 1.0

_log = logging.getLogger("stepwell.pool")

# Pools with coroutines that outlived their shutdown: kept with loop and tasks.
_unfinished: set[AsyncioPool] = set()


class AsyncioPool:
    """Coroutines side by side; the loop's thread starts with the first of them.

    Plain functions are called on the loop, so they must be quick. A body that blocks the loop
    holds up its neighbours, but not the end of the program.
    """

    def __init__(self, size: int, deliver: Deliver) -> None:
        self.size = size
        self._deliver = deliver
        self._open: dict[Task, None] = {}
        self._running: dict[Task, asyncio.Task[Any]] = {}  # touched by the loop's thread only
        self._ending: asyncio.Task[None] | None = None
        self._ended = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._unwound = threading.Event()
        self._left: set[asyncio.Task[Any]] = set()

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._open[task] = None
        self._started().call_soon_threadsafe(self._begin, tuple(tasks))

    def free_slots(self) -> int:
        return max(0, self.size - len(self._open))

    def cancel(self, task: Task) -> None:
        task.cancel()
        self._open.pop(task, None)
        if self._loop is not None and not self._closed:
            self._loop.call_soon_threadsafe(self._cancel, task)

    def shutdown(self, grace: float) -> None:
        thread, loop = self._thread, self._loop
        if thread is None or loop is None or self._closed:
            return
        self._closed = True
        loop.call_soon_threadsafe(self._finish, grace)
        self._unwound.wait(grace + 3 * UNWIND)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._serve, args=(self._loop,), name="stepwell-asyncio", daemon=True
            )
            self._thread.start()
        return self._loop

    # --- in the loop's thread --------------------------------------------------------------

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._ended:
            self._turn(loop)
        if asyncio.all_tasks(loop):
            self._outlast(loop)
        loop.close()
        self._unwound.set()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_forever()
        except BaseException:  # SystemExit and its like, out of a task that a body made
            _log.exception(
                "a task beside a step tried to end the loop", extra={"action": "pool.loop_kept"}
            )

    def _outlast(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve coroutines that go on although they were canceled, as a thread's body would.

        A pending task must neither lose its loop nor be collected: closed by force, a body that
        swallows everything would spin in the collector and hold up the end of the program.
        """
        known: set[asyncio.Task[Any]] = set()
        _unfinished.add(self)
        _log.warning(
            "%d canceled coroutines do not end; they are left to end on their own",
            len(asyncio.all_tasks(loop)),
            extra={"action": "pool.tasks_left"},
        )
        self._unwound.set()
        while left := asyncio.all_tasks(loop):
            for running in left - known:
                running.add_done_callback(lambda _: loop.stop())
            known = left
            self._left = left
            self._turn(loop)
        _unfinished.discard(self)

    def _begin(self, tasks: Sequence[Task]) -> None:
        loop = asyncio.get_running_loop()
        for task in tasks:
            if task in self._open:
                # Kept by the loop until it begins, and then by `_running`.
                loop.create_task(self._run(task))  # noqa: RUF006

    async def _run(self, task: Task) -> None:
        outcome = None
        try:
            if task.begin():
                running = asyncio.current_task()
                if running is not None:
                    self._running[task] = running
                value = task.invoke()
                if hasattr(value, "__await__"):
                    value = await value
                outcome = await self._collected(task, task.completed, value)
        except BaseException as error:
            outcome = await self._collected(task, lambda raised: failure(task, raised), error)
        self._open.pop(task, None)
        self._running.pop(task, None)
        if outcome is not None:
            hand_over(task, outcome, self._deliver)

    async def _collected(self, task: Task, collect: Callable[[Any], Outcome], end: Any) -> Outcome:
        """What an execution ended in; where that is saved to disk, the loop does not wait for it.

        A cancellation that comes meanwhile changes nothing: the body has ended.
        """
        if not task.saves:
            return collect(end)
        collecting = asyncio.ensure_future(asyncio.to_thread(collect, end))
        while not collecting.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(collecting)
        return collecting.result()

    def _cancel(self, task: Task) -> None:
        running = self._running.get(task)
        if running is not None:
            running.cancel()

    def _finish(self, grace: float) -> None:
        self._ending = asyncio.get_running_loop().create_task(self._end(grace))

    async def _end(self, grace: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            if self._running and grace > 0:
                await asyncio.wait(set(self._running.values()), timeout=grace)
            for task in self._running:
                task.cancel()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for running in rest:
                running.cancel()
            if rest:
                await asyncio.wait(rest, timeout=UNWIND)
            await asyncio.wait_for(loop.shutdown_asyncgens(), UNWIND)
        except TimeoutError:
            pass
        finally:
            self._ended = True
            loop.stop()
