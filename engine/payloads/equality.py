"""Compares a value that was read back with the original, and says where they differ."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, RootModel, Secret, SecretBytes, SecretStr

from stepwell.engine.errors import shown
from stepwell.engine.payloads.checks import LEAVES, article, is_record, shown_key

_SECRETS = (SecretStr, SecretBytes, Secret)
_SEQUENCES = (list, tuple, deque)
_MISSING: Final[Any] = object()


def difference(value: Any, back: Any, path: str, *, listed: bool = True) -> str | None:
    """Where and how `back` differs from `value`, with advice, or None if they are equal.

    Compares the fields of models and dataclasses one by one, also those that their `==` ignores.
    With `listed`, a tuple may come back as a list, as it does outside of models and dataclasses.
    """
    kind = type(value)
    if kind in LEAVES:
        return None if value == back else _told(value, back, path)
    for of, compare in _COMPARED:
        if isinstance(value, of):
            return compare(value, back, path, listed)
    return _of_record(value, back, path) if is_record(value) else _of_object(value, back, path)


def _of_model(value: BaseModel, back: Any, path: str, _: bool) -> str | None:
    if type(back) is not type(value):
        return _told(value, back, path)
    for name, field in type(value).model_fields.items():
        where = path if isinstance(value, RootModel) else f"{path}.{name}"
        is_out = bool(field.exclude)
        found = _of_attribute(value.__dict__, back.__dict__, name, where, is_out=is_out)
        if found is not None:
            return found
    found = _of_dict(value.__pydantic_extra__ or {}, back.__pydantic_extra__ or {}, path, False)
    if found is not None:
        return found
    private, again = value.__pydantic_private__ or {}, back.__pydantic_private__ or {}
    for name in private.keys() | again.keys():
        if _has_no_equality(private.get(name), again.get(name)):
            continue  # a lock or connection, say: recreated by the class, not part of the value
        found = _of_attribute(private, again, name, f"{path}.{name}", is_out=True)
        if found is not None:
            return found
    return None


def _of_record(value: Any, back: Any, path: str) -> str | None:
    """The difference of a dataclass."""
    if type(back) is not type(value):
        return _told(value, back, path)
    for field in dataclasses.fields(value):
        name, where = field.name, f"{path}.{field.name}"
        values, again = ({name: getattr(of, name, _MISSING)} for of in (value, back))
        found = _of_attribute(values, again, name, where, is_out=not field.init)
        if found is not None:
            return found
    return None


def _of_attribute(
    values: Mapping[str, Any], again: Mapping[str, Any], name: str, path: str, *, is_out: bool
) -> str | None:
    """The difference of one attribute; `is_out` if it is not written at all."""
    item, back = values.get(name, _MISSING), again.get(name, _MISSING)
    if item is _MISSING and back is _MISSING:
        return None
    found: str | None
    if item is _MISSING:
        found = f"{path}: is not set, and would come back as {shown(back)}; set it"
    elif back is _MISSING:
        found = f"{path}: {shown(item)} would be lost; declare it as a field"
    else:
        found = difference(item, back, path, listed=False)
    if found is not None and is_out:
        return (
            f"{path}: is not stored (excluded, private, or made by the class itself), and "
            "its content would be lost; store it in a field, or leave it as it is by default"
        )
    return found


def _of_dict(value: dict[Any, Any], back: Any, path: str, listed: bool) -> str | None:
    if not isinstance(back, dict):
        return _told(value, back, path)
    for key, item in value.items():
        where = f"{path}.{shown_key(key)}"
        if key not in back:
            if isinstance(key, str):
                return f"{where}: {shown(item)} would be lost; its type has no such key"
            return (
                f"{where}: the key {shown(key)} would come back as text; annotate it, or use text"
            )
        found = difference(item, back[key], where, listed=listed)
        if found is not None:
            return found
    if len(back) != len(value):
        more = next(key for key in back if key not in value)
        return f"{path}.{shown_key(more)}: is missing, and would come back as {shown(back[more])}"
    return None


def _of_sequence(value: Sequence[Any], back: Any, path: str, listed: bool) -> str | None:
    kind = next(kind for kind in _SEQUENCES if isinstance(value, kind))
    if not isinstance(back, (kind, list) if listed and kind is tuple else kind):
        return _told(value, back, path)
    if len(back) != len(value):
        return f"{path}: {len(value)} items would come back as {len(back)}"
    if LEAVES.issuperset(map(type, value)) and list(value) == list(back):
        return None
    for index, (item, again) in enumerate(zip(value, back, strict=True)):
        found = difference(item, again, f"{path}[{index}]", listed=listed)
        if found is not None:
            return found
    return None


def _of_time(value: datetime, back: Any, path: str, _: bool) -> str | None:
    """Compares the instant and the local time of day, but not the name of the zone."""
    if not isinstance(back, datetime) or value.utcoffset() != back.utcoffset():
        return _told(value, back, path)
    same = value.replace(tzinfo=None, fold=0) == back.replace(tzinfo=None, fold=0)
    return None if same else _told(value, back, path)


def _of_object(value: Any, back: Any, path: str) -> str | None:
    if _is_equal(value, back):
        return None
    if _has_no_equality(value, back) and hasattr(value, "__dict__"):
        return _of_dict(vars(value), vars(back), path, False)
    return _told(value, back, path)


def _has_no_equality(value: Any, back: Any) -> bool:
    equality: object = type(value).__eq__
    return type(value) is type(back) and equality is object.__eq__


def _is_equal(value: Any, back: Any) -> bool:
    try:
        return bool(value == back)
    except Exception:  # an author's `__eq__` may raise
        return False


def _told(value: Any, back: Any, path: str) -> str:
    if isinstance(value, _SECRETS):
        return (
            f"{path}: {article(type(value).__name__)} is written as stars; to store it in "
            "full, say so on its field with a serializer that reveals it, or hand over a "
            "reference to it"
        )
    return f"{path}: {shown(value)} would come back as {shown(back)}; {_advice(value, back)}"


def _advice(value: Any, back: Any) -> str:
    if isinstance(value, datetime) and isinstance(back, datetime):
        return "give the time in UTC, or with an offset of whole minutes"
    kind, other = type(value), type(back)
    if kind is other:
        return "look at the aliases, serializers and validators of its type"
    if isinstance(value, other):
        return f"annotate it with {kind.__name__}, or with a union of the classes it may have"
    return f"annotate it with {kind.__name__}, or hand over {article(other.__name__)}"


_COMPARED: tuple[tuple[Any, Callable[[Any, Any, str, bool], str | None]], ...] = (
    (BaseModel, _of_model),
    (dict, _of_dict),
    (_SEQUENCES, _of_sequence),
    (datetime, _of_time),
)
