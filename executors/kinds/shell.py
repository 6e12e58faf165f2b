"""The kind `shell.run`: runs a program, keeps its output, and ends all of its processes."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import Canceled, Permanent, Retryable, StepError, StoreError
from stepwell.engine.graph.graph import MAX_TIMEOUT
from stepwell.engine.package import ExecutorFunction
from stepwell.engine.payloads.types import UNSHOWN
from stepwell.engine.step.context import StepContext
from stepwell.executors.kinds import BUILT_IN
from stepwell.executors.kinds.command import CANCELED, TIMED_OUT, Command, Unwatched
from stepwell.executors.kinds.seconds import AS_SECONDS
from stepwell.executors.kinds.shortage import is_passing, passing
from stepwell.executors.kinds.sources import Source, open_source
from stepwell.executors.kinds.spool import Spool

TAIL = 4_000

# Variables that programs need to run at all; all others come from `env`.
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


# The same limit as for every step: 366 days.
MAX_SECONDS = MAX_TIMEOUT.total_seconds()


class ShellRun(BaseModel):
    """A program and how to run it. No shell is involved unless `argv` names one.

    `env` is added to a few inherited variables (PATH, HOME, …); `timeout` and `grace` (from
    SIGTERM to SIGKILL) are durations; `max_output` limits what is kept of stdout and of stderr.
    `stdin_artifact` replaces the text `stdin`: an artifact's id, or a step and a name.
    """

    model_config = ConfigDict(extra="forbid")

    argv: list[str] = Field(min_length=1)
    cwd: Path | None = None
    env: dict[str, str] = Field(default_factory=dict)
    stdin: str = ""
    stdin_artifact: Source | None = None
    timeout: Annotated[float, AS_SECONDS] | None = Field(default=None, gt=0, le=MAX_SECONDS)
    grace: Annotated[float, AS_SECONDS] = Field(default=3.0, ge=0, le=MAX_SECONDS)
    ok_codes: list[int] = Field(default_factory=lambda: [0])
    max_output: int = Field(default=100 * 1024 * 1024, ge=0)

    @field_validator("argv", mode="before")
    @classmethod
    def _no_command_line(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(
                'must be a list such as ["ls", "-l"]; for a shell\'s syntax say ["sh", "-c", "…"]'
            )
        return value

    @field_validator("argv", "env")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        texts = [*value, *value.values()] if isinstance(value, dict) else value
        if any("\0" in text for text in texts):
            raise PydanticCustomError(UNSHOWN, "must not contain NUL characters")
        return value

    @field_validator("env")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not name or "=" in name:
                raise PydanticCustomError(
                    UNSHOWN, "{name} cannot be the name of a variable", {"name": repr(name)}
                )
        return value

    @model_validator(mode="after")
    def _one_stdin(self) -> ShellRun:
        if self.stdin and self.stdin_artifact is not None:
            raise PydanticCustomError(UNSHOWN, "takes stdin or stdin_artifact, not both")
        return self


def run_shell(step: StepContext, request: ShellRun) -> dict[str, Any]:
    """Run the program; its output becomes the artifacts `stdout` and `stderr`."""
    try:
        return _run(step, request)
    except (OSError, StoreError) as error:
        short = passing(error, repr(request.argv[0]))
        if short is None:
            raise
        raise short from error
    except Unwatched as error:
        raise Retryable("unwatched", f"{request.argv[0]!r}: {error}") from None


def _run(step: StepContext, request: ShellRun) -> dict[str, Any]:
    clock = SystemClock()
    began = clock.monotonic()
    with Spool(request.max_output) as out, Spool(request.max_output) as err:
        with _start(step, request) as command:
            step.on_cancel(command.cancel)
            end = command.watch(out, err, request.timeout, request.grace, clock)
        result = {
            "exit_code": command.exit_code,
            "seconds": round(clock.monotonic() - began, 6),
            "stdout_tail": out.tail(TAIL),
            "stderr_tail": err.tail(TAIL),
            "stdout_size": out.total,
            "stderr_size": err.total,
            "stdout_truncated": out.truncated,
            "stderr_truncated": err.truncated,
        }
        if end == CANCELED:
            raise Canceled
        if end == TIMED_OUT:
            raise StepError(
                "timeout",
                f"{request.argv[0]!r} was killed after {request.timeout:g} seconds",
                details=result,
            )
        if command.exit_code not in request.ok_codes:
            last = err.tail(300).strip().rpartition("\n")[2]
            raise StepError(
                "exit_status",
                f"{request.argv[0]!r} {_ended(command.exit_code)}{f': {last}' if last else ''}",
                details=result,
            )
        out.keep(step, "stdout", "text/plain")
        err.keep(step, "stderr", "text/plain")
    return result


def _start(step: StepContext, request: ShellRun) -> Command:
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= request.env
    if request.cwd is not None and not request.cwd.is_dir():
        raise Permanent("no_such_folder", f"cwd: there is no folder {str(request.cwd)!r}")
    with ExitStack() as reading:
        stdin: str | BinaryIO = request.stdin
        if request.stdin_artifact is not None:
            stdin = reading.enter_context(open_source(step, request.stdin_artifact))
        return _started(request, environment, stdin)


def _started(request: ShellRun, environment: dict[str, str], stdin: str | BinaryIO) -> Command:
    try:
        return Command(request.argv, request.cwd, environment, stdin)
    except (FileNotFoundError, NotADirectoryError):
        raise Permanent(
            "no_such_program", f"there is no program {request.argv[0]!r} on the PATH"
        ) from None
    except OSError as error:
        if is_passing(error):
            raise
        raise Permanent("not_runnable", f"cannot run {request.argv[0]!r}: {error}") from None


def _ended(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


run = ExecutorFunction("shell.run", run_shell, BUILT_IN["shell.run"].options)
