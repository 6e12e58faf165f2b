"""One call of `step.do`: replayed, or run and recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from stepwell.engine.checkpoints.checkpoint import Operation
from stepwell.engine.clock import to_datetime
from stepwell.engine.crash_points import Point, reach
from stepwell.engine.durable.body import INSIDE, Body
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.operation_errors import from_value, is_same, to_value
from stepwell.engine.durable.replay import Request, operation_of
from stepwell.engine.errors import Canceled, InvalidInput, InvalidPayload
from stepwell.engine.ids import jitter
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.payloads.types import PayloadType
from stepwell.engine.retry import Retry, retry_delay


class Work:
    """A function that runs once, and its recorded operation; `body` is what called it.

    With `checkpoint` False, it runs each time and nothing is recorded.
    """

    def __init__(
        self,
        body: Body,
        journal: Journal,
        request: Request,
        function: Callable[..., Any],
        arguments: tuple[Sequence[Any], Mapping[str, Any]],
    ) -> None:
        self.request = request
        self.journal = journal
        self.checkpoint = True
        self.retry: Retry | None = None
        self.of: PayloadType | None = None
        self._body = body
        self._function = function
        self._arguments = arguments
        self._recorded: Operation | None = None
        self._tries = 0
        self._began = 0

    # --- the stages, in this order ----------------------------------------------------------

    def is_recorded(self) -> bool:
        """Whether there is a value or an error to replay; loads the history."""
        if not self.checkpoint:
            self.journal.heed()
            return False
        self._recorded = self.journal.recorded(self.request)
        self.journal.heed()
        return self._recorded is not None

    def replayed(self) -> Any:
        """The recorded value, or the recorded error raised again."""
        recorded = self._recorded
        assert recorded is not None
        if recorded.error is not None:
            error = from_value(recorded.error)
            self.journal.know_failure(recorded, error)
            raise error
        return revived(self.request, recorded, self.of)

    def begin(self) -> None:
        """Save earlier decisions."""
        self._began = self.journal.services.clock.micros()
        if self.checkpoint:
            self.journal.flush()

    def call(self) -> Any:
        """Call the function."""
        self._tries += 1
        args, named = self._arguments
        return self._function(*args, **named)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """While the function runs: durable operations and effects are refused."""
        token = INSIDE.set((self._body, self.request.id))
        try:
            yield
        finally:
            INSIDE.reset(token)

    def again_in(self, error: Exception) -> float | None:
        """Seconds until the next try, or None after the last one, whose failure is recorded."""
        delay = None
        if self.retry is not None:
            delay = retry_delay(error, self.retry, self._tries - 1, jitter)
        if delay is not None:
            return delay.total_seconds()
        self._fail(error)
        return None

    def rest(self, seconds: float) -> None:
        """Wait for the next try in this thread. Raises Canceled."""
        if self.journal.rest(seconds):
            raise Canceled("the step was canceled or lost its lease")

    def finish(self, value: Any) -> Any:
        """Record the value; returns it as it will be replayed."""
        if not self.checkpoint:
            return value
        where = f"{self.request.label}: the value"
        try:
            if self.of is None:
                text = encode(value, where, self.journal.limit)
            else:
                text = self.of.write(value, where, self.journal.limit, strict=True)
            typed = validated(text, self.of, where)
        except InvalidPayload as error:
            self._fail(error)
            raise
        reach(Point.OPERATION_DONE)
        self.journal.save(self._operation(value=decode(text)))
        reach(Point.OPERATION_RECORDED)
        self.journal.heed()
        return typed

    # ----------------------------------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        """Record a failure. If a replay would raise a different error, raises that one."""
        if not self.checkpoint:
            return
        value = to_value(error)
        again = from_value(value)
        same = is_same(error, again)
        self.journal.keep_failure(self._operation(error=value), error if same else again)
        if not same:
            raise again from error

    def _operation(self, **fields: Any) -> Operation:
        clock = self.journal.services.clock
        return operation_of(
            self.request,
            to_datetime(self._began),
            to_datetime(clock.micros()),
            attempts=self.journal.attempts(self.request) + self._tries,
            **fields,
        )


def perform(work: Work) -> Any:
    """The value of a plain function's operation, in this thread."""
    if work.is_recorded():
        return work.replayed()
    work.begin()
    value: Any = None
    delay: float | None = 0.0
    while delay is not None:
        work.rest(delay)
        try:
            with work.inside():
                value, delay = work.call(), None
        except Exception as error:
            delay = work.again_in(error)
            if delay is None:
                raise
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise InvalidInput(
            f"{work.request.label}: the function returned an awaitable; pass the coroutine "
            "function itself, and its arguments behind it"
        )
    return work.finish(value)


def validated(text: str, of: PayloadType | None, where: str) -> Any:
    """The typed value from recorded JSON text. Raises InvalidPayload."""
    return decode(text) if of is None else of.read(text, where)


def revived(request: Request, recorded: Operation, of: PayloadType | None) -> Any:
    """A recorded value, read with its present type. Raises ReplayMismatch if it does not fit."""
    if of is None:
        return recorded.value
    try:
        return of.read(encode(recorded.value, "value", limit=1 << 40), "value")
    except InvalidPayload as error:
        request.mismatch("was recorded with another value", f"wants {error}")
        raise
