"""The JSON Schema of inputs: made from an annotation, or given by an author and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from stepwell.engine.errors import InvalidPackage, InvalidPayload, nearest, shown
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.payloads.types import payload_type
from stepwell.engine.signature import Signature

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
# Keywords that hold a schema, several of them, or several by name.
_ONE = ("items", "additionalProperties", "not")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions", "patternProperties")


class _Generator(GenerateJsonSchema):
    # A default that JSON cannot express is left out without a warning: nobody asked for it.
    ignored_warning_kinds: set[JsonSchemaWarningKind] = {  # noqa: RUF012  # as pydantic declares it
        "skipped-choice",
        "non-serializable-default",
    }


def schema_of(signature: Signature) -> dict[str, Any] | None:
    """The JSON Schema of a function's input; None if it takes none.

    Empty if it takes any JSON, or if pydantic knows no schema of its type.
    """
    if not signature.takes_input:
        return None
    return schema_of_type(signature.input_type)


def schema_of_type(declared: Any, *, by_alias: bool = True) -> dict[str, Any]:
    """The JSON Schema of a type, empty for None; fields by alias, or else by name."""
    if declared is None:
        return {}
    try:
        adapter = payload_type(declared).adapter
        return adapter.json_schema(by_alias=by_alias, schema_generator=_Generator)
    except Exception:  # an author's type may raise anything when it is asked for its schema
        return {}


def checked_schema(given: object, where: str) -> dict[str, Any]:
    """A copy of the JSON Schema that an author gave. Raises InvalidPackage naming the place."""
    if not isinstance(given, Mapping):
        raise InvalidPackage(f"{where}: must be a JSON Schema as a dict, got {shown(given)}")
    try:
        schema: dict[str, Any] = decode(encode(dict(given), where))
    except InvalidPayload as error:
        raise InvalidPackage(str(error)) from None
    _check(schema, where)
    return schema


def _check(schema: Any, where: str) -> None:
    if isinstance(schema, bool):  # anything, or nothing
        return
    if not isinstance(schema, dict):
        raise InvalidPackage(f"{where}: must be a schema, got {shown(schema)}")
    types = schema.get("type", [])
    for name in types if isinstance(types, list) else [types]:
        if name not in _TYPES:
            raise InvalidPackage(
                f"{where}.type: {shown(name)} is no type of JSON{nearest(name, _TYPES)}"
            )
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise InvalidPackage(f"{where}.required: must be a list of names, got {shown(required)}")
    if not isinstance(schema.get("enum", []), list):
        raise InvalidPackage(f"{where}.enum: must be a list, got {shown(schema['enum'])}")
    for part, place in _parts(schema, where):
        _check(part, place)


def _parts(schema: dict[str, Any], where: str) -> Iterator[tuple[Any, str]]:
    """The schemas inside of a schema, with their places."""
    yield from ((schema[keyword], f"{where}.{keyword}") for keyword in _ONE if keyword in schema)
    for keyword in _SEVERAL:
        parts = schema.get(keyword, [])
        if not isinstance(parts, list):
            raise InvalidPackage(
                f"{where}.{keyword}: must be a list of schemas, got {shown(parts)}"
            )
        yield from ((part, f"{where}.{keyword}[{index}]") for index, part in enumerate(parts))
    for keyword in _NAMED:
        named = schema.get(keyword, {})
        if not isinstance(named, dict):
            raise InvalidPackage(
                f"{where}.{keyword}: must be a dict of schemas, got {shown(named)}"
            )
        yield from ((part, f"{where}.{keyword}.{name}") for name, part in named.items())
