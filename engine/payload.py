"""Payloads: from Python values to JSON text and back, refusing what JSON cannot carry.

Everything is refused when it is handed over, with the path to the value that is at fault.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from stepwell.engine.errors import InvalidPayload

MAX_DEPTH = 200
DEFAULT_LIMIT = 1024 * 1024
# Longer ones cannot be read back.
MAX_DIGITS = 4300
_LONG_NUMBER = re.compile(rb"\d{%d}" % (MAX_DIGITS + 1))
# Whole numbers that need none of the checks.
_SHORT = 10**15
_LEAVES = frozenset({str, int, bool, type(None)})
# Written by pydantic in a form that its own types read back.
_KNOWN = (BaseModel, date, time, timedelta, Decimal, UUID, Enum, Path)


def encode(value: Any, path: str, limit: int = DEFAULT_LIMIT) -> str:
    """`value` as JSON text.

    Plain JSON values, pydantic models, dataclasses, dates, decimals, UUIDs, enums and paths are
    taken; sets, bytes, NaN, other keys than text, cycles and more than 200 levels are refused.

    Raises:
        InvalidPayload: naming `path` and the way from there to the value at fault.
    """
    if value is None:
        return "null"
    if type(value) is int and -_SHORT < value < _SHORT:
        return str(value)
    data = _unchanged(value)
    is_plain = data is not None
    if data is None:
        data = _looked_through(value, path)
    if len(data) > limit:
        raise InvalidPayload(
            f"{path}: {len(data):,} bytes of JSON are over the limit of {limit:,}; "
            "store large data as an artifact, or raise the setting payload_limit"
        )
    if b"NaN" in data or b"Infinity" in data or (b"null" in data and not is_plain):
        _check_floats(value, path)
    if len(data) > MAX_DIGITS and _LONG_NUMBER.search(data):
        _check_digits(data, path)
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(data, path)
    return data.decode()


def _unchanged(value: Any) -> bytes | None:
    """The JSON of a value that comes back from it as it was, else None.

    Such a value needs no look at each of its parts, which takes many times as long.
    """
    if isinstance(value, BaseModel):
        return None
    try:
        data = to_json(value, inf_nan_mode="constants")
        return data if bool(from_json(data) == value) else None
    except Exception:  # whatever a value's own methods raise; why it is refused is said later
        return None


def _looked_through(value: Any, path: str) -> bytes:
    """The JSON of any value that JSON can carry. Raises InvalidPayload for another."""
    if not isinstance(value, (str, int, BaseModel)):
        _check(value, path)
    try:
        # "constants" and not a refusal, because models write null for NaN: both are looked for.
        return to_json(value, inf_nan_mode="constants")
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        _check(value, path)
        raise InvalidPayload(f"{path}: cannot be written as JSON: {_reason(error)}") from None


def decode(text: str | bytes) -> Any:
    """JSON text of ours as plain Python values."""
    return from_json(text)


def parse(text: str | bytes, path: str) -> Any:
    """JSON text of a person or another program, read strictly.

    Raises:
        InvalidPayload: for bad syntax (with line and column), NaN, a key given twice, lone
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


def _reason(error: BaseException) -> str:
    return str(error).removeprefix("Error serializing to JSON: ")


def _items(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The values inside a container, each with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str and not isinstance(key, str):
                raise InvalidPayload(
                    f"{path}: the key {key!r:.60} is {_article(type(key).__name__)}; "
                    "JSON keys are strings"
                )
            _check_text(key, f"{path}: the key")
            yield f"{path}.{_shown(key)}", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield f"{path}.{field.name}", getattr(value, field.name)


def _shown(key: str) -> str:
    """A key as part of a path, in one line whatever is in it."""
    return key[:60] if key.isprintable() else ascii(key[:60])


def _walk(value: Any, path: str, visit: Callable[[Any, str], bool]) -> None:
    """Visit `value` and all inside it; `visit` says whether to look inside."""
    stack: list[Iterator[tuple[str, Any]]] = [iter(((path, value),))]
    above: list[int] = []
    while stack:
        try:
            where, item = next(stack[-1])
        except StopIteration:
            stack.pop()
            if above:
                above.pop()
            continue
        if type(item) in _LEAVES and type(item) is not str:
            continue
        if visit(item, where):
            if id(item) in above:
                raise InvalidPayload(f"{where}: the value contains itself")
            if len(stack) > MAX_DEPTH:
                raise InvalidPayload(
                    f"{where:.200}…: nested deeper than {MAX_DEPTH} levels; flatten the value"
                )
            above.append(id(item))
            stack.append(_items(item, where))


def _check(value: Any, path: str) -> None:
    def visit(item: Any, where: str) -> bool:
        if isinstance(item, str) and not isinstance(item, Enum):
            _check_text(item, where)
            return False
        if isinstance(item, float):
            _check_float(item, where)
            return False
        if isinstance(item, (dict, list, tuple)) or (
            dataclasses.is_dataclass(item) and not isinstance(item, type)
        ):
            return True
        if isinstance(item, (int, *_KNOWN)):
            return False
        raise InvalidPayload(
            f"{where}: {_article(type(item).__name__)} is not JSON; {_advice(item)}"
        )

    _walk(value, path, visit)


def _check_floats(value: Any, path: str) -> None:
    """Look for NaN and infinity inside models too, which write them as null."""

    def visit(item: Any, where: str) -> bool:
        if isinstance(item, float):
            _check_float(item, where)
            return False
        if isinstance(item, BaseModel):
            _walk(dict(item), where, visit)
            return False
        return isinstance(item, (dict, list, tuple)) or (
            dataclasses.is_dataclass(item) and not isinstance(item, type)
        )

    _walk(value, path, visit)


def _check_depth(data: bytes, path: str) -> None:
    # The reader counts a level once there is something in it.
    filled = data.replace(b"[]", b"[0]").replace(b"{}", b'{"":0}')
    try:
        from_json(filled)
    except ValueError:
        raise InvalidPayload(
            f"{path}: nested deeper than {MAX_DEPTH} levels; flatten the value"
        ) from None


def _check_digits(data: bytes, path: str) -> None:
    try:
        from_json(data)
    except ValueError as error:
        if "number" in str(error):
            raise InvalidPayload(
                f"{path}: holds a number of over {MAX_DIGITS:,} digits; use a string for it"
            ) from None


def _check_float(value: float, path: str) -> None:
    if not math.isfinite(value):
        raise InvalidPayload(f"{path}: {value} is not JSON; use None or a string for it")


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidPayload(
            f"{path}: {text[:40]!a} has a lone surrogate; use valid Unicode text"
        ) from None


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _advice(item: Any) -> str:
    if isinstance(item, (set, frozenset)):
        return "use a sorted list"
    if isinstance(item, (bytes, bytearray, memoryview)):
        return "store bytes as an artifact, or use base64 text"
    return "return plain values, a pydantic model or a dataclass"
