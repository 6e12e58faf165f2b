"""Durations as people give them: seconds, a `timedelta`, or text such as "1h30m".

Text is whole or decimal numbers with the units d, h, m, s and ms, each at most once and the largest
first, without blanks between them; a number alone is seconds, as on the command line. Ranges are
checked in `duration_checks`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Protocol, TypeVar, overload

Duration = float | timedelta | str

# The forms, for messages.
FORMS = "seconds, a timedelta, or text such as '1h30m' or '250ms'"

T_co = TypeVar("T_co", covariant=True)

# The units by their names, in the order in which text has them.
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_TEXT = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _UNITS))
_SECONDS = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST = 100


class Lasting(Protocol[T_co]):
    """The type of a dataclass field that is set to any `Duration`, and read as a `T_co`.

    It is for type checkers only: the dataclass converts the value when it is made.
    """

    @overload
    def __get__(self, instance: None, owner: Any) -> Any: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> T_co: ...
    def __set__(self, instance: Any, value: Duration) -> None: ...


def read_duration(value: object) -> timedelta | None:
    """The value as a timedelta, or None if it is no duration, such as a bool, NaN or "5 mins"."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return _read_text(value.strip()) if isinstance(value, str) else timedelta(seconds=value)
    except (ValueError, OverflowError):  # NaN, infinity, more than a timedelta can hold
        return None


def _read_text(text: str) -> timedelta | None:
    if not text or len(text) > _LONGEST:
        return None
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=float(text))
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    given = zip(found.groups(), _UNITS.values(), strict=True)
    return sum((unit * float(number) for number, unit in given if number), timedelta(0))


def duration_text(duration: timedelta) -> str:
    """A duration from 0 on as text that `read_duration` reads: "1h30m", "0s"."""
    parts, left = [], duration
    for unit, size in _UNITS.items():
        count, left = divmod(left, size)
        if unit == "ms" and left:
            parts.append(f"{count + left / size:g}ms")
        elif count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
