"""Converts errors of operations into values, and back into errors.

Restoring an error imports nothing: its class is searched among the loaded ones, and none of its
code runs, since the author's `__init__` may need things that no longer exist.
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from pydantic_core import to_json

from stepwell.engine.checkpoints.checkpoint import OperationError
from stepwell.engine.errors import InvalidPayload, StepError, StepwellError
from stepwell.engine.failures import clean, describe, message_of
from stepwell.engine.payloads.exact_values import pack, unpack
from stepwell.engine.payloads.payload import decode, encode

# Larger arguments are not kept; the message is.
MAX_ARGUMENTS = 8_000
# Attributes of a StepError that have their own fields, or are only valid when it is raised.
_RECORDED = frozenset({"code", "details", "retryable", "delay"})
# Descriptors of fields in classes that are written in C or have `__slots__`.
_FIELDS = (types.MemberDescriptorType, types.GetSetDescriptorType)


def to_value(error: Exception) -> OperationError:
    """The error as a value that can be stored."""
    failure = describe(error)
    kept: dict[str, Any] = {}
    if error.args != (failure.message,):
        with suppress(StepwellError):  # then only the message is kept
            kept["args"] = _plain(list(error.args), "args", MAX_ARGUMENTS)
    for name, found in (("state", _attributes(error)), ("fields", built_in_fields(error))):
        if values := _fitting(found):
            kept[name] = values
    return OperationError(
        code=failure.code,
        message=failure.message,
        type=class_name(error),
        retryable=getattr(error, "retryable", None) if isinstance(error, StepError) else None,
        details=dict(failure.details),
        **kept,
    )


def class_name(error: Exception) -> str:
    """The qualified name of its class, for the record."""
    kind = type(error)
    return clean(f"{kind.__module__}.{kind.__qualname__}")


def from_value(value: OperationError) -> Exception:
    """The restored error: of its own class, or of the nearest loaded base class that can be made,
    else a StepError with its code.
    """
    for kind in _classes(value.type):
        made = _made(kind, value)
        if made is not None:
            return made
    return StepError(value.code, value.message, details=value.details)


def nearest_causes(
    error: BaseException, wanted: Callable[[BaseException], bool]
) -> list[BaseException]:
    """The wanted errors in this error's chain of causes, each chain only up to the first one.

    The error itself may be one. For a group, includes those of each of its errors.
    """
    found: list[BaseException] = []
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead:
        looked_at = ahead.pop(0)
        if looked_at is None or id(looked_at) in seen:
            continue
        seen.add(id(looked_at))
        if wanted(looked_at):
            found.append(looked_at)
            continue
        if isinstance(looked_at, BaseExceptionGroup):
            ahead.extend(looked_at.exceptions)
        ahead.append(looked_at.__cause__ or looked_at.__context__)
    return found


def is_same(error: Exception, made: Exception) -> bool:
    """Whether a restored error equals the original in type, text and fields."""
    if type(made) is not type(error) or _is_http(type(error)):  # whose body is not restored
        return False
    return _portrait(made) == _portrait(error)


def built_in_fields(error: Exception) -> dict[str, Any]:
    """Its fields besides arguments and attributes: an OSError's `filename`, for example."""
    found = {}
    for kind in reversed(type(error).__mro__):
        if issubclass(kind, Exception):
            for name, field in vars(kind).items():
                if isinstance(field, _FIELDS) and not name.startswith("__"):
                    with suppress(Exception):  # it has none now
                        found[name] = field.__get__(error)
    # For most classes, None is not the same as unset: an OSError would show a file None.
    return {name: value for name, value in found.items() if value is not None}


def _portrait(error: Exception) -> tuple[Any, ...]:
    """A value that is equal for equal errors; a part that cannot be packed equals no other."""
    fields = {**_attributes(error), **built_in_fields(error)}
    details = [error.code, error.details, error.retryable] if isinstance(error, StepError) else None
    return message_of(error), *map(_packed, (error.args, fields, details))


def _packed(value: Any) -> Any:
    try:
        return to_json(pack(value, _nested))
    except Exception:
        return object()


def _nested(value: Any) -> Any:
    """An error inside another one, as plain values. Raises InvalidPayload."""
    if not isinstance(value, Exception):
        raise InvalidPayload(f"a {type(value).__name__} is no plain value")
    return to_value(value).model_dump(mode="json")


def _nested_again(value: Any) -> Exception:
    return from_value(OperationError.model_validate(value))


