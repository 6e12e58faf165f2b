"""An event loop in a thread of its own, and the steps that run on it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from stepwell.engine.exchange import Outcome
from stepwell.engine.forks import Lineage
from stepwell.engine.ports import Task
from stepwell.executors.pools.attempt import end_copy, failure
from stepwell.executors.pools.loop_threads import LoopThreads

# How long canceled bodies may take to unwind at the loop's end, in seconds.
UNWIND = 0.5

_log = logging.getLogger("stepwell.pool")

# Loops with coroutines that outlived their shutdown: kept with their tasks.
_unfinished: set[EventLoop] = set()


class EventLoop:
    """Runs up to `size` tasks side by side until `finish`; further ones wait for a slot.

    `deliver` gets each outcome, or None for a task that must not begin, in the loop's thread. Tasks
    that are no longer `wanted` when their turn comes are skipped.
    """

    def __init__(
        self,
        size: int,
        wanted: Callable[[Task], bool],
        deliver: Callable[[Task, Outcome | None], None],
    ) -> None:
        self._size = size
        self._wanted = wanted
        self._deliver = deliver
        # A canceled body gives up its slot at once, but may run for any time. All three
        # are changed by the loop's thread only.
        self._waiting: deque[Task] = deque()
        self._placed: set[Task] = set()
        self._retired = False
        self._begun: dict[Task, asyncio.Task[Any]] = {}  # changed by the loop's thread only
        self._ending: asyncio.Task[None] | None = None
        self._ended = False
        self._finishing = False
        self._unwound = threading.Event()
        self._left: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(LoopThreads())
        thread = threading.Thread(target=self._serve, name="stepwell-asyncio", daemon=True)
        try:
            thread.start()
        except BaseException:
            self._loop.close()
            raise

    def begin(self, tasks: Sequence[Task]) -> None:
        """Run these tasks, in this order, as slots become free."""
        self._call(self._begin, tuple(tasks))

    def cancel(self, task: Task) -> None:
        """Cancel the task if it runs here."""
        self._call(self._cancel, task)

    def answers(self, patience: float) -> bool:
        """Whether the loop answers a call within this many seconds."""
        answered = threading.Event()
        return not self._call(answered.set) or answered.wait(patience)

    def begun(self) -> tuple[tuple[Task, ...], Task | None]:
        """The tasks whose bodies have begun, and the one whose code runs at this moment."""
        current = asyncio.current_task(self._loop)
        begun = tuple(self._begun.items())
        return (
            tuple(task for task, _ in begun),
            next((task for task, running in begun if running is current), None),
        )

    @property
    def is_closed(self) -> bool:
        """Whether all that ran here has ended."""
        return self._loop.is_closed()

    def finish(self, grace: float | None) -> None:
        """Cancel what still runs after `grace` seconds, and end.

        With None, running tasks end by themselves, and no others begin.
        """
        self._retired = self._retired or grace is None
        if not self._finishing:
            self._finishing = True
            self._call(self._finish, grace)

    def await_end(self, grace: float) -> None:
        """Wait for the end that `finish` asked for with the same grace, but not for ever."""
        self._unwound.wait(grace + 2 * UNWIND)

    def _call(self, function: Callable[..., object], *arguments: Any) -> bool:
        """Have the loop call a function; False if it is closed."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return False
        return True

    # --- in the loop's thread --------------------------------------------------------------

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._ended:
            self._turn()
        if asyncio.all_tasks(self._loop):
            self._outlast()
        self._loop.close()
        self._unwound.set()

    def _turn(self) -> None:
        try:
            self._loop.run_forever()
        except BaseException:  # SystemExit and the like, from a task that a body made
            _log.exception(
                "a task beside a step tried to end the loop", extra={"action": "pool.loop_kept"}
            )

    def _outlast(self) -> None:
        """Run coroutines that continue although they were canceled, like a body in a thread.

        A pending task must neither lose its loop nor be garbage-collected: a body that swallows
        everything would then loop in the collector and delay the end of the program.
        """
        known: set[asyncio.Task[Any]] = set()
        _unfinished.add(self)
        _log.warning(
            "%d canceled coroutines do not end; they are left to end on their own",
            len(asyncio.all_tasks(self._loop)),
            extra={"action": "pool.tasks_left"},
        )
        self._unwound.set()
        while left := asyncio.all_tasks(self._loop):
            for running in left - known:
                running.add_done_callback(lambda _: self._loop.stop())
            known = left
            self._left = left
            self._turn()
        _unfinished.discard(self)

    def _begin(self, tasks: Sequence[Task]) -> None:
        self._waiting.extend(tasks)
        self._fill()

    def _fill(self) -> None:
        """Begin waiting tasks, while there are free slots."""
        while self._waiting and len(self._placed) < self._size and not self._retired:
            task = self._waiting.popleft()
            if self._wanted(task):
                self._placed.add(task)
                # The loop keeps it until it begins, then `_begun`.
                # In its own variables: by default it has those of the task that freed the slot.
                self._loop.create_task(self._run(task), context=task.fresh_variables())

    def _leave(self, task: Task) -> None:
        self._placed.discard(task)
        self._fill()

    async def _run(self, task: Task) -> None:
        outcome, forks = None, Lineage.forks
        try:
            if task.begin():
                running = asyncio.current_task()
                if running is not None:
                    self._begun[task] = running
                with task.around():
                    try:
                        value = task.invoke()
                        if hasattr(value, "__await__"):
                            value = await value
                    finally:
                        end_copy(forks)
                outcome = await self._collected(task, task.completed, value)
        except BaseException as error:
            end_copy(forks)
            outcome = await self._collected(task, lambda raised: failure(task, raised), error)
        self._begun.pop(task, None)
        self._deliver(task, outcome)
        self._leave(task)

    async def _collected(self, task: Task, collect: Callable[[Any], Outcome], end: Any) -> Outcome:
        """The outcome of an execution; if making it saves to disk, the loop does not wait for that.

        A cancellation meanwhile changes nothing: the body has ended.
        """
        if not task.saves:
            return collect(end)
        collecting = asyncio.ensure_future(asyncio.to_thread(collect, end))
        while not collecting.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(collecting)
        return collecting.result()

    def _cancel(self, task: Task) -> None:
        running = self._begun.get(task)
        if running is not None:
            running.cancel()
        self._leave(task)

    def _finish(self, grace: float | None) -> None:
        self._ending = self._loop.create_task(self._end(grace))

    async def _work_off(self, deadline: float | None) -> None:
        """Let running tasks end, and also waiting ones unless this loop is retired."""
        while self._begun or self._placed or (self._waiting and not self._retired):
            left = None if deadline is None else deadline - self._loop.time()
            if left is not None and left <= 0:
                return
            if self._begun:
                running = set(self._begun.values())
                await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0)  # they are about to begin

    async def _end(self, grace: float | None) -> None:
        try:
            await self._work_off(None if grace is None else self._loop.time() + grace)
            self._waiting.clear()
            for task in self._begun:
                task.cancel()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for running in rest:
                running.cancel()
            if rest:
                await asyncio.wait(rest, timeout=UNWIND)
            await asyncio.wait_for(self._loop.shutdown_asyncgens(), UNWIND)
        except TimeoutError:
            pass
        finally:
            self._ended = True
            self._loop.stop()
