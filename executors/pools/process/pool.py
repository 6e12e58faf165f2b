"""Runs steps in child processes: for bodies that compute, crash, or must be killed.

A canceled body is first asked to stop, then interrupted, then killed::

    step.cancelled ── kill_grace ──▶ SIGTERM, which raises Canceled ── TERM_GRACE ──▶ SIGKILL
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.crash_points import Point, reach
from stepwell.engine.errors import StepError
from stepwell.engine.exchange import Failed, Outcome
from stepwell.engine.forks import ForkAware, Lineage
from stepwell.engine.ports import Task
from stepwell.engine.services import Services
from stepwell.executors.pools.attempt import Deliver, failure, hand_over, refuse
from stepwell.executors.pools.process.answers import answer
from stepwell.executors.pools.process.channel import Garbled
from stepwell.executors.pools.process.child_process import ChildProcess, garbled
from stepwell.executors.pools.process.snapshot import Setup
from stepwell.executors.pools.process.wire import pack_error, unpack_outcome

# From SIGTERM to SIGKILL, in seconds; less if the setting kill_grace is less.
TERM_GRACE = 1.0
# How long, after its grace, a shutdown waits for a thread that serves a child, in seconds, and
# again after it has killed the child. Then the thread is left behind.
LAST_WAIT = 5.0


class _ChildRunner:
    """A thread of the parent that has at most one child, and runs steps in it."""

    def __init__(self, name: str, services: Services, worker_id: str, clock: Clock) -> None:
        self.name = name
        self.task: Task | None = None
        self.canceled: Task | None = None
        self.child: ChildProcess | None = None
        self.grace = services.settings.kill_grace
        self._services = services
        self._worker_id = worker_id
        self._clock = clock
        self._number = 0
        self._closed = False
        self._pipe_lock = threading.Lock()
        self._wakeups, self._wake_end = os.pipe()
        os.set_blocking(self._wake_end, False)
        os.set_blocking(self._wakeups, False)

    def wake(self) -> None:
        """Wake the thread, so that it looks at `canceled`."""
        with self._pipe_lock, suppress(BlockingIOError):  # a full pipe wakes it anyway
            if not self._closed:
                os.write(self._wake_end, b"!")

    def run(self, task: Task) -> Outcome | None:
        """The outcome of a task, whatever happens to the child."""
        try:
            able = self._able_child()
            if not task.begin():
                return None
            self._number += 1
            reach(Point.BEFORE_HAND_OVER)
            able.send({"type": "run", "number": self._number, "step": task.step})
            reach(Point.AFTER_HAND_OVER)
            return self._attend(task, able)
        except BaseException as error:
            child, self.child = self.child, None
            if child is not None:
                child.dispose()  # the child's state is unknown
            return failure(task, error)

    def close(self) -> None:
        """End the child, if there is one."""
        child, self.child = self.child, None
        if child is not None:
            child.stop()
        with self._pipe_lock:
            self._closed = True
            os.close(self._wake_end)
            os.close(self._wakeups)

    def _able_child(self) -> ChildProcess:
        """A living child that knows every kind; a new one if there is none."""
        child = self.child
        if child is not None:
            if not child.is_idle():
                self.child = None
                child.dispose()  # dead, or with messages of a body that has ended long ago
            elif child.kinds != len(self._services.catalog.kinds()):
                self.child = None
                child.stop()
        for _ in range(2):  # the first one may die of a signal that was meant for the worker
            if self.child is not None:
                break
            child = ChildProcess(self.name, Setup.of(self._services, self._worker_id))
            if child.is_ready():
                self.child = child
        if self.child is None:
            raise StepError(
                "process_start",
                "the child process ended before it could take a step; it says why on stderr",
            )
        return self.child

    def _attend(self, task: Task, child: ChildProcess) -> Outcome:
        """Serve the child while it runs the step."""
        pressure = _Pressure(child, self._number, self.grace, self._clock)
        timeout, heard = None, False
        while True:
            # One message at a time, so that a child that never stops sending can be canceled.
            happened = child.await_news(self._wakeups, 0 if heard else timeout) or heard
            ended = child.has_ended()  # before its last messages are read, so that none are missed
            try:
                message = child.receive()
                outcome = None if message is None else self._respond(task, child, *message)
            except EOFError:
                ended, message, outcome = True, None, None
            except Garbled as error:
                self.child = None
                child.dispose()
                return failure(task, garbled(error))
            if outcome is not None:
                if pressure.is_hard or _has_run_out(outcome):
                    self.child = None
                    child.dispose()
                return outcome
            heard = message is not None
            if ended and not heard:
                self.child = None
                return failure(task, child.end())
            self._clear_wakeups()
            timeout = pressure.press(not happened) if self.canceled is task else None

    def _respond(
        self, task: Task, child: ChildProcess, header: dict[str, Any], bodies: list[bytes]
    ) -> Outcome | None:
        """Answer a call of the child, or take its outcome. Raises Garbled."""
        try:
            if header["type"] == "outcome":
                if header["number"] != self._number:
                    raise Garbled("the outcome of another step")
                return unpack_outcome(task.step, header, bodies)
            reply = self._answer(task, header)
        except (LookupError, TypeError, ValueError, StopIteration) as error:
            raise Garbled("a message that cannot be read") from error
        child.send(reply)
        return None

    def _clear_wakeups(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wakeups, 4096)

    def _answer(self, task: Task, header: dict[str, Any]) -> dict[str, Any]:
        """The reply to a call of the child, which may ask about the store and the packages."""
        reply: dict[str, Any] = {"type": "reply", "call": header["call"]}
        try:
            reply["value"] = answer(self._services, task.step, header)
        except Exception as error:
            reply |= pack_error(error)
        return reply


def _has_run_out(outcome: Outcome) -> bool:
    """Whether the child was short of memory: what it keeps must not cost the next step, too."""
    return isinstance(outcome, Failed) and outcome.failure.code in ("MemoryError", "indescribable")


class _Pressure:
    """How hard a child has been pressed to end a canceled step."""

    def __init__(self, child: ChildProcess, number: int, grace: float, clock: Clock) -> None:
        self._child = child
        self._clock = clock
        self._deadline: float | None = clock.monotonic()
        self._number = number
        self._stages: Iterator[tuple[Callable[[], None], float | None]] = iter(
            (
                (self._tell, grace),
                (self._terminate, min(grace, TERM_GRACE)),
                (child.kill, None),
            )
        )
        self.is_hard = False

    def press(self, waited: bool) -> float | None:
        """Do what is due; returns the seconds until the next thing is due, or None if all is done.

        `waited` says that the seconds of the last call are over, whatever the clock says.
        """
        while self._deadline is not None:
            left = self._deadline - self._clock.monotonic()
            if left > 0 and not waited:
                return left
            waited = False
            act, patience = next(self._stages)
            act()
            self._deadline = None if patience is None else self._clock.monotonic() + patience
        return None

    def _tell(self) -> None:
        self._child.send({"type": "cancel", "number": self._number})

    def _terminate(self) -> None:
        self.is_hard = True
        self._child.terminate()


class ProcessPool(ForkAware):
    """`size` child processes, started when there is work for them and used again.

    They are new processes ("forkserver", else "spawn"), so a program that uses them needs the usual
    `if __name__ == "__main__":`. If a child dies, only the attempt of its step is lost.
    """

    def __init__(
        self,
        size: int,
        deliver: Deliver,
        services: Services,
        worker_id: str,
        clock: Clock | None = None,
    ) -> None:
        self.size = size
        self._deliver = deliver
        self._services = services
        self._worker_id = worker_id
        self._clock = clock or SystemClock()
        self._queue: SimpleQueue[Task | None] = SimpleQueue()
        self._open: dict[Task, None] = {}
        self._runners: dict[_ChildRunner, threading.Thread] = {}
        self._lock = threading.Lock()
        Lineage.register(self)

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`. The children are the parent's."""
        atexit.unregister(self._kill_all)
        runners, self._runners = self._runners, {}
        for runner in runners:
            if runner.child is not None:
                runner.child.leave_to_parent()

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._open[task] = None
        try:
            with self._lock:
                while len(self._runners) < min(self.size, len(self._open)):
                    self._start_thread()
        except (RuntimeError, OSError) as error:  # no thread, or no descriptors
            if not self._runners:  # with fewer children the work is only slower
                refuse(tasks, self._refused, error)
                return
        for task in tasks:
            self._queue.put(task)

    def cancel(self, task: Task) -> None:
        task.cancel()
        with self._lock:
            for runner in self._runners:
                if runner.task is task:
                    runner.canceled = task
                    runner.wake()
                    return
        self._open.pop(task, None)

    def shutdown(self, grace: float) -> None:
        self._queue.put(None)
        with self._lock:
            runners, self._runners = self._runners, {}
        self._join(runners.values(), grace)
        for task in tuple(self._open):
            task.cancel()
        for runner in runners:
            if runner.task is not None:
                runner.canceled = runner.task
                runner.wake()
        patience = max((runner.grace for runner in runners), default=0.0)
        self._join(runners.values(), patience + TERM_GRACE + LAST_WAIT)
        for runner, thread in runners.items():
            if thread.is_alive() and (child := runner.child) is not None:
                child.kill()  # from here, because its thread is blocked
        self._join(runners.values(), LAST_WAIT)
        atexit.unregister(self._kill_all)

    def _join(self, threads: Iterable[threading.Thread], patience: float) -> None:
        deadline = self._clock.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, deadline - self._clock.monotonic()))

    def _start_thread(self) -> None:
        if not self._runners:
            # Before multiprocessing's exit handler, which would wait for our children to end.
            atexit.register(self._kill_all)
        name = f"stepwell-process-{len(self._runners) + 1}"
        runner = _ChildRunner(name, self._services, self._worker_id, self._clock)
        thread = threading.Thread(target=self._work, args=(runner,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            runner.close()
            raise
        self._runners[runner] = thread

    def _refused(self, task: Task, outcome: Outcome) -> None:
        self._open.pop(task, None)
        hand_over(task, outcome, self._deliver)

    def _work(self, runner: _ChildRunner) -> None:
        try:
            while (task := self._queue.get()) is not None:
                runner.task = task
                outcome = runner.run(task) if task in self._open else None
                self._open.pop(task, None)
                runner.task = None
                if outcome is not None:
                    reach(Point.CHILD_DONE)
                    hand_over(task, outcome, self._deliver)
                outcome = None
            self._queue.put(None)  # for the next thread
        finally:
            runner.close()

    def _kill_all(self) -> None:
        for runner in tuple(self._runners):
            if runner.child is not None:
                runner.child.kill()
