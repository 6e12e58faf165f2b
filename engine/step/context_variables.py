"""What keeps bodies apart: each has context variables of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextvars import Context, copy_context

from stepwell.engine.services import Around


class Surroundings:
    """What bodies run in: variables as in the thread that made this, and what is around them.

    Each body runs in a copy, so what one sets, no other finds. Values that can be changed in place
    are shared, but for the decimal context: a copy of that is the first thing around a body.

    `makers` make what is to be entered around a body, where it runs and in its fresh variables.
    """

    __slots__ = ("_variables", "makers")

    def __init__(self, around: Sequence[Around] = ()) -> None:
        self._variables = copy_context()
        self.makers = (*_own_decimal_context(self._variables), *around)

    def fresh(self) -> Context:
        """A copy of the variables, to run one attempt in."""
        return self._variables.copy()


def _own_decimal_context(variables: Context) -> tuple[Around, ...]:
    """What gives each body a decimal context of its own.

    Nothing, where nobody has asked for one yet: each body makes its own by asking.
    """
    decimal = sys.modules.get("decimal")
    if decimal is None or not any(isinstance(v, decimal.Context) for v in variables.values()):
        return ()
    localcontext, given = decimal.localcontext, variables.run(decimal.getcontext).copy()
    return (lambda _: localcontext(given),)
