"""Errors of operations as values, and as errors again.

An error is made again without importing anything: its class is looked for among those that are
loaded, and none of its code runs, as the author's `__init__` may want what is not there any more.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from stepwell.engine.checkpoint import OperationError
from stepwell.engine.errors import StepError, StepwellError
from stepwell.engine.failures import clean, describe
from stepwell.engine.payload import decode, encode

# Larger arguments are not kept; the message is.
MAX_ARGUMENTS = 8_000
# Attributes of a StepError that have fields of their own, or mean the moment.
_RECORDED = frozenset({"code", "details", "retryable", "delay"})


def to_value(error: Exception) -> OperationError:
    """The error as a value that can be stored."""
    failure = describe(error)
    kept: dict[str, Any] = {}
    if error.args != (failure.message,):
        with suppress(StepwellError):  # then the message has to do
            kept["args"] = decode(encode(error.args, "args", MAX_ARGUMENTS))
    state = _state(error)
    if state:
        kept["state"] = state
    return OperationError(
        code=failure.code,
        message=failure.message,
        type=class_name(error),
        retryable=getattr(error, "retryable", None) if isinstance(error, StepError) else None,
        details=dict(failure.details),
        **kept,
    )


def class_name(error: Exception) -> str:
    """The qualified name of its class, as it is recorded."""
    kind = type(error)
    return clean(f"{kind.__module__}.{kind.__qualname__}")


def from_value(value: OperationError) -> Exception:
    """The error again: of its own class, or the nearest loaded one that can be made, else a
    StepError with its code.
    """
    for kind in _classes(value.type):
        made = _made(kind, value)
        if made is not None:
            return made
    return StepError(value.code, value.message, details=value.details)


def nearest_causes(
    error: BaseException, wanted: Callable[[BaseException], bool]
) -> list[BaseException]:
    """The wanted errors that led to this one, without looking behind them; it may be one itself.

    Of a group, those of each of its errors.
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


def _state(error: Exception) -> dict[str, Any]:
    """The attributes that JSON gives back as they are, as far as there is room for them."""
    state: dict[str, Any] = {}
    room = MAX_ARGUMENTS
    for name, value in vars(error).items():
        if isinstance(error, StepError) and name in _RECORDED:
            continue
        with suppress(Exception):  # an author's object may do anything when it is looked at
            text = encode(value, name, room)
            if decode(text) == value:
                encode(name, "attribute")
                state[name], room = decode(text), room - len(text)
    return state


def _classes(name: str) -> Iterator[type[Exception]]:
    """The class of this name, and those it was derived from, as far as they say anything."""
    module, _, rest = name.partition(".")
    found = getattr(builtins, rest, None) if module == "builtins" else _loaded(name)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return
    for kind in found.__mro__:
        if kind in (Exception, StepError, StepwellError):
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
    arguments = (value.model_extra or {}).get("args")
    if not isinstance(arguments, list):
        arguments = [value.message]
    try:
        made = kind.__new__(kind, *arguments)
        made.args = tuple(arguments)
        state = (value.model_extra or {}).get("state")
        if isinstance(state, dict):
            vars(made).update(state)
        if isinstance(made, StepError):
            made.code, made.details = value.code, dict(value.details)
            made.retryable = value.retryable
            vars(made).setdefault("delay", None)
        if str(made) != value.message:
            made.args = (value.message,)
            str(made)
    except Exception:
        return None
    return made
