"""Descriptions of waits, as `step.wait_any` and `step.wait_all` take them, and their answers."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import stepwell.engine.model as model
from stepwell.engine.durations import Duration
from stepwell.engine.states import RunStatus

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Description(Generic[T_co]):
    """A wait that has not begun; `T_co` is the type of its result."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Sleep(Description[None]):
    """A time: `seconds` (a duration) from now, or `until` an aware time. Gives None."""

    seconds: Duration | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message(Description[T]):
    """The next message to the run on `topic`; gives its payload, validated to `type`."""

    topic: str
    type: builtins.type[T] | None = None

    if TYPE_CHECKING:  # without a type, it gives any value

        @overload
        def __init__(self: Message[Any], topic: str) -> None: ...
        @overload
        def __init__(self, topic: str, type: builtins.type[T]) -> None: ...
        def __init__(self, topic: str, type: Any = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Value(Description[T]):
    """The first value that run `run_id` sets for `key`; gives the last one, as `type`."""

    run_id: str
    key: str
    type: builtins.type[T] | None = None

    if TYPE_CHECKING:  # without a type, it gives any value

        @overload
        def __init__(self: Value[Any], run_id: str, key: str) -> None: ...
        @overload
        def __init__(self, run_id: str, key: str, type: builtins.type[T]) -> None: ...
        def __init__(self, run_id: str, key: str, type: Any = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Approval(Description[model.Approval]):
    """A decision of an operator; gives it as `step.wait_for_approval` does."""


@dataclass(frozen=True, slots=True)
class RunEnd(Description["Ended[T]"]):
    """The end of another run, however it ends; gives an `Ended`, its result validated to `type`."""

    run_id: str
    type: builtins.type[T] | None = None

    if TYPE_CHECKING:  # without a type, it gives any value

        @overload
        def __init__(self: RunEnd[Any], run_id: str) -> None: ...
        @overload
        def __init__(self, run_id: str, type: builtins.type[T]) -> None: ...
        def __init__(self, run_id: str, type: Any = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """How a run ended. `result` is that of its single last step if it succeeded, else None.

    `error` is its first unhandled failure, or None.
    """

    run_id: str
    status: RunStatus
    result: T | None = None
    error: model.Failure | None = None


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The answer of `step.wait_any`: which wait ended it, by `name` or by place, and its value."""

    value: T
    index: int
    name: str | None = None
