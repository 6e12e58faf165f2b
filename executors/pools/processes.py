"""Runs steps in child processes: for bodies that hold the interpreter, crash, or must be killed.

A canceled body is asked, then told, then killed::

    "cancel" (step.cancelled) ── kill_grace ──▶ SIGTERM (Canceled is raised) ── TERM_GRACE ──▶ SIGKILL
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import Any

from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.context import Services
from stepwell.engine.errors import StepError
from stepwell.engine.model import Outcome
from stepwell.engine.payload import decode
from stepwell.engine.ports import Task
from stepwell.executors.pools.attempt import Deliver, failure, hand_over
from stepwell.executors.pools.child_process import ChildProcess, describe_end
from stepwell.executors.pools.snapshot import Setup
from stepwell.executors.pools.wire import pack_error, unpack_outcome

# From SIGTERM to SIGKILL, in seconds; less when the setting kill_grace is less.
TERM_GRACE = 1.0


class _Keeper:
    """A thread of the parent that keeps at most one child, and runs its steps."""

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
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._rope, False)

    def ring(self) -> None:
        """Wake the thread, so that it looks at `canceled`."""
        try:
            os.write(self._rope, b"!")
        except BlockingIOError:  # it has been rung often enough
            pass

    def run(self, task: Task) -> Outcome | None:
        """The outcome of a task, whatever becomes of the child."""
        try:
            child = self._able_child()
            if not task.begin():
                return None
            self._number += 1
            child.send({"type": "run", "number": self._number, "step": task.step})
            return self._attend(task, child)
        except BaseException as error:
            return failure(task, error)

    def close(self) -> None:
        """End the child, if there is one."""
        child, self.child = self.child, None
        if child is not None:
            child.stop()
        os.close(self._rope)
        os.close(self._bell)

    def _able_child(self) -> ChildProcess:
        """A child that is there and knows every kind; a new one where there was none."""
        child = self.child
        if child is not None:
            if not child.is_alive():
                self.child = None
                child.bury()
            elif child.kinds != len(self._services.catalog.kinds()):
                self.child = None
                child.stop()
        for _ in range(2):  # the first may die of a signal that was meant for the worker
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
        press = self._press(task, child)
        timeout = next(press)
        while True:
            ready = wait([child.connection, child.sentinel, self._bell], timeout)
            if child.connection in ready or child.sentinel in ready:
                message = child.receive()
                if message is None:
                    self.child = None
                    child.kill()
                    return failure(task, describe_end(child.bury()))
                header, bodies = message
                if header["type"] == "outcome":
                    self._spare(child, press.send(None) if self._rung(ready) else None)
                    return unpack_outcome(task.step, header, bodies)
                child.send(self._answer(task, header))
            self._rung(ready)
            timeout = next(press)
