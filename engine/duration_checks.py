"""Checks of durations: their form and their range."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from stepwell.engine.durations import FORMS, duration_text, read_duration
from stepwell.engine.errors import InvalidInput, shown

# What is over 0 is at least this long.
_SHORTEST = timedelta(microseconds=1)
# The longest wait of a step or of a program; about a hundred years.
MAX_WAIT = timedelta(days=36_600)


def check_duration(
    value: Any,
    field: str,
    most: timedelta,
    *,
    least: timedelta | None = None,
    error: type[InvalidInput] = InvalidInput,
) -> timedelta:
    """The value as a timedelta, from `least` (None: over 0) to `most`.

    Raises `error`, which names the field, the range, the forms and the value.
    """
    duration = read_duration(value)
    floor = _SHORTEST if least is None else least
    if duration is not None and floor <= duration <= most:
        return duration
    low = "over 0s and up to" if least is None else f"from {duration_text(least)} to"
    raise error(
        f"{field}: must be a duration {low} {duration_text(most)} ({FORMS}), got {shown(value)}"
    )


def patience(timeout: Any, field: str = "timeout") -> float | None:
    """A timeout in seconds; None means no limit. Raises InvalidInput."""
    if timeout is None:
        return None
    return check_duration(timeout, field, MAX_WAIT, least=timedelta(0)).total_seconds()
