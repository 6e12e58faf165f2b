"""What all projection stores share: names, keys, durability, and the form of rows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal

from stepwell.engine.errors import InvalidInput, InvalidSettings
from stepwell.engine.ports import Transaction

Durability = Literal["full", "relaxed"]

BUSY_TIMEOUT = timedelta(seconds=30)

_NAME = re.compile(r"[a-z0-9_-][a-z0-9_.-]{0,99}")
_DURABILITIES = ("full", "relaxed")


def check_durability(durability: Durability) -> Durability:
    """Raises InvalidSettings unless it is "full" or "relaxed"."""
    if durability not in _DURABILITIES:
        raise InvalidSettings(f"durability: must be 'full' or 'relaxed', got {durability!r}")
    return durability


def check_key(key: object) -> None:
    """Raises InvalidInput for an invalid key of once()."""
    if not isinstance(key, str) or not key:
        raise InvalidInput(f"once: key must be text and not empty, got {key!r:.60}")


def check_name(name: object) -> None:
    """Raises InvalidInput for an invalid name of a projection, suggesting a valid one."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return
    hint = ""
    if isinstance(name, str):
        likely = re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip(".-")[:100]
        hint = f"; {likely!r} would do" if likely else ""
    raise InvalidInput(
        "projection name: must be 1 to 100 of a-z, 0-9, '_', '-' and '.', "
        f"and not start with '.'; got {name!r:.120}{hint}"
    )


def call(apply: Callable[[Transaction], object], transaction: Transaction) -> None:
    """Call the `apply` of once(). Raises InvalidInput if it is asynchronous."""
    given = apply(transaction)
    if inspect.isawaitable(given):
        if inspect.iscoroutine(given):
            given.close()
        raise InvalidInput("once: apply must be a plain function, got a coroutine")


def check_text(sql: object) -> None:
    """Raises InvalidInput for a statement that is not text."""
    if not isinstance(sql, str):
        raise InvalidInput(f"sql: must be text, got {type(sql).__name__}")


def first_line(sql: str) -> str:
    """The part of a statement that errors show."""
    return next(iter(sql.strip().splitlines()), "")[:200]


def dictionaries(
    sql: str, description: Sequence[Sequence[Any]] | None, rows: Sequence[Sequence[Any]]
) -> list[dict[str, Any]]:
    """The rows of a query, whose columns need distinct names; none without a description."""
    if description is None:
        raise InvalidInput(f"query: gives no rows; use execute(): {sql.strip()[:200]!r}")
    columns = [column[0] for column in description]
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InvalidInput(f"query: two columns are named {twice!r}; rename one with AS")
    return [dict(zip(columns, row, strict=True)) for row in rows]
