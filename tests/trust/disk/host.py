"""Runs programs in processes of their own, forked from one that has imported everything.

It is started with the shim preloaded. It reads a list of jobs a line, as JSON, runs them side by
side, and answers with their exit codes; a job says what to run, where its output goes, and what
the shim shall do.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

IMPORTED = (
    "stepwell.cli.main",
    "stepwell.cli.commands.run",
    "stepwell.stores.opening",
    "stepwell.engine.graph.graph",
    "sqlalchemy",
    "networkx",
    "tests.trust.disk.work",
)


def main() -> None:
    for name in IMPORTED:
        import_module(name)
    _say("ready")
    for line in sys.stdin:
        children = [_started(job) for job in json.loads(line)]
        _say([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])


def _say(answer: object) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


def _started(job: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        _work(job)
    return child


def _work(job: dict[str, Any]) -> None:
    """As the interpreter runs a program, up to its exit code."""
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(job["cwd"])
    if job["powerless"]:
        _give_up_powers()
    shim = ctypes.CDLL(None)
    at, number, way = job["fault"]
    shim.disk_watch(job["folder"].encode(), job["log"].encode(), ctypes.c_long(at), number, way)
    sys.argv = ["stepwell", *job["arguments"]]
    code: Any = 0
    try:
        _found(job["program"])(*job["given"])
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _give_up_powers() -> None:
    """From now on the permissions of files hold for us, also if we are root."""
    version_3, nothing = (ctypes.c_uint * 2)(0x20080522, 0), (ctypes.c_uint * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(version_3, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def _found(program: str) -> Callable[..., object]:
    module, _, name = program.partition(":")
    found: Callable[..., object] = getattr(import_module(module), name)
    return found


if __name__ == "__main__":
    main()
