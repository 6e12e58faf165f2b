"""`stepwell packages`: what can be run here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from stepwell.cli.input_help import fields_of, type_name
from stepwell.cli.options import Command
from stepwell.cli.output import Output, width
from stepwell.cli.session import Session
from stepwell.cli.shapes import Shape
from stepwell.engine.descriptions import (
    EntrypointDescription,
    ExecutorDescription,
    PackageDescription,
)
from stepwell.engine.errors import InvalidPackage, NotFound
from stepwell.engine.package import Package
from stepwell.executors.registry import Registry

# So many characters of the names of an input's fields are shown in the table.
SHORT_INPUT = 40


@click.command(cls=Command)
@click.argument("name", metavar="[PACKAGE]", required=False)
@click.pass_obj
def packages(session: Session, name: str | None) -> None:
    """List packages with their entrypoints, or show one in full.

    Opens no store. With --json, each entrypoint and executor comes with the JSON schema of its
    input. An installed package that is broken is reported by name, on stderr.
    """
    out = session.output
    found = _sound(session)
    if name is not None:
        told = _named(session, name, found)
        if out.json:
            out.value(told)
        else:
            _show(told, out)
    elif out.json:
        out.value([package.describe() for package in found])
    else:
        _list([package.describe() for package in found], out)


def _sound(session: Session) -> list[Package]:
    """The packages that can be registered; an installed one that cannot is reported."""
    registry = Registry()
    for package in session.apps.named:
        registry.add_package(package)
    for entry, package in session.apps.installed:
        try:
            registry.add_package(package)
        except InvalidPackage as error:
            session.output.warn(f"package {entry!r} is left out: {error}")
    return list(registry.packages.values())


def _named(session: Session, name: str, found: list[Package]) -> PackageDescription:
    """One of the packages. Raises NotFound."""
    session.check_package(name)
    for package in found:
        if package.name == name:
            return package.describe()
    raise NotFound(f"package {name!r} is declared wrongly and was left out")


def _list(found: list[PackageDescription], out: Output) -> None:
    if not found:
        out.say("no packages; install one, or name one with --app module:attribute")
    out.table(
        ["package", "entrypoint", "type", "input", "description"],
        (
            (package.name, each.name, each.type, _names(each.input_schema), _about(package, each))
            for package in found
            for each in package.entrypoints
        ),
    )


def _names(schema: Mapping[str, Any] | None) -> str:
    """The names of an input's fields, or its type; empty without one."""
    if schema is None:
        return ""
    shape = Shape.of(schema)
    said = ", ".join(shape.fields) or type_name(shape)
    return said if len(said) <= SHORT_INPUT else f"{said[: SHORT_INPUT - 1]}…"


def _input(schema: Mapping[str, Any] | None) -> str:
    """The fields of an input, one a line; empty without one."""
    if schema is None:
        return ""
    fields = [*fields_of(schema)]
    if not fields:
        return type_name(Shape.of(schema))
    names = [f"{each.path}={each.type}" for each in fields]
    widest = max(map(width, names))
    return "\n".join(
        f"{name}{' ' * (widest - width(name))}  {each.said}".rstrip()
        for name, each in zip(names, fields, strict=True)
    )


def _about(package: PackageDescription, entrypoint: EntrypointDescription) -> str:
    """What an entrypoint is for, or else its package."""
    title = entrypoint.title if entrypoint.title != entrypoint.name else ""
    of_package = package.title if package.title != package.name else ""
    return entrypoint.description or title or package.description or of_package


def _show(package: PackageDescription, out: Output) -> None:
    out.fields(
        {
            "package": package.name,
            "title": package.title if package.title != package.name else "",
            "description": package.description,
            "tags": ", ".join(package.tags),
            "queues": ", ".join(package.queues),
        }
    )
    for each in package.entrypoints:
        out.line()
        out.fields(
            {
                each.type: each.name,
                "title": each.title if each.title != each.name else "",
                "description": each.description,
                "tags": ", ".join(each.tags),
                "trigger": "" if each.trigger else "no, only start_run and the command line",
                "recoveries": each.max_recoveries,
                "input": _input(each.input_schema),
            }
        )
    if package.executors:
        out.line()
    out.table(
        ["kind", "queue", "pool", "attempts", "timeout", "priority", "input"],
        map(_row, package.executors),
    )


def _row(executor: ExecutorDescription) -> tuple[Any, ...]:
    attempts = None if executor.retry is None else executor.retry["max_attempts"]
    return (
        executor.kind,
        executor.queue,
        executor.pool,
        attempts,
        executor.timeout,
        executor.priority,
        _names(executor.input_schema),
    )
