"""Runs steps in daemon threads: a thread that never returns does not keep the program alive."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from queue import SimpleQueue

from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.exchange import Outcome
from stepwell.engine.ports import Task
from stepwell.executors.pools.attempt import Deliver, hand_over, perform, refuse


class _Slot:
    """One thread's slot: what it runs, what it runs next, and whether it was given up."""

    __slots__ = ("next", "replaced", "task", "thread")

    def __init__(self) -> None:
        self.task: Task | None = None
        self.next: Task | None = None
        self.replaced = False
        self.thread: threading.Thread | None = None


class ThreadPool:
    """`size` threads, started when there is work for them.

    If tasks are submitted during a thread's `deliver`, that thread takes the first of them itself,
    because it is awake. A canceled body gets its flag set; since a thread cannot be stopped, the
    body is left to end by itself, and a new thread takes its place.
    """

    def __init__(self, size: int, deliver: Deliver, clock: Clock | None = None) -> None:
        self.size = size
        self._deliver = deliver
        self._clock = clock or SystemClock()
        self._tasks: deque[Task] = deque()
        # Wakes one idle thread; if that finds more tasks than its own, it wakes the next. Threads
        # that are not needed stay asleep, and short tasks need few of them.
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._closing = False
        # Tasks that hold a slot. Whoever removes one, its thread or `cancel`, frees the slot: a
        # single dictionary operation, so that running a step needs no lock.
        self._open: dict[Task, None] = {}
        self._slots: list[_Slot] = []
        self._here = threading.local()
        self._lock = threading.Lock()
        self._started = 0

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._open[task] = None
        slot: _Slot | None = getattr(self._here, "slot", None)
        if slot is not None and slot.next is None:
            slot.next, *tasks = tasks
        if len(self._slots) < self.size:
            try:
                self._fill()
            except RuntimeError as error:  # with fewer threads the work is only slower
                if not self._slots:
                    refuse(tasks, self._refused, error)
                    return
        self._tasks.extend(tasks)
        if tasks:
            self._wakeups.put(None)

    def cancel(self, task: Task) -> None:
        # First the flag: from here on `begin` refuses, so a task either runs now or never will.
        task.cancel()
        if task not in self._open:
            return
        with self._lock:
            self._open.pop(task, None)
            for slot in self._slots:
                if slot.task is task:
                    slot.replaced = True
                    self._slots.remove(slot)
                    try:
                        self._start()
                    except RuntimeError:  # the next `submit` tries again, or the body ends
                        slot.replaced = False
                    break

    def shutdown(self, grace: float) -> None:
        deadline = self._clock.monotonic() + grace
        self._closing = True
        self._wakeups.put(None)
        with self._lock:
            slots = tuple(self._slots)
        for slot in slots:
            if slot.thread is not None:
                slot.thread.join(max(0.0, deadline - self._clock.monotonic()))
        for task in tuple(self._open):
            task.cancel()
            self._open.pop(task, None)
        for slot in slots:
            # Idle threads, and those whose bodies end when they are canceled, end at once.
            if slot.thread is not None and slot.task is None:
                slot.thread.join()

    def _fill(self) -> None:
        with self._lock:
            while len(self._slots) < min(self.size, len(self._open)):
                self._start()

    def _refused(self, task: Task, outcome: Outcome) -> None:
        self._open.pop(task, None)
        hand_over(task, outcome, self._deliver)

    def _start(self) -> None:
        slot = _Slot()
        self._started += 1
        slot.thread = threading.Thread(
            target=self._work, args=(slot,), name=f"stepwell-thread-{self._started}", daemon=True
        )
        slot.thread.start()
        self._slots.append(slot)

    def _work(self, slot: _Slot) -> None:
        self._here.slot = slot
        opened, deliver = self._open, self._deliver
        while not slot.replaced:
            task, slot.next = slot.next, None
            if task is None:
                task = self._wait()
            if task is None:
                return
            slot.task = task
            outcome = perform(task) if task in opened else None
            opened.pop(task, None)
            slot.task = None
            if outcome is not None:
                hand_over(task, outcome, deliver)
            # Neither may stay alive while the thread waits for the next one.
            task = outcome = None
        if slot.next is not None:
            self._tasks.append(slot.next)
            self._wakeups.put(None)

    def _wait(self) -> Task | None:
        """The next task; None if there is none and the pool is shut down."""
        tasks, wakeups = self._tasks, self._wakeups
        while True:
            try:
                task = tasks.popleft()
            except IndexError:
                if self._closing:
                    wakeups.put(None)  # for the next thread
                    return None
                wakeups.get()
                continue
            if tasks and wakeups.empty():
                wakeups.put(None)
            return task
