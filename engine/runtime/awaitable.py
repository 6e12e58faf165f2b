"""Methods made awaitable, without a list of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)

if TYPE_CHECKING:
    from stepwell.engine.runtime.aio_bridge import Bridge

P = ParamSpec("P")
R = TypeVar("R")


class Bridged(Protocol):
    """An object with awaitable methods: `behind` has the methods that block."""

    @property
    def bridge(self) -> Bridge: ...
    @property
    def behind(self) -> Any: ...


class Awaitable(Generic[P, R]):
    """A method of `behind` as a coroutine function with the same parameters and result."""

    def __init__(self, method: Callable[Concatenate[Any, P], R]) -> None:
        self.__doc__ = method.__doc__
        self._name = method.__name__

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Bridged, owner: Any) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: Bridged | None, owner: Any) -> Any:
        if instance is None:
            return self
        return partial(instance.bridge.call, getattr(instance.behind, self._name))
