"""The context managers that are entered around the body of a step."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType
from typing import Any

from stepwell.engine.errors import InvalidInput, shown
from stepwell.engine.services import Around

# For a body that has nothing around it.
NOTHING: AbstractContextManager[object] = nullcontext()


def check_around(around: Sequence[Around]) -> tuple[Around, ...]:
    """The functions as a tuple. Raises InvalidInput for one that cannot be called."""
    for place, make in enumerate(around):
        if not callable(make):
            raise InvalidInput(
                f"around[{place}]: must be a function that takes a step and gives a context "
                f"manager, got {shown(make)}"
            )
    return tuple(around)


class Entered:
    """Enters them around one body; the first is the outermost.

    An error that one of them suppresses is raised nevertheless, since they do not decide whether
    an attempt failed or its step waits. An error that one of them raises replaces that of the body.
    """

    __slots__ = ("_makers", "_stack", "_step")

    def __init__(self, makers: Sequence[Around], step: Any) -> None:
        self._makers = makers
        self._step = step
        self._stack = ExitStack()

    def __enter__(self) -> None:
        try:
            for make in self._makers:
                self._stack.enter_context(make(self._step))
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)
