"""One child process, as its parent handles it: start it, talk to it, end it."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import select
import signal
import threading
from contextlib import suppress
from multiprocessing import process
from multiprocessing.connection import wait
from typing import Any

from stepwell.engine.errors import StepError
from stepwell.engine.forks import ForkAware, Lineage
from stepwell.executors.pools.process.channel import Garbled, NimbleEnd, frame_limit
from stepwell.executors.pools.process.child_main import CUT_OFF, main
from stepwell.executors.pools.process.snapshot import Setup
from stepwell.executors.pools.process.wire import pack, unpack
from stepwell.executors.supervisor import Supervisor

# How long a child may take to import the program and be ready, in seconds.
START_GRACE = 60.0
# How long a child may take to end when it is told to stop, in seconds.
STOP_GRACE = 2.0
# How long to wait for the end of a killed child, in seconds. Only the system can delay it.
DEATH_GRACE = 10.0

_log = logging.getLogger("stepwell.pool")


class _Children(ForkAware):
    """What all children of this process share. A fork begins without any."""

    def __init__(self) -> None:
        # multiprocessing looks after all children whenever it starts one, and must not meet itself
        # there.
        self.lock = threading.Lock()
        methods = multiprocessing.get_all_start_methods()
        self.method = "forkserver" if "forkserver" in methods else "spawn"

    def after_fork(self, in_use: bool) -> None:  # noqa: ARG002  # as told
        """See `forks.ForkAware`. The fork server belongs to the parent, and serves nobody else."""
        self.lock = threading.Lock()
        self.method = "spawn"


_children_here = _Children()


class ChildProcess:
    """A started child. Raises StepError when it cannot be started.

    `kinds` is how many kinds it knows, to recognize a child that is too old for a step. Used by one
    thread; only `kill` may be called from any.
    """

    def __init__(self, name: str, setup: Setup) -> None:
        Lineage.register(_children_here)
        self.kinds = len(setup.catalog.kinds())
        context: Any = multiprocessing.get_context(_children_here.method)
        ours, theirs = context.Pipe()
        # Not a daemon, because those may have no children of their own.
        self._process = context.Process(target=main, args=(theirs, setup), name=name, daemon=False)
        try:
            with _children_here.lock:
                self._process.start()
        except Exception as error:
            ours.close()
            raise StepError(
                "process_start", f"cannot start a child process: {_reason(error)}"
            ) from error
        finally:
            theirs.close()
        self.pid: int = self._process.pid
        self._sentinel: int = self._process.sentinel
        self._channel = NimbleEnd(ours, frame_limit(setup.settings))
        self._watch = _watched(self.pid)
        self._ending = threading.Lock()
        self._gone = False
        self._killed = False
        self._cut_off = False

    def is_ready(self) -> bool:
        """Wait until the child is ready for steps; False if it has died before."""
        wait([self._channel.fileno(), self._sentinel], START_GRACE)
        with suppress(EOFError, Garbled):
            if self.receive() is not None:
                return True
        self.end()
        return False

    def is_idle(self) -> bool:
        """Whether the child is alive and silent, as one without a step must be."""
        return not self._channel.has_unread and not wait(
            [self._channel.fileno(), self._sentinel], 0
        )

    def send(self, header: dict[str, Any]) -> None:
        """Send a message; it is lost if the child has just died, which is noticed later."""
        self._channel.send(pack(header))

    def await_news(self, wake: int, timeout: float | None) -> bool:
        """Wait until the child sends something or ends, or `wake` is readable; False on timeout.

        Meanwhile, it continues to send what the child has not taken yet.
        """
        poll = select.poll()
        writing = select.POLLOUT if self._channel.has_unsent else 0
        poll.register(self._channel, select.POLLIN | writing)
        poll.register(self._sentinel, select.POLLIN)
        poll.register(wake, select.POLLIN)
        ready = poll.poll(None if timeout is None else math.ceil(timeout * 1000))
        if writing:
            self._channel.flush()
        return bool(ready)

    def has_ended(self) -> bool:
        """Whether the process has ended; what it sent before can still be received."""
        return bool(wait([self._sentinel], 0))

    def receive(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """A complete message, or None.

        Raises EOFError if the child closed its end, and Garbled if a body wrote to it.
        """
        frame = self._channel.receive()
        if frame is None:
            return None
        try:
            return unpack(frame)
        except Exception as error:
            raise Garbled("a message that cannot be read") from error

    def terminate(self) -> None:
        """Send SIGTERM to the child alone, whose body may clean up."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the child and all it started."""
        with self._ending:
            if self._gone:
                return
            if not wait([self._sentinel], 0):
                self._killed = True
                # First the child itself: it may not have made its own group yet.
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            self._kill_group()

    def leave_to_parent(self) -> None:
        """In a fork: drop the connection, so that the child notices when its parent is gone."""
        self._channel.close()
        # At its end, a program joins all processes in there, and fails for those of others.
        getattr(process, "_children", set()).discard(self._process)

    def stop(self) -> None:
        """Let an idle child end, and kill it if it does not."""
        self.send({"type": "stop"})
        wait([self._sentinel], STOP_GRACE)
        self.dispose()

    def end(self) -> StepError:
        """Why a child ended that is dying, or that is killed because it no longer answers."""
        if not wait([self._sentinel], STOP_GRACE):
            self._cut_off = not self._killed
        code = self.dispose()
        if self._cut_off or code == CUT_OFF:
            return StepError(
                "process_died",
                "the body closed or read its child process's connection to the worker; "
                "it must leave file descriptors alone that it did not open",
            )
        return _describe_end(code, self._killed)

    def dispose(self) -> int:
        """End the child and release everything; returns its exit code, or minus a signal."""
        self.kill()
        if not wait([self._sentinel], DEATH_GRACE):
            _log.warning(
                "child process %d was killed and is still there; it is left to the system",
                self.pid,
                extra={"action": "pool.child_left"},
            )
            self._channel.close()
            if self._watch is not None:
                self._watch.close()  # and so it is killed once more
            return -signal.SIGKILL
        with self._ending, _children_here.lock:
            self._gone = True
            self._process.join()
            code: int = self._process.exitcode
            self._process.close()
            self._channel.close()
            self._kill_group()  # what it started until the last moment
            if self._watch is not None:
                Supervisor.forget(self._watch)
        return code

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _watched(pid: int) -> Any:
    """Have the child ended with this process even if its body never lets another thread run.

    If no descriptor or process is available, the child is left to end by itself.
    """
    try:
        return Supervisor.watch(pid)
    except OSError as error:
        _log.warning(
            "child process %d is not watched: %s", pid, error, extra={"action": "pool.unwatched"}
        )
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, RuntimeError) and "bootstrapping" in str(error):
        return (
            "the program starts work while it is imported by a child; "
            'put that below `if __name__ == "__main__":`'
        )
    return f"{type(error).__name__}: {error}"


def garbled(error: Garbled) -> StepError:
    """The failure of an attempt whose connection carried something that is not a frame."""
    return StepError(
        "process_died",
        f"the child process was ended: its connection to the worker carried {error}; "
        "a body must leave file descriptors alone that it did not open",
    )


def _describe_end(code: int, killed: bool) -> StepError:
    """The failure of an attempt whose process ended with this code."""
    if code >= 0:
        return StepError(
            "process_died",
            f"the child process ended with exit code {code} while it ran the step",
            details={"exit_code": code},
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ""
    if name == "SIGKILL":
        hint = " as it did not end when told to" if killed else " (out of memory?)"
    return StepError(
        "process_died", f"the child process was killed by {name}{hint}", details={"signal": name}
    )
