"""`stepwell packages`: what can be run here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from stepwell.cli.options import Command
from stepwell.cli.session import Session
from stepwell.engine.entrypoints import Entrypoint
from stepwell.engine.errors import InvalidPackage
from stepwell.engine.package import Package
from stepwell.executors.registry import Registry


@click.command(cls=Command)
@click.pass_obj
def packages(session: Session) -> None:
    """List packages with their entrypoints and kinds.

    Opens no store. With --json, each entrypoint comes with the JSON schema of its input.
    """
    out = session.output
    found = _sound(session)
    if out.json:
        out.value([_description(package) for package in found])
        return
    for index, package in enumerate(found):
        if index:
            out.line()
        out.fields(
            {
                "package": package.name,
                "title": package.title if package.title != package.name else "",
                "entrypoints": "\n".join(
                    f"{name}({summary(_schema(entrypoint))})"
                    for name, entrypoint in package.entrypoints.items()
                ),
                "kinds": "\n".join(package.executors),
                "queues": "\n".join(queue.name for queue in package.queues),
            }
        )
    if not found:
        out.say("no packages; install one, or name one with --app module:attribute")


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


def _description(package: Package) -> dict[str, Any]:
    return {
        "name": package.name,
        "title": package.title,
        "entrypoints": [
            {
                "name": name,
                "takes_input": entrypoint.signature.takes_input,
                "input_schema": _schema(entrypoint),
            }
            for name, entrypoint in package.entrypoints.items()
        ],
        "kinds": list(package.executors),
        "queues": [queue.name for queue in package.queues],
    }


def _schema(entrypoint: Entrypoint) -> dict[str, Any] | None:
    """The JSON schema of its input; None if it takes none, {} if there is no schema."""
    wanted = entrypoint.signature.input_type
    try:
        return None if wanted is None else TypeAdapter(wanted).json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def summary(schema: Mapping[str, Any] | None) -> str:
    """A schema in a few words: `id: string, items: string[], note?: string`."""
    if schema is None:
        return ""
    shape = _object(schema, schema.get("$defs", {}))
    if "properties" not in shape:
        return _type(schema)
    required = shape.get("required", ())
    return ", ".join(
        f"{name}{'' if name in required else '?'}: {_type(part)}"
        for name, part in shape["properties"].items()
    )


def _object(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a schema refers to, also if null is an alternative."""
    parts = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    if len(parts) == 1:
        schema = parts[0]
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, Any] = definitions.get(name, schema)
    return found


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(repr(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(part) for part in schema["anyOf"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"{_type(schema.get('items', {}))}[]"
    return str(schema.get("format", kind))
