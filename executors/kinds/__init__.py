"""The built-in kinds. Each is loaded when a step first needs its executor."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from stepwell.engine.model import ExecutorOptions


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """Where a kind's executor is (module and name), and the options of its steps.

    It needs the library `library`, which Stepwell's extra `extra` installs.
    """

    module: str
    name: str
    options: ExecutorOptions
    library: str = ""
    extra: str = ""


BUILT_IN = {
    "shell.run": BuiltIn("shell", "run", ExecutorOptions(pool="thread")),
    "http.fetch": BuiltIn(
        "http", "fetch", ExecutorOptions(pool="asyncio"), library="aiohttp", extra="http"
    ),
    "run.start": BuiltIn("subrun", "start", ExecutorOptions(pool="thread")),
    # It uses nothing but its step, and a graph may have very many of them.
    "wait.sleep": BuiltIn("wait", "sleep", ExecutorOptions(pool="inline")),
    "wait.message": BuiltIn("wait", "message", ExecutorOptions(pool="thread")),
    "wait.approval": BuiltIn("wait", "approval", ExecutorOptions(pool="thread")),
}


def missing_library(kind: str) -> str:
    """Why a built-in kind cannot run in this process, with advice; empty if it can."""
    built_in = BUILT_IN.get(kind)
    if built_in is None or not built_in.library or find_spec(built_in.library) is not None:
        return ""
    return (
        f"{kind} cannot run here: it needs {built_in.library}; "
        f"run: pip install 'stepwell[{built_in.extra}]'"
    )
