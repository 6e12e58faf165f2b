"""The entry point: `stepwell COMMAND`. Commands are loaded when called, not for `--help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from stepwell.cli.deadline import Deadline
from stepwell.cli.errors import EXIT_INTERRUPTED, report
from stepwell.cli.init import as_process_one
from stepwell.cli.options import add_shared_options
from stepwell.cli.output import forget, is_lost, nowhere
from stepwell.cli.session import Session
from stepwell.cli.signals import Interrupted, unwinding
from stepwell.engine.errors import nearest

# Name → where the command is (module:attribute below cli/commands), and its line in the help.
COMMANDS = {
    "run": ("run:run", "Start a run and work on it until it ends."),
    "start": ("start:start", "Start a run for workers to work on; prints its id."),
    "run-once": ("run_once:run_once", "Claim once, run what was claimed, settle it, and end."),
    "worker": ("worker:worker", "Work on all runs until told to stop."),
    "list": ("list_runs:list_runs", "List runs, newest first."),
    "show": ("show:show", "Show a run with its steps, or one step."),
    "graph": ("graph:graph", "Draw a run's graph of steps."),
    "events": ("events:events", "Print what happened in a run."),
    "result": ("result:result", "Show what an ended step left behind."),
    "records": ("records:records", "Show a package's records."),
    "artifacts": ("artifacts:artifacts", "List the artifacts of a run or step."),
    "artifact": ("artifacts:artifact", "Write an artifact's bytes to stdout or a file."),
    "retry": ("operate:retry", "Run failed steps of an ended run again."),
    "cancel": ("operate:cancel", "Cancel a run and the runs it started."),
    "pause": ("operate:pause", "Claim no more steps of a run, and freeze its waits."),
    "resume": ("operate:resume", "Let a paused run go on."),
    "hold": ("operate:hold", "Hold one step back, and freeze its wait."),
    "release": ("operate:release", "Let a held step go on."),
    "send": ("messages:send", "Send a message to a run."),
    "messages": ("messages:messages", "List the messages of a run, in the order they were sent."),
    "approve": ("messages:approve", "Approve a step that waits for a decision."),
    "reject": ("messages:reject", "Reject a step that waits for a decision."),
    "values": ("values:values", "Show the values a run has set."),
    "kv": ("kv:kv", "Look at and change the key-value store."),
    "checkpoint": ("checkpoint:checkpoint", "Show the operations a step has recorded."),
    "status": ("overview:status", "Show the store at a glance."),
    "queues": ("overview:queues", "List queues with what is in them."),
    "workers": ("overview:workers", "List workers that have not stopped."),
    "packages": ("packages:packages", "List packages with their entrypoints, or show one in full."),
    "config": ("config:config", "Show all settings, and where each one comes from."),
    "verify": ("verify:verify", "Check a store and everything in it while workers go on."),
    "db": ("db:db", "Look after the store's schema."),
    "version": ("version:version", "Print the version."),
}


class NobodyReads(Exception):
    """The reader of stdout is gone; that is not an error to report."""


class CommandLine(click.Group):
    """The group of all commands; loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(f"stepwell.cli.commands.{module}"), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing:
            raise click.UsageError(f"no such command {name!r}{nearest(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]  # click's may return
        """Run a command and end the program with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        for ours in ("prog_name", "standalone_mode"):
            extra.pop(ours, None)
        session = Session(extra.pop("deadline", None))
        stdout = sys.stdout
        session.output.json = "--json" in given
        try:
            with unwinding(session.interrupts):
                code = self._run(given, session, extra)
        except Interrupted as interrupt:
            code = interrupt.exit_code
        if session.deadline is None:
            sys.stdout = stdout
        else:
            session.deadline.over(code, patient=not session.interrupts)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # click itself would exit with code 1, as if something had failed.
            raise NobodyReads from None

    def _run(self, args: list[str], session: Session, extra: dict[str, Any]) -> int:
        try:
            code = super().main(
                args, prog_name="stepwell", standalone_mode=False, obj=session, **extra
            )
            session.output.flush()
            if session.told and is_lost(session.output.stream):
                session.output.warn(f"stdout is closed, so the output is lost; {session.told}")
        except (BrokenPipeError, NobodyReads):
            forget(session.output.stream)
            return session.exit_code
        except click.Abort:
            return EXIT_INTERRUPTED
        except Exception as error:
            if session.interrupts:  # the cause, although some code turned it into an error
                raise Interrupted(session.interrupts[0]) from error
            if session.told and isinstance(error, OSError):
                forget(session.output.stream)
                reason = error.strerror or type(error).__name__
                session.output.warn(f"the output cannot be written: {reason}; {session.told}")
                return session.exit_code
            return _report(error, session)
        return code if isinstance(code, int) else session.exit_code


def _report(error: Exception, session: Session) -> int:
    """Report the error, even if nobody reads stderr; returns the exit code."""
    code = report(error, session)
    try:
        session.output.flush()
    except OSError:
        forget(session.output.stream)
    return code


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    version = command_line.get_command(ctx, "version")
    if version is not None:
        ctx.invoke(version)
    ctx.exit()


@add_shared_options
@click.group(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version, as the command does.",
)
def command_line() -> None:
    """Stepwell runs durable graphs of steps.

    Data goes to stdout and talk to stderr. Where a command takes RUN, give its id, the
    beginning of it (at least 4 characters), or `last`.
    """


def main() -> NoReturn:
    """The console script `stepwell`, and `python -m stepwell`."""
    as_process_one()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, who does not want its content
            setattr(sys, name, nowhere())
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # Do not fail because of a character that the terminal cannot show.
            reconfigure(errors="backslashreplace")
    command_line.main(deadline=Deadline())
