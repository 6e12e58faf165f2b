"""Packs plain values that JSON alone would change, so that they come back unchanged.

Tuples, bytes, paths and invalid Unicode are marked. Other values that are not plain JSON are left
to the caller, or cannot be packed.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

from stepwell.engine.errors import InvalidPayload
from stepwell.engine.payloads.checks import MAX_DEPTH

_BYTES, _OTHER, _PATH, _TEXT, _TUPLE = (
    f"stepwell:{kind}" for kind in ("bytes", "other", "path", "text", "tuple")
)
_PATH_TYPE = type(Path())
_MARKS = frozenset({_BYTES, _OTHER, _PATH, _TEXT, _TUPLE})


def pack(value: Any, other: Callable[[Any], Any] | None = None, depth: int = 0) -> Any:
    """The value as plain JSON, for `unpack`. Raises InvalidPayload if that is not possible.

    `other` converts values that this module does not know; `unpack` passes the result to its own
    `other`.
    """
    kind = type(value)
    if value is None or kind is bool or kind is int or (kind is float and isfinite(value)):
        return value
    if kind is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return {_TEXT: b64encode(value.encode("utf-8", "surrogatepass")).decode()}
        return value
    if kind is bytes:
        return {_BYTES: b64encode(value).decode()}
    if depth > MAX_DEPTH // 2:
        raise InvalidPayload("nested too deeply")
    if kind is list or kind is tuple:
        items = [pack(item, other, depth + 1) for item in value]
        return items if kind is list else {_TUPLE: items}
    if kind is dict and all(type(key) is str for key in value) and not _MARKS & value.keys():
        return {key: pack(item, other, depth + 1) for key, item in value.items()}
    if kind is _PATH_TYPE:
        return {_PATH: pack(str(value))}
    if other is not None:
        return {_OTHER: other(value)}
    raise InvalidPayload(f"a {kind.__name__} is not a plain value")


def unpack(value: Any, other: Callable[[Any], Any] | None = None) -> Any:
    """The value that was packed."""
    if type(value) is list:
        return [unpack(item, other) for item in value]
    if type(value) is not dict:
        return value
    mark = next(iter(value)) if len(value) == 1 else None
    if mark == _TUPLE:
        return tuple(unpack(item, other) for item in value[mark])
    if mark == _BYTES:
        return b64decode(value[mark])
    if mark == _TEXT:
        return b64decode(value[mark]).decode("utf-8", "surrogatepass")
    if mark == _PATH:
        return Path(unpack(value[mark]))
    if mark == _OTHER and other is not None:
        return other(value[mark])
    return {key: unpack(item, other) for key, item in value.items()}
