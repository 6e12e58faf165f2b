"""Writes `docs/cli.md` from the commands themselves: `python -m stepwell.cli.reference`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import click

from stepwell.cli.errors import EXIT_CODES
from stepwell.cli.main import command_line
from stepwell.cli.settings import ENGINE, PLACES, PREFIX
from stepwell.engine.settings import Settings

WIDTH = 80

_INTRODUCTION = """\
# The command line

<!-- Written by `python -m stepwell.cli.reference`; a test compares. -->

`stepwell` and `python -m stepwell` are the same. Data goes to stdout and talk to stderr, so output
can be piped. What your code prints (imported modules, entrypoints, steps in every pool, and the
programs they start) is talk as well, and goes to stderr even if it was written to stdout.
`--store`, `--home`, `--app` and `--json` may stand before or after the command's name.

`--json` writes what the command found as JSON, with snake_case keys, durations in seconds and times
in UTC with a `Z`; an error then adds a second line on stderr:
`{"error": {"code": "not_found", "message": "…"}}`. Without `--json` you get tables, in which
control characters are escaped. Colours and the live display of `run` appear only on a terminal,
and `NO_COLOR` turns colours off.

Where a command takes RUN, give the run's id, the beginning of it (at least 4 characters, and of
one run only), or `last` for the run started last. Commands that only read never create a store.
TIME is a [duration](reference/settings.md#durations): seconds, or text such as `1h30m`.

If the output of `run` or `start` cannot be written, because stdout is closed or full, a message on
stderr says so; the exit code is that of the run anyway."""

_SETTINGS = """\
## Settings

A flag takes precedence over a `STEPWELL_…` variable, a variable over the file, and the file over
the default. The file is the first found from the working folder upwards: `stepwell.toml`, or a
`pyproject.toml` with a table `[tool.stepwell]`. Relative paths in a file start at its folder. A
file above the working folder that belongs neither to you nor to root is ignored, with a warning;
`stepwell config` shows which file was read. An unknown setting in a file is refused. `app` is a
list in a file, and separated by commas in the variable. `STEPWELL_DEBUG=1` shows the traceback of
an unexpected error.

```toml
# stepwell.toml
home = ".stepwell"
app = ["shop:shop"]
lease = 60
```
"""

_PACKAGES = """\
## Packages

Installed packages are found by the entry-point group `stepwell.packages`; one that cannot be
loaded is reported on stderr, and the others load. `--app module:attribute` (modules of the working
folder come first) or `--app path/to/file.py:attribute` names further packages; the attribute is a
`Package` or a list of them. Such a package replaces an installed one of the same name."""

_INPUT = """\
## The input of a run

`run` and `start` take the input as JSON (`--input`), field by field (`--set`), or both; `--set`
replaces a field of `--input`. `stepwell start PACKAGE --help` lists the fields with their types,
defaults and descriptions; `stepwell start PACKAGE:ENTRYPOINT --help` lists those of one entrypoint.

The type of the field decides how the text behind `--set` is read. It is JSON if that fits the type,
and otherwise the text itself: `--set id=7` is the text `7` for a text field, and the number 7 for
others. A field that only takes true or false also accepts `yes`, `no`, `on` and `off`. `null` is
null if the field may be null. A path such as `a.b` leads into an object. To fill a list, repeat
`--set` for each value; a single value that is not a JSON list becomes a list of one. An unknown
field or choice is refused before anything is stored, and the message suggests the nearest one."""

_SIGNALS = """\
## Signals

`run` and `worker` drain: at the first SIGINT (Ctrl-C), SIGTERM or SIGHUP (the terminal was closed;
under `nohup` it remains ignored) they claim no more steps, running steps
may finish within `--grace`, and the rest is given back without being charged an attempt.
A second signal stops at once and gives running steps back; a third ends the process, and leases
lapse. The process ends within `--grace` plus two seconds, even if steps have left threads and
children in it; steps of the process pool may take `--kill-grace` more until they are killed.

A drained `worker` exits with 0; stopped by a second signal, with 128 and its number: 129 (SIGHUP),
130 (SIGINT) or 143 (SIGTERM). A `worker` waits for a server that cannot be reached, also when it
starts. An interrupted `run` exits with the same codes, and says how to continue:
`stepwell run --resume RUN`, or `stepwell worker`. Every other command ends at once.

As process 1 of a container, `stepwell` acts as an init: it runs the command in a child, passes
signals on to it, reaps orphans, and ends with the child's exit code."""


def page() -> str:
    """The reference as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (_INTRODUCTION, "", _SETTINGS)
    yield from _settings()
    yield from ("", _PACKAGES, "", _INPUT, "", _SIGNALS, "", "## Exit codes", "")
    yield from ("| code | meaning |", "|---|---|")
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    yield from ("", "## Commands", "")
    context = _context(command_line, "stepwell", None)
    yield from _help(command_line, context)
    yield from _commands(command_line, context)


def _settings() -> Iterator[str]:
    yield "| setting | variable | default | range |"
    yield "|---|---|---|---|"
    defaults = {
        "store": "`engine.db` in home",
        "artifacts": "`artifacts` in home",
        "projections": "a PostgreSQL store, else `projections` in home",
        "checkpoints": "the store",
        "home": "`.stepwell`",
        "app": "none",
    }
    for name in PLACES:
        yield f"| `{name}` | `{PREFIX}{name.upper()}` | {defaults[name]} | |"
    known = {field.name: field for field in fields(Settings)}
    for name in ENGINE:
        field = known[name]
        meta = field.metadata
        span = "`full`, `relaxed`"
        if "low" in meta:
            span = f"{meta['low']:,g} to {_whole(meta['high'])} {meta['unit']}"
        yield f"| `{name}` | `{PREFIX}{name.upper()}` | `{field.default}` | {span} |"


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        inner = _context(command, name, context)
        yield from ("", f"### {inner.command_path}", "")
        yield from _help(command, inner)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        **command.context_settings,
    )


def _help(command: click.Command, context: click.Context) -> Iterator[str]:
    yield "```text"
    yield command.get_help(context)
    yield "```"


if __name__ == "__main__":
    print(page(), end="")
