"""The limits of every payload, whatever its type: size, depth, numbers, text."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from stepwell.engine.errors import InvalidPayload, shown

MAX_DEPTH = 200
# Longer numbers cannot be read back.
MAX_DIGITS = 4300
_LONG_NUMBER = re.compile(rb"\d{%d}" % (MAX_DIGITS + 1))
LEAVES = frozenset({str, int, bool, type(None)})


def is_record(value: Any) -> bool:
    """Whether it is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def check_data(data: bytes, path: str, limit: int) -> None:
    """Raises InvalidPayload for JSON that is too large, too deep, or has a number too long."""
    if len(data) > limit:
        raise InvalidPayload(
            f"{path}: {len(data):,} bytes of JSON are over the limit of {limit:,}; "
            "store large data as an artifact, or raise the setting payload_limit"
        )
    if len(data) > MAX_DIGITS and _LONG_NUMBER.search(data):
        check_digits(data, path)
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        check_depth(data, path)


def parts(value: Any, path: str, text_keys: bool) -> Iterator[tuple[str, Any]]:
    """The values inside a container, each with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            if text_keys:
                check_key(key, path)
            yield f"{path}.{shown_key(key)}", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    elif is_record(value):
        for field in dataclasses.fields(value):
            yield f"{path}.{field.name}", getattr(value, field.name)


def check_key(key: Any, path: str) -> None:
    """Raises InvalidPayload for a key that is not text."""
    if type(key) is not str and not isinstance(key, str):
        raise InvalidPayload(
            f"{path}: the key {key!r:.60} is {article(type(key).__name__)}; JSON keys are strings"
        )
    check_text(key, f"{path}: the key")


def shown_key(key: Any) -> str:
    """A key as part of a path, always on one line."""
    text = key if isinstance(key, str) else shown(key)
    return text[:60] if text.isprintable() else ascii(text[:60])


def walk(
    value: Any, path: str, visit: Callable[[Any, str], bool], *, text_keys: bool = True
) -> None:
    """Visit `value` and all inside it; `visit` says whether to look inside.

    Raises InvalidPayload for a cycle, for more than 200 levels, and, with `text_keys`, for keys
    that are not text.
    """
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
        if type(item) in LEAVES and type(item) is not str:
            continue
        if visit(item, where):
            if id(item) in above:
                raise InvalidPayload(f"{where}: the value contains itself")
            if len(stack) > MAX_DEPTH:
                raise InvalidPayload(
                    f"{where:.200}…: nested deeper than {MAX_DEPTH} levels; flatten the value"
                )
            above.append(id(item))
            stack.append(parts(item, where, text_keys))


def check_floats(value: Any, path: str) -> None:
    """Raises InvalidPayload for NaN and infinity, also inside models, which write them as null."""

    def visit(item: Any, where: str) -> bool:
        if isinstance(item, float):
            check_float(item, where)
            return False
        if isinstance(item, BaseModel):
            walk(dict(item), where, visit, text_keys=False)
            return False
        return isinstance(item, (dict, list, tuple)) or is_record(item)

    walk(value, path, visit, text_keys=False)


def check_depth(data: bytes, path: str) -> None:
    """Raises InvalidPayload for JSON of more than 200 levels."""
    # The reader counts a level only if it is not empty.
    filled = data.replace(b"[]", b"[0]").replace(b"{}", b'{"":0}')
    try:
        from_json(filled)
    except ValueError:
        raise InvalidPayload(
            f"{path}: nested deeper than {MAX_DEPTH} levels; flatten the value"
        ) from None


def check_digits(data: bytes, path: str) -> None:
    """Raises InvalidPayload for JSON with a number too long to be read."""
    try:
        from_json(data)
    except ValueError as error:
        if "number" in str(error):
            raise InvalidPayload(
                f"{path}: holds a number of over {MAX_DIGITS:,} digits; use a string for it"
            ) from None


def check_float(value: float, path: str) -> None:
    """Raises InvalidPayload for NaN and infinity."""
    if not math.isfinite(value):
        raise InvalidPayload(f"{path}: {value} is not JSON; use None or a string for it")


def check_text(text: str, path: str) -> None:
    """Raises InvalidPayload for text that is not valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidPayload(
            f"{path}: {text[:40]!a} has a lone surrogate; use valid Unicode text"
        ) from None


def article(name: str) -> str:
    """The name of a class with an indefinite article."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def advice(item: Any) -> str:
    """What to use in place of a value that JSON cannot express."""
    if isinstance(item, (set, frozenset)):
        return "use a sorted list"
    if isinstance(item, (bytes, bytearray, memoryview)):
        return "store bytes as an artifact, or use base64 text"
    return "return plain values, a pydantic model or a dataclass"
