"""The context variables of bodies: each body has its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextvars import Context, copy_context

from stepwell.engine.services import Around


class Surroundings:
    """The context variables that bodies start with, and what is entered around them.

    The variables are those of the thread that made this. Each body runs in a copy, so no body sees
    what another one sets. Values that are changed in place are shared, except for the decimal
    context, of which each body gets a copy.

    `makers` make the context managers to enter around a body, in its thread and its variables.
    """

    __slots__ = ("_variables", "makers")

    def __init__(self, around: Sequence[Around] = ()) -> None:
        self._variables = copy_context()
        self.makers = (*_own_decimal_context(self._variables), *around)

    def fresh(self) -> Context:
        """A copy of the variables, to run one attempt in."""
        return self._variables.copy()


def _own_decimal_context(variables: Context) -> tuple[Around, ...]:
    """What gives each body its own decimal context.

    Empty if the variables have none yet: then each body makes its own when it first needs one.
    """
    decimal = sys.modules.get("decimal")
    if decimal is None or not any(isinstance(v, decimal.Context) for v in variables.values()):
        return ()
    localcontext, given = decimal.localcontext, variables.run(decimal.getcontext).copy()
    return (lambda _: localcontext(given),)
