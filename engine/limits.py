"""Ranges that several parts of the product check."""

from __future__ import annotations

from typing import Any

from stepwell.engine.errors import InvalidInput, shown

MAX_PRIORITY = 1_000_000


def check_priority(value: Any, field: str) -> int:
    """A priority. Raises InvalidInput when it is out of range."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or abs(value) > MAX_PRIORITY:
        raise InvalidInput(
            f"{field}: must be a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY} "
            f"(smaller runs first), got {shown(value)}"
        )
    return int(value)
