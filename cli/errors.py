"""How errors end a command: one line on stderr, an exit code, and no traceback."""

from __future__ import annotations

import os
import traceback

import click

from stepwell.cli.output import json_text
from stepwell.cli.session import Session
from stepwell.engine.errors import StepwellError, nearest

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# The table in the reference; the codes of errors are at their classes in engine/errors.py.
EXIT_CODES = {
    0: "done; for `run`: the run succeeded",
    1: "the run failed, or something unexpected happened",
    2: "wrong usage or bad input; nothing was stored",
    3: "there is no such run, step, package, queue, record, artifact, checkpoint, value or key",
    4: "conflict: the id is taken, it was answered before, or the version is another one",
    5: "the wait timed out; the run goes on",
    6: "the run was canceled",
    7: "refused: the state of the run or step does not allow it",
    8: "the store cannot be opened, read, written or migrated; `verify` found something wrong",
    129: "SIGHUP, as when the terminal is closed",
    130: "SIGINT (Ctrl-C)",
    143: "SIGTERM",
}


def report(error: BaseException, session: Session) -> int:
    """Write the error to stderr; returns the exit code."""
    out = session.output
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        out.talk(error.format_message())
        return EXIT_USAGE
    code, message, exit_code = _describe(error)
    message = session.with_hints(message)
    out.say(f"error: {message}")
    if out.json:
        told = {"error": {"code": code, "message": message}}
        out.talk(json_text(told, indent=None, ascii_only=True))
    return exit_code


def _usage(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        hint = nearest(error.option_name, error.possibilities or ())
        return f"no such option {error.option_name!r}{hint if 'did you' in hint else ''}"
    text = error.format_message()
    return text[:1].lower() + text[1:]


def _describe(error: BaseException) -> tuple[str, str, int]:
    if isinstance(error, StepwellError):
        return error.code, str(error), error.exit_code
    if isinstance(error, click.UsageError):
        text = _usage(error)
        path = error.ctx.command_path if error.ctx is not None else "stepwell"
        return "usage", f"{text.rstrip('.')}; see {path} --help", EXIT_USAGE
    if isinstance(error, click.ClickException):
        return "usage", error.format_message(), EXIT_USAGE
    if os.environ.get("STEPWELL_DEBUG"):
        traceback.print_exception(error)
        advice = ""
    else:
        advice = "; set STEPWELL_DEBUG=1 for the traceback"
    try:
        said = str(error)
    except Exception:
        said = ""
    name = type(error).__name__
    return "unexpected", f"unexpected {name}{': ' if said else ''}{said}{advice}", EXIT_FAILURE