def _attributes(error: Exception) -> dict[str, Any]:
    """Its attributes, without those that are recorded separately."""
    if _is_http(type(error)):
        return _of_response(error)
    taken = _RECORDED if isinstance(error, StepError) else frozenset[str]()
    return {name: value for name, value in vars(error).items() if name not in taken}


def _fitting(found: dict[str, Any]) -> dict[str, Any]:
    """The values that come back unchanged, as far as they fit into the record."""
    kept: dict[str, Any] = {}
    room = MAX_ARGUMENTS
    for name, value in found.items():
        with suppress(Exception):  # an author's object may raise anything
            encode(name, "attribute")
            plain = _plain(value, name, room)
            kept[name], room = plain, room - len(encode(plain, name))
    return kept


def _plain(value: Any, where: str, limit: int) -> Any:
    """The value for the record. Raises StepwellError if it is too large, or would change."""
    try:
        return decode(encode(pack(value, _nested), where, limit))
    except StepwellError:
        plain = decode(encode(value, where, limit))
        if where != "args" and plain != value:
            raise
        return plain


def _classes(name: str) -> Iterator[type[Exception]]:
    """The class of this name and its base classes, except the most general ones."""
    module, _, rest = name.partition(".")
    found = getattr(builtins, rest, None) if module == "builtins" else _loaded(name)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return
    for kind in found.__mro__:
        if kind is not found and kind in (Exception, StepError, StepwellError):
            return
        if issubclass(kind, Exception):
            yield kind


def _loaded(name: str) -> type[Exception] | None:
    ahead: list[type[Exception]] = [Exception]
    found = None
    while ahead:
        kind = ahead.pop()
        if f"{kind.__module__}.{kind.__qualname__}" == name:
            found = kind
        ahead.extend(kind.__subclasses__())
    return found


def _made(kind: type[Exception], value: OperationError) -> Exception | None:
    """An error of this class with the same message, or None; groups cannot be restored."""
    if issubclass(kind, BaseExceptionGroup):
        return None
    extra = value.model_extra or {}
    arguments = extra.get("args")
    given = unpack(arguments, _nested_again) if isinstance(arguments, list) else [value.message]
    for args in (tuple(given), (value.message,)):
        with suppress(Exception):
            if _is_http(kind):
                return _response(kind, extra["state"])
            made = _raw(kind, args)
            _restore(made, value)
            if message_of(made) in (value.message, repr(value.message)):
                return made
    return None


def _is_http(kind: type) -> bool:
    """Whether it is urllib's HTTPError, which holds a stream and a headers object."""
    return kind.__module__ == "urllib.error" and kind.__qualname__ == "HTTPError"


def _of_response(error: Any) -> dict[str, Any]:
    """The fields of an HTTPError, without the body, which is the author's to read."""
    headers = None if error.headers is None else list(map(list, error.headers.items()))
    return {"url": error.url, "code": error.code, "msg": error.msg, "headers": headers}


def _response(kind: Any, state: dict[str, Any]) -> Exception:
    """An HTTPError with an empty body."""
    told = unpack(state)
    headers = told["headers"]
    if headers is not None:
        message = sys.modules["email.message"].Message()
        for name, value in headers:
            message[name] = value
        headers = message
    made: Exception = kind(told["url"], told["code"], told["msg"], headers, None)
    return made


def _raw(kind: type[Exception], args: tuple[Any, ...]) -> Exception:
    """An instance made without running any of the author's code."""
    made: Exception = kind.__new__(kind, *args)
    built_in = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    with suppress(TypeError):  # a signature of the author's own
        built_in.__init__(made, *args)  # type: ignore[misc]  # as its subclass would
    made.args = args
    return made


def _restore(made: Exception, value: OperationError) -> None:
    """Set what was recorded in addition to its arguments."""
    extra = value.model_extra or {}
    state, fields = extra.get("state"), extra.get("fields")
    if isinstance(state, dict):
        vars(made).update({name: unpack(item, _nested_again) for name, item in state.items()})
    if isinstance(fields, dict):
        for name, item in fields.items():
            with suppress(Exception):  # it is read-only
                for kind in type(made).__mro__:
                    if isinstance(field := vars(kind).get(name), _FIELDS):
                        field.__set__(made, unpack(item, _nested_again))
                        break
    if isinstance(made, StepError):
        made.code, made.details = value.code, dict(value.details)
        made.retryable = value.retryable
        vars(made).setdefault("delay", None)
