"""What is stored is read as what it should be, or told to be damaged."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from stepwell.engine.errors import CorruptData, one_line

S = TypeVar("S", bound=Any)
P = ParamSpec("P")
T = TypeVar("T")

# What comes of values that are not what was stored: of another type, out of range, no JSON.
_UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError),
    *(AttributeError, OverflowError, RecursionError),
)


def reads_stored(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[S, P], T]:
    """For methods of a store: raises CorruptData where what is stored cannot be read.

    A row that its database does not take, though it was checked before, is a StoreError.
    """

    @wraps(method)
    def reading(self: S, /, *args: P.args, **options: P.kwargs) -> T:
        try:
            return method(self, *args, **options)
        except _UNREADABLE as error:
            raise CorruptData(
                f"store {self._db.dialect.label()}: something in it cannot be read "
                f"({type(error).__name__}: {one_line(error)}); look at it with: stepwell verify"
            ) from error
        except self._db.dialect.driver_errors as error:
            raise self._db.dialect.translate(error) from error

    return reading
