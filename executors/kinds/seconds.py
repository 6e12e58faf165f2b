"""Durations in the inputs of kinds: seconds or text in JSON, seconds in Python."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator

from stepwell.engine.durations import FORMS, read_duration


def _seconds(value: Any) -> Any:
    """A number stays as it is, since the field checks its range."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    duration = read_duration(value)
    if duration is None:
        raise ValueError(f"must be a duration ({FORMS})")
    return duration.total_seconds()


# For `Annotated[float, AS_SECONDS]`.
AS_SECONDS = BeforeValidator(_seconds)
