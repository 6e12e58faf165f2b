"""The context variables that bodies begin with."""

from __future__ import annotations

import sys
from contextvars import Context, copy_context
from typing import Any


class Surroundings:
    """The context variables of the thread that made this, as they were then.

    Each body runs in a copy, so what one sets, no other finds. Values that can be changed in place
    are shared, but for the decimal context: each copy has its own.
    """

    __slots__ = ("_decimal", "_variables")

    def __init__(self) -> None:
        self._variables = copy_context()
        self._decimal: tuple[Any, Any] | None = None
        decimal = sys.modules.get("decimal")
        # Where nobody has asked for a decimal context yet, each body makes its own by asking.
        if decimal is not None and any(
            isinstance(value, decimal.Context) for value in self._variables.values()
        ):
            self._decimal = decimal.setcontext, decimal.getcontext().copy()

    def fresh(self) -> Context:
        """A copy to run one body in."""
        variables = self._variables.copy()
        if self._decimal is not None:
            setcontext, decimal = self._decimal
            variables.run(setcontext, decimal.copy())
        return variables
