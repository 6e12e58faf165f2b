"""The program of a child process: runs one step after the other in its main thread.

A second thread reads what the parent sends. When the parent is gone, the child ends at once, with
everything it started.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import threading
from contextlib import suppress
from contextvars import Context, copy_context
from errno import EBADF
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, NoReturn

from stepwell.engine.errors import Canceled, InvalidPayload
from stepwell.engine.exchange import ClaimedStep, Failed, Outcome
from stepwell.engine.failures import describe
from stepwell.engine.forks import Lineage
from stepwell.engine.services import Services
from stepwell.engine.step.execution import Execution
from stepwell.executors.pools.attempt import end_copy, failure, value_of
from stepwell.executors.pools.process.channel import Garbled, PatientEnd, frame_limit
from stepwell.executors.pools.process.parent import Parent
from stepwell.executors.pools.process.snapshot import DistantExecutor, Setup
from stepwell.executors.pools.process.wire import pack, pack_outcome, restore, unpack

# The exit code of a child whose body closed or read the connection to the parent.
CUT_OFF = 97


class Child:
    """The state of a child: the step it runs, if any, and the connection to its parent."""

    def __init__(self, connection: Connection, setup: Setup) -> None:
        self._channel = PatientEnd(connection, frame_limit(setup.settings))
        self._limit = frame_limit(setup.settings)
        self._forks = Lineage.forks
        self._sending = threading.Lock()
        self._messages: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._parent = Parent(self._channel, self._sending)
        self._worker_id = setup.worker_id
        self._services = Services(
            setup.catalog,
            self._parent,
            self._parent.artifacts(setup.artifacts),
            setup.projections,
            setup.settings,
            self._parent.build_run,
            durable=self._parent.durable(setup.settings.payload_limit),
            around=setup.around,
        )
        self._number = 0
        self._execution: Execution | None = None
        self._in_body = False
        self._cancelled = 0

    def serve(self) -> None:
        """Run steps until the parent says stop."""
        threading.Thread(target=self._read, name="stepwell-parent", daemon=True).start()
        self._send(pack({"type": "ready"}))
        while (message := self._messages.get()) is not None:
            try:
                self._send(self._frame(message))
            except OSError as error:
                _leave(error)

    def leave_to_parent(self) -> None:
        """In a fork: drop the connection, which only the child itself may use."""
        self._channel.close()

    def on_sigterm(self, signum: int, frame: object) -> None:  # noqa: ARG002  # signal's
        """Unwind a body that the parent canceled; ignore signals from elsewhere."""
        if self._in_body and self._cancelled == self._number:
            raise Canceled

    def _run(self, message: dict[str, Any]) -> Outcome:
        step = restore(ClaimedStep, message["step"])
        execution = Execution(step, self._worker_id, self._services)
        execution.begin()  # before another thread can see it, and cancel it
        self._number, self._execution = message["number"], execution
        if self._cancelled == self._number:
            execution.cancel()
        try:
            return self._perform(execution)
        except BaseException as error:  # a signal between the body's end and its outcome
            self._in_body = False
            return failure(execution, error)
        finally:
            self._execution = None

    def _frame(self, message: dict[str, Any]) -> bytes:
        outcome = self._run(message)
        frame = pack_outcome(message["number"], outcome)
        if len(frame) > self._limit:
            error = InvalidPayload(
                f"outcome: all that the step made is {len(frame):,} bytes; the limit is "
                f"{self._limit:,}; store large data as artifacts on disk"
            )
            frame = pack_outcome(message["number"], Failed(outcome.step, describe(error)))
        return frame

    def _perform(self, execution: Execution) -> Outcome:
        variables: Context | None = None
        forks, self._in_body = Lineage.forks, True
        try:
            if isinstance(execution.executor, DistantExecutor):
                # Before the copy is made: what a module sets on import is for all bodies.
                execution.executor.load()
            variables = execution.fresh_variables()
            value = variables.run(value_of, execution, forks)
        except BaseException as error:
            self._in_body = False
            end_copy(forks)
            return (variables or copy_context()).run(failure, execution, error)
        self._in_body = False
        return variables.run(execution.completed, value)

    def _send(self, frame: bytes) -> None:
        end_copy(self._forks)
        with self._sending:
            self._channel.send(frame)

    def _read(self) -> None:
        try:
            while True:
                header, _ = unpack(self._channel.receive())
                match header["type"]:
                    case "run":
                        self._messages.put(header)
                    case "cancel":
                        self._cancel(header["number"])
                    case "reply":
                        self._parent.answered(header)
                    case "stop":
                        self._messages.put(None)
                    case _:
                        pass
        except (
            BaseException
        ) as error:  # EOFError if the parent died; in any case there is no parent to talk to
            _leave(error)

    def _cancel(self, number: int) -> None:
        self._cancelled = number
        execution = self._execution
        if execution is not None and self._number == number:
            execution.cancel()


def main(connection: Connection, setup: Setup) -> None:
    """Serve the parent at the other end of `connection`."""
    # A session of its own: signals typed at the terminal are for the worker, which drains, and
    # what the bodies start can be ended together with this process.
    with suppress(OSError):
        os.setsid()
    _limit_memory(setup.settings.memory_limit)
    Lineage.watch()
    child = Child(connection, setup)
    os.register_at_fork(after_in_child=child.leave_to_parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, child.on_sigterm)
    _log_like_the_parent(setup)
    child.serve()


def _limit_memory(most: int) -> None:
    """Let allocations beyond `most` bytes fail, here and in each process that a body starts."""
    if not most:
        return
    # Linux counts private writable memory there, other systems the heap alone.
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(kind, (most, most))


def _log_like_the_parent(setup: Setup) -> None:
    if setup.log_level is None:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(setup.log_format)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(setup.log_level)


def _leave(error: BaseException) -> NoReturn:
    if isinstance(error, Garbled) or (isinstance(error, OSError) and error.errno == EBADF):
        os._exit(CUT_OFF)  # a parent that is there ends what is left of the group
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
