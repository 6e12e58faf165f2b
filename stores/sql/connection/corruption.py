"""Stored rows that cannot be read are reported as damage of the store.

Only errors in functions that turn stored rows into values (`decodes`) mean damage. The same errors
anywhere else are mistakes of the program, and are passed on unchanged.
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

# What damaged values raise: those of another type, out of range, or not JSON.
_UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError),
    *(AttributeError, OverflowError, RecursionError),
)


class Unreadable(CorruptData):
    """A stored row is not what it should be; `reads_stored` says of which store."""


def decodes(function: Callable[P, T]) -> Callable[P, T]:
    """For functions that only turn stored rows into values: raises Unreadable for their errors."""

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
    """For the public methods of a role, which has its database as `_db`.

    Raises CorruptData if stored rows cannot be read, InvalidInput if the database does not accept a
    value, and StoreError if it refuses a row that was checked before.
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
    """The error for a write that the database refused."""
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
