"""The body whose operations are recorded: where it runs, and whether it may still go on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

import stepwell.engine as engine
from stepwell.engine.durable.journal import Journal
from stepwell.engine.errors import InvalidInput, StepwellError


class Body(Protocol):
    """What durable operations need to know of the body that calls them.

    `thread` is where it runs, or None if no worker runs it; `task` is its task if it is a
    coroutine; `cancelled` is `step.cancelled`.
    """

    thread: int | None
    task: Any
    cancelled: bool

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the step is canceled; at once if it already is."""
        ...

    def check_open(self, operation: str, *, inside: bool = False) -> None:
        """Raises StepwellError if the execution has ended.

        Also, unless `inside`, if this is called in the function of a `step.do`.
        """
        ...


# The body and the operation whose function runs in this thread or task, if any.
INSIDE: ContextVar[tuple[object, str] | None] = ContextVar("stepwell_inside", default=None)


class BodyRest:
    """Waits in the thread of the caller until the time is over or the step is canceled."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._canceled: threading.Event | None = None

    def __call__(self, seconds: float) -> bool:
        body = self._body
        if seconds <= 0 or body.cancelled:
            return body.cancelled
        if self._canceled is None:
            self._canceled = threading.Event()
            body.on_cancel(self._canceled.set)
        self._canceled.wait(seconds)
        return body.cancelled


def check_place(call: str, body: Body, journal: Journal) -> None:
    """Raises InvalidInput where a wait would not unwind the body; that ends the attempt."""
    calling = INSIDE.get()
    if calling is not None and calling[0] is body:
        raise StepwellError(
            f"step.{call}: called inside the operation {calling[1]!r}; it would be lost when "
            "the operation is replayed: call it before or after, and wait for several things "
            "at once with step.wait_any(…) or step.wait_all(…)"
        )
    if body.thread is None:
        return
    why = ""
    if threading.get_ident() != body.thread:
        remedy = engine.coroutines.REMEDY
        why = f"called in another thread than the step's function; {remedy}"
    elif "asyncio.events" in sys.modules:
        why = engine.coroutines.elsewhere(body.task)
    if why:
        body.check_open(call)
        journal.misplaced = error = InvalidInput(f"step.{call}: {why}")
        raise error
