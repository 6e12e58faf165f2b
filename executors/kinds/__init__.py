"""The kinds every runtime has. Each is loaded when a step of it first needs its executor."""

from __future__ import annotations

from dataclasses import dataclass

from stepwell.engine.model import ExecutorOptions


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """Where a kind's executor is (module of the room's seam, name), and what its steps get."""

    module: str
    name: str
    options: ExecutorOptions


BUILT_IN = {
    "shell.run": BuiltIn("shell", "run", ExecutorOptions(pool="thread")),
    "http.fetch": BuiltIn("http", "fetch", ExecutorOptions(pool="asyncio")),
    "run.start": BuiltIn("subrun", "start", ExecutorOptions(pool="thread")),
    # It touches nothing but its step, and there may be very many.
    "wait.sleep": BuiltIn("wait", "sleep", ExecutorOptions(pool="inline")),
    "wait.message": BuiltIn("wait", "message", ExecutorOptions(pool="thread")),
    "wait.approval": BuiltIn("wait", "approval", ExecutorOptions(pool="thread")),
}
