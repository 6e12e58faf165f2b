"""The fields of an entrypoint's input, for the help of `run` and `start`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from stepwell.cli.options import Command
from stepwell.cli.output import clean
from stepwell.cli.session import Session
from stepwell.cli.shapes import Shape
from stepwell.engine.entrypoints import Entrypoint

_GIVEN = "stepwell.given"
_NAMES = {
    "array": "LIST",
    "boolean": "true|false",
    "integer": "INTEGER",
    "null": "null",
    "number": "NUMBER",
    "object": "OBJECT",
    "string": "TEXT",
}
_FORMATS = {"date": "DATE", "date-time": "TIME", "uuid": "UUID", "uri": "URL", "path": "PATH"}


@dataclass(frozen=True, slots=True)
class InputField:
    """One field: the path for `--set`, its type in short, and what the schema says of it."""

    path: str
    type: str
    said: str


class StartCommand(Command):
    """A command whose `--help` behind a package lists the fields of the input."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_GIVEN] = list(args)
        return super().parse_args(ctx, args)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        given, _, _ = self.make_parser(ctx).parse_args(args=list(ctx.meta.get(_GIVEN, ())))
        target = given.get("target")
        if not isinstance(target, str) or ctx.obj is None:
            return
        session = ctx.ensure_object(Session)
        session.flags["app"] = [*session.flags.get("app", []), *given.get("app", [])]
        for entrypoint in _entrypoints(session, target):
            _write(entrypoint, formatter)


def _show_help(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    """Write the help as data, although what a package prints is not."""
    if wanted and not ctx.resilient_parsing:
        text = ctx.get_help()
        ctx.ensure_object(Session).output.text(text)
        ctx.exit()


def _entrypoints(session: Session, target: str) -> list[Entrypoint]:
    """Those that are named, or all of the package. Raises NotFound."""
    name, _, entrypoint = target.partition(":")
    session.check_package(name)
    package = session.apps.package(name)
    package.prepare()
    return [package.find_entrypoint(entrypoint)] if entrypoint else [*package.entrypoints.values()]


def _write(entrypoint: Entrypoint, formatter: click.HelpFormatter) -> None:
    with formatter.section(f"Input of {entrypoint.target}"):
        title = entrypoint.title if entrypoint.title != entrypoint.name else ""
        for text in (title, entrypoint.description):
            if text:
                formatter.write_text(clean(text))
                formatter.write_paragraph()
        schema = entrypoint.input_schema
        fields = [] if schema is None else [*fields_of(schema)]
        if fields:
            formatter.write_dl(
                [(clean(f"--set {each.path}={each.type}"), clean(each.said)) for each in fields]
            )
        elif schema is None:
            formatter.write_text("It takes no input.")
        elif not schema:
            formatter.write_text("It takes any JSON.")
        else:
            shape = Shape.of(schema)
            told = _said(
                schema,
                required=entrypoint.signature.needs_input,
                more=f"{type_name(shape)}, as JSON.",
            )
            formatter.write_dl([("--input JSON", clean(told))])


def fields_of(schema: Mapping[str, Any]) -> Iterator[InputField]:
    """The fields of an object's schema, those of objects in it under their paths."""
    yield from _fields(Shape.of(schema), "", (), needed=True)


def _fields(
    shape: Shape, before: str, above: tuple[int, ...], *, needed: bool
) -> Iterator[InputField]:
    for name, below in shape.fields.items():
        path, required = f"{before}{name}", needed and shape.required(name)
        is_object, places = below.types == {"object"}, (*above, *below.places)
        if is_object and below.fields and below.places.isdisjoint(above) and "." not in name:
            yield from _fields(below, f"{path}.", places, needed=required)
        elif is_object and below.others is not None and not below.fields:
            said = _said(below.first, required=required)
            yield InputField(f"{path}.KEY", type_name(below.others), said)
        else:
            kind = below.items if below.is_list else below
            said = _said(
                below.first, required=required, more="Repeatable." if below.is_list else ""
            )
            yield InputField(path, type_name(kind), said)
    if shape.others is not None and shape.types == {"object"}:
        yield InputField(f"{before}KEY", type_name(shape.others), "Any other field.")


def _said(schema: Mapping[str, Any], *, required: bool, more: str = "") -> str:
    """The description, and what happens without the field."""
    said = " ".join(f"{schema.get('description', '')} {more}".split())
    if "default" in schema:
        default = schema["default"]
        said += f"  [default: {_shown(default) or json.dumps(default)}]"
    elif required:
        said += "  [required]"
    return said.strip()


def type_name(shape: Shape) -> str:
    """The type of a field in short, such as `INTEGER|null`."""
    choices = shape.choices
    if choices is not None:
        return "|".join("null" if each is None else _shown(each) for each in choices)
    names = [_one(part) for part in shape.alternatives]
    if shape.nullable:
        names.append("null")
    return "|".join(dict.fromkeys(names)) or "JSON"


def _one(part: Mapping[str, Any]) -> str:
    if part.get("format") in _FORMATS:
        return _FORMATS[str(part["format"])]
    if "enum" in part:
        return "|".join(map(_shown, part["enum"]))
    return _NAMES.get(str(part.get("type")), "JSON")


def _shown(choice: Any) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice, ensure_ascii=False)
