"""Values of a declared type: to JSON text and back, refusing what would not come back equal.

Once per type it is decided whether values need a check: values of plain types are just written,
others are read back at once and compared.
"""

from __future__ import annotations

import dataclasses
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

import stepwell.engine as engine
from stepwell.engine.errors import InvalidPayload, shown
from stepwell.engine.payloads.checks import LEAVES, check_data, check_floats, check_text, walk
from stepwell.engine.payloads.plain import PlainModel, is_simple, plain_model

# Names distinguish fields in every case; aliases are read because older payloads and other
# programs use them.
_WRITTEN: Final[Any] = {"by_alias": False, "round_trip": True, "warnings": False}
_READ: Final[Any] = {"by_alias": True, "by_name": True}
# Classes that JSON cannot express, and that pydantic writes so that the type can read them.
_SCALARS = (datetime, date, time, timedelta, Decimal, UUID, Path)
# The type of a PydanticCustomError whose input may contain secrets and is not quoted.
UNSHOWN: Final = "unshown"


class PayloadType:
    """One declared type. Making one raises pydantic's error if pydantic cannot handle the type."""

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self.adapter: TypeAdapter[Any] = TypeAdapter(type_)

    @property
    def name(self) -> str:
        """The type, for messages."""
        return getattr(self.type, "__name__", None) or str(self.type).replace("typing.", "")

    def read(self, text: str | bytes, path: str) -> Any:
        """The value from JSON text. Raises InvalidPayload naming each field at fault."""
        try:
            return self.adapter.validate_json(text, **_READ)
        except ValidationError as error:
            raise InvalidPayload(explain(error, path)) from None

    def write(self, value: Any, path: str, limit: int, *, strict: bool = False) -> str:
        """`value` as JSON text from which this type reads an equal value.

        A value of another class, such as a dict for a model, is accepted if the type can read it.
        With `strict`, it must be JSON in the form that the type itself writes.

        Raises:
            InvalidPayload: naming the path to what would not come back equal, with advice.
        """
        data = self._data(value, path)
        check_data(data, path, limit)
        plain = self._plain
        if type(value) is not self.type or plain is None or not plain.fits(value):
            self._check(value, data, path, strict)
        elif plain.has_floats and b"null" in data:  # pydantic writes NaN as null
            check_floats(value, path)
        return data.decode()

    @cached_property
    def _plain(self) -> PlainModel | None:
        return plain_model(self.type, self.adapter.core_schema)

    @cached_property
    def _is_simple(self) -> bool:
        return is_simple(self.adapter.core_schema)

    def _data(self, value: Any, path: str) -> bytes:
        try:
            return self.adapter.serializer.to_json(value, **_WRITTEN)
        except Exception as error:  # an author's serializer may raise anything
            walk(value, path, _check_texts, text_keys=False)
            reason = str(error).removeprefix("Error serializing to JSON: ")
            raise InvalidPayload(f"{path}: cannot be written as JSON: {reason}") from None

    def _check(self, value: Any, data: bytes, path: str, strict: bool) -> None:
        told = f"; it is annotated {self.name}" if strict else ""
        try:
            back = self.adapter.validate_json(data, **_READ)
        except ValidationError as error:
            check_floats(value, path)
            raise InvalidPayload(f"{explain(error, path)}{told}") from None
        except Exception as error:  # an author's validator may, too
            raise InvalidPayload(f"{path}: cannot be read back: {shown(error)}{told}") from None
        if self._is_simple and value == back:
            return
        found = engine.equality.difference(value, back, path)
        if found is not None and not self._stands_for(value, data, back, strict):
            check_floats(value, path)
            raise InvalidPayload(f"{found}{told}")

    def _stands_for(self, value: Any, data: bytes, back: Any, strict: bool) -> bool:
        """Whether a value of another class is an accepted form of what was read back."""
        try:
            if strict:
                self.adapter.validate_json(data, strict=True, **_READ)
            written = from_json(data)
            if bool(written == value):
                return True  # it is JSON, and stored unchanged
            meant = self.adapter.validate_python(value, **_READ)
            return (
                engine.equality.difference(meant, back, "") is None
                and from_json(to_json(value)) == written
            )
        except Exception:
            return False


def payload_type(type_: Any) -> PayloadType:
    """The PayloadType of a type, cached, because making one costs more than using it."""
    try:
        # Unions are equal in any order, but are read in their own order.
        return _cached(type_, "" if isinstance(type_, type) else repr(type_))
    except TypeError:  # it is not hashable
        return PayloadType(type_)


@lru_cache(maxsize=1_000)
def _cached(type_: Any, order: str) -> PayloadType:  # noqa: ARG001  # part of the key
    return PayloadType(type_)


def own_type(value: Any) -> PayloadType | None:
    """The type that reads back a value which JSON cannot express; None for other values."""
    kind: Any = type(value)
    return None if kind in LEAVES else _type_of_class(kind)


@lru_cache(maxsize=1_000)
def _type_of_class(kind: Any) -> PayloadType | None:
    if issubclass(kind, (BaseModel, Enum)):
        return payload_type(kind)
    for scalar in _SCALARS:
        if issubclass(kind, scalar):
            return payload_type(scalar)
    if dataclasses.is_dataclass(kind):
        try:
            return payload_type(kind)
        except Exception:  # pydantic does not know its annotations: fields are checked one by one
            return None
    return None


def explain(error: ValidationError, path: str) -> str:
    """A validation error as one line: the path to each field, the fault, and the value.

    With an empty `path`, only the fields are named.
    """
    lines = []
    for item in error.errors(include_url=False, include_context=False)[:3]:
        where = path
        for part in item["loc"]:
            where += f"[{part}]" if isinstance(part, int) else f".{part}"
        unshown = item["type"] in ("missing", UNSHOWN)
        got = "" if unshown else f", got {shown(item['input'])}"
        message = item["msg"][:1].lower() + item["msg"][1:]
        where = where if path else where.removeprefix(".")
        lines.append(f"{where}: {message}{got}" if where else f"{message}{got}")
    more = error.error_count() - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def _check_texts(item: Any, where: str) -> bool:
    """Visit a value that could not be written, and raise for the text that JSON cannot express."""
    if isinstance(item, str):
        check_text(item, where)
        return False
    return isinstance(item, (dict, list, tuple))
