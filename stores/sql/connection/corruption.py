"""What is stored is read as what it should be, or told to be damaged.

Only where a stored row becomes a value (`decodes`) does an error speak of the store: the same error
anywhere else is a mistake of the program, and stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from stepwell.engine.errors import CorruptData, InvalidInput, one_line
from stepwell.engine.states import Condition, StepStatus
from stepwell.stores.sql.connection.dialect import Dialect

S = TypeVar("S", bound=Any)
P = ParamSpec("P")
T = TypeVar("T")

# What comes of values that are not what was stored: of another type, out of range, no JSON.
_UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError),
    *(AttributeError, OverflowError, RecursionError),
)


class Unreadable(CorruptData):
    """A stored row is not what it should be; `reads_stored` says of which store."""


def decodes(function: Callable[P, T]) -> Callable[P, T]:
    """For functions that make values of stored rows and do nothing else: raises Unreadable."""

    @wraps(function)
    def decoding(*args: P.args, **options: P.kwargs) -> T:
        try:
            return function(*args, **options)
        except _UNREADABLE as error:
            raise Unreadable(
                f"something in it cannot be read ({type(error).__name__}: {one_line(error)}); "
                "look at it with: stepwell verify"
            ) from error

    return decoding


def reads_stored(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[S, P], T]:
    """For methods of a store: raises CorruptData where what is stored cannot be read.

    A value that its database does not take is InvalidInput; a row that does not go with the others,
    though it was checked before, is a StoreError.
    """

    @wraps(method)
    def reading(self: S, /, *args: P.args, **options: P.kwargs) -> T:
        try:
            return method(self, *args, **options)
        except Unreadable as error:
            raise CorruptData(f"store {self._db.dialect.label()}: {error}") from error.__cause__
        except self._db.dialect.driver_errors as error:
            raise refusal(self._db.dialect, error) from error

    return reading


def refusal(dialect: Dialect, error: Exception) -> Exception:
    """The error for those whose write the database refused."""
    if not dialect.is_unfit(error):
        return dialect.translate(error)
    return InvalidInput(
        f"store {dialect.label()}: its database does not take this ({one_line(error)}); "
        "nothing of it was stored"
    )


@decodes
def first_number(row: Sequence[Any]) -> int:
    """The first value of a stored row, which is a whole number."""
    number: int = row[0] + 0
    return number


@decodes
def stored_status(text: str) -> StepStatus:
    """The status of a step."""
    return StepStatus(text)


@decodes
def stored_condition(text: str) -> Condition:
    """The condition of an edge."""
    return Condition(text)
