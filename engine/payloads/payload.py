"""Payloads: from Python values to JSON text and back, refusing what JSON cannot express.

An accepted value is equal to what is read later with its declared type. Everything else is refused
at once, with the path to the value at fault and advice.
"""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from stepwell.engine.errors import InvalidPayload
from stepwell.engine.payloads.checks import (
    MAX_DEPTH,
    advice,
    article,
    check_data,
    check_float,
    check_floats,
    check_text,
    is_record,
    walk,
)
from stepwell.engine.payloads.types import own_type

DEFAULT_LIMIT = 1024 * 1024
# Integers in this range need no check.
_SHORT = 10**15
_UNLIMITED = 1 << 62


def encode(value: Any, path: str, limit: int = DEFAULT_LIMIT) -> str:
    """`value` as JSON text, if no type is declared for it.

    Accepts plain JSON values, and pydantic models, dataclasses, dates, decimals, UUIDs, enums
    and paths that are equal when read back by their own type; tuples become lists. Refuses sets,
    bytes, NaN, keys other than text, cycles and more than 200 levels.

    Raises:
        InvalidPayload: naming the path to the value at fault, beginning with `path`.
    """
    if value is None:
        return "null"
    if type(value) is int and -_SHORT < value < _SHORT:
        return str(value)
    data = _unchanged(value)
    if data is None:
        data = _looked_through(value, path, limit)
    elif b"NaN" in data or b"Infinity" in data:
        check_floats(value, path)
    check_data(data, path, limit)
    return data.decode()


def _unchanged(value: Any) -> bytes | None:
    """The JSON of a value that is certain to come back unchanged, else None.

    Such a value need not be searched part by part, which takes many times as long.
    """
    if isinstance(value, BaseModel):
        return None
    try:
        data = to_json(value, inf_nan_mode="constants")
        return data if bool(from_json(data) == value) else None
    except Exception:  # a value's own methods may raise anything; the refusal comes later
        return None


def _looked_through(value: Any, path: str, limit: int) -> bytes:
    """The JSON of any value that JSON can express. Raises InvalidPayload for others."""
    own = own_type(value)
    if own is not None:
        return own.write(value, path, limit).encode()
    plain = _plain(value, _written_parts(value, path))
    try:
        # "constants", because a refusal would miss models, which write NaN as null; we find both.
        return to_json(plain, inf_nan_mode="constants")
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        reason = str(error).removeprefix("Error serializing to JSON: ")
        raise InvalidPayload(f"{path}: cannot be written as JSON: {reason}") from None


def _written_parts(value: Any, path: str) -> dict[int, tuple[Any, Any]]:
    """The values in a container that JSON cannot express, by `id()`, each with its plain value.

    Raises InvalidPayload for a value that cannot be JSON, or would not come back equal.
    """
    written: dict[int, tuple[Any, Any]] = {}

    def visit(item: Any, where: str) -> bool:
        if isinstance(item, str) and not isinstance(item, Enum):
            check_text(item, where)
            return False
        if isinstance(item, float):
            check_float(item, where)
            return False
        own = own_type(item)
        if own is not None:
            written[id(item)] = item, from_json(own.write(item, where, _UNLIMITED))
            return False
        if isinstance(item, (dict, list, tuple)) or is_record(item):
            return True
        if isinstance(item, int):
            return False
        raise InvalidPayload(f"{where}: {article(type(item).__name__)} is not JSON; {advice(item)}")

    walk(value, path, visit)
    return written


def _plain(value: Any, written: dict[int, tuple[Any, Any]]) -> Any:
    """A copy of a container with plain values in it."""
    if id(value) in written:
        return written[id(value)][1]
    if isinstance(value, dict):
        return {key: _plain(item, written) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, written) for item in value]
    if is_record(value):
        names = (field.name for field in dataclasses.fields(value))
        return {name: _plain(getattr(value, name), written) for name in names}
    return value


def decode(text: str | bytes) -> Any:
    """JSON text written by Stepwell, as plain Python values."""
    return from_json(text)


def parse(text: str | bytes, path: str) -> Any:
    """JSON text from a person or another program, read strictly.

    Raises:
        InvalidPayload: for bad syntax (with line and column), NaN, duplicate keys, lone
            surrogates, integers of over 4,300 digits, or more than 200 levels.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InvalidPayload(f"{path}: the key {twice!r} is given twice")
        return result

    def constant(name: str) -> Any:
        raise InvalidPayload(f"{path}: {name} is not JSON")

    try:
        if isinstance(text, bytes):
            text = text.decode()
        value = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise InvalidPayload(
            f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise InvalidPayload(f"{path}: nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise InvalidPayload(f"{path}: {error}") from None
    encode(value, path, limit=2**62)
    return value
