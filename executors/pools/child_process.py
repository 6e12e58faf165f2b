"""One child process, as its parent holds it: start, talk, end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from stepwell.engine.errors import StepError
from stepwell.executors.pools.child_main import main
from stepwell.executors.pools.snapshot import Setup
from stepwell.executors.pools.wire import pack, unpack

# How long a child may take to import the program and be ready, in seconds.
START_GRACE = 60.0
# How long a child may take to leave when it is told to stop, in seconds.
STOP_GRACE = 2.0

# multiprocessing looks after all children whenever it starts one, and must not meet itself there.
_family = threading.Lock()


def _context() -> Any:
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


class ChildProcess:
    """A started child. Raises StepError when it cannot be started.

    `kinds` is how many kinds it knows, to tell a child that is too old for what it should run.
    """

    def __init__(self, name: str, setup: Setup) -> None:
        self.kinds = len(setup.catalog.kinds())
        context = _context()
        self.connection, theirs = context.Pipe()
        # Not a daemon, because those may have no children of their own.
        self._process = context.Process(target=main, args=(theirs, setup), name=name, daemon=False)
        try:
            with _family:
                self._process.start()
        except Exception as error:
            self.connection.close()
            raise StepError(
                "process_start", f"cannot start a child process: {_reason(error)}"
            ) from error
        finally:
            theirs.close()
        self.pid: int = self._process.pid
        self.sentinel: int = self._process.sentinel

    def is_ready(self) -> bool:
        """Wait until the child takes steps; False when it died on the way, and is gone."""
        wait([self.connection, self.sentinel], START_GRACE)
        if self.receive() is not None:
            return True
        self.end()
        return False

    def is_idle(self) -> bool:
        """Whether a child without a step is there; one that died closed its end first of all."""
        return not wait([self.connection, self.sentinel], 0)

    def send(self, header: dict[str, Any]) -> None:
        """Send a message; one to a child that just died is lost, as its end will tell."""
        with suppress(OSError):
            self.connection.send_bytes(pack(header))

    def receive(self) -> tuple[dict[str, Any], list[bytes]] | None:
        """A message that is there, or None when the child closed its end."""
        try:
            if not self.connection.poll():
                return None
            return unpack(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None

    def terminate(self) -> None:
        """Send SIGTERM to the child alone, whose body may clean up."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the child and all it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if not wait([self.sentinel], 0):  # killed before it had a group of its own
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Let an idle child leave, and end it if it does not."""
        self.send({"type": "stop"})
        if wait([self.sentinel], STOP_GRACE):
            self.bury()
        else:
            self.kill()
            self.bury()

    def end(self) -> int:
        """The exit code of a child that is dying, or does not talk any more and is killed."""
        if not wait([self.sentinel], STOP_GRACE):
            self.kill()
        return self.bury()

    def bury(self) -> int:
        """Wait for the child's end and give everything back; its exit code, or minus a signal."""
        wait([self.sentinel])
        with _family:
            self._process.join()
            code: int = self._process.exitcode
            self._process.close()
        self.connection.close()
        if code != 0:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)  # what it started and left behind
        return code


def _reason(error: Exception) -> str:
    if isinstance(error, RuntimeError) and "bootstrapping" in str(error):
        return (
            "the program starts work while it is imported by a child; "
            'put that below `if __name__ == "__main__":`'
        )
    return f"{type(error).__name__}: {error}"


def describe_end(code: int) -> StepError:
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
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return StepError(
        "process_died", f"the child process was killed by {name}{hint}", details={"signal": name}
    )
