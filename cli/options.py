"""Options that many commands share. They are kept in the session, not passed as parameters."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click

from stepwell.cli.session import Session
from stepwell.engine.duration_checks import MAX_WAIT, check_duration
from stepwell.engine.errors import InvalidInput
from stepwell.engine.ids import check_id
from stepwell.engine.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=click.Command)


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep a flag; after the command's name it takes precedence over the same one before it."""
    if value is None or value is False or value == () or param.name is None:
        return
    session = ctx.ensure_object(Session)
    if param.name == "json":
        session.output.json = True
    elif param.name == "app":
        session.flags["app"] = [*session.flags.get("app", []), *value]
    else:
        session.flags[param.name] = value


def _kept(*names: str, **attributes: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=_remember, **attributes)


def shared_options() -> list[click.Parameter]:
    """The options every command takes, before or after its name."""
    return [
        _kept(
            "--store",
            metavar="URL",
            help="The store: sqlite:///engine.db or postgresql://user@host/db.  "
            "[default: engine.db in --home]",
        ),
        _kept(
            "--artifacts",
            metavar="URL",
            help="Where artifacts are kept: file:///folder.  [default: artifacts in --home]",
        ),
        _kept(
            "--projections",
            metavar="URL",
            help="Where projections are kept: file:///folder or postgresql://user@host/db.  "
            "[default: a PostgreSQL store, else projections in --home]",
        ),
        _kept(
            "--checkpoints",
            metavar="URL",
            help="Where steps record their operations: file:///folder, sqlite:///file.db or "
            "postgresql://user@host/db.  [default: the store]",
        ),
        _kept(
            "--home",
            metavar="DIR",
            help="The folder for local files.  [default: .stepwell]",
        ),
        _kept(
            "--app",
            metavar="M:A",
            multiple=True,
            help="A package, or a list of them: module:attribute or file.py:attribute. Repeatable.",
        ),
        _kept("--json", is_flag=True, help="Write JSON."),
    ]


def add_shared_options(command: C) -> C:
    """Give a command the shared options, after its own."""
    command.params.extend(shared_options())
    return command


class Command(click.Command):
    """A command with the shared options after its own."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        add_shared_options(self)


def limit_option(what: str = "") -> Callable[[F], F]:
    """Give a command the option that says how many of `what` it lists."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 1_000_000),
        metavar="N",
        default=50,
        show_default=True,
        help=f"At most this many {what}".rstrip() + ".",
    )


def by_option(function: F) -> F:
    """Give a command the option that says who acts."""
    option = click.option(
        "--by",
        metavar="WHO",
        default=login_name,
        show_default="your login name",
        help="Who acts.",
    )
    return option(function)


def login_name() -> str:
    """The name of the user; "operator" if it is unknown or unusable."""
    try:
        return check_id(getpass.getuser(), "by")
    except (ImportError, OSError, KeyError, InvalidInput):  # a user id without an entry
        return "operator"


def audit_options(function: F) -> F:
    """Give a command the options that say who acts, and why."""
    return click.option("--reason", metavar="TEXT", default="", help="Why.")(by_option(function))


def settings_options(function: F) -> F:
    """Give a command a flag for every setting of the engine."""
    for field in reversed(fields(Settings)):
        meta = field.metadata
        unit = meta.get("unit", "")
        span = f" {meta['low']:g} to {meta['high']:g} {unit}." if "low" in meta else ""
        option = click.option(
            f"--{field.name.replace('_', '-')}",
            metavar="full|relaxed" if not unit else "TIME" if unit == "seconds" else "N",
            expose_value=False,
            callback=_remember,
            help=f"{meta['text'][:1].upper()}{meta['text'][1:]}.{span}  [default: {field.default}]",
        )
        function = option(function)
    return function


class Time(click.ParamType[float]):
    """A duration over 0: seconds, or text such as `1h30m`. The command gets it as seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The duration in seconds. Fails if it is none, or out of range."""
        try:
            return check_duration(value, "", MAX_WAIT).total_seconds()
        except InvalidInput as error:
            self.fail(str(error).removeprefix(": "), param, ctx)


TIME = Time()
