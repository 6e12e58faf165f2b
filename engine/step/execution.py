"""One step's execution, in stages: load, prepare, invoke, collect; the worker then settles.

An execution always ends in an outcome, whatever the body raises.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import Context
from threading import get_ident
from typing import Any

from stepwell.engine.clock import duration_micros
from stepwell.engine.errors import (
    Canceled,
    InvalidPayload,
    Suspend,
)
from stepwell.engine.exchange import ClaimedStep, Completed, Failed, Outcome, Suspended, Wait
from stepwell.engine.failures import describe
from stepwell.engine.ids import jitter
from stepwell.engine.model import Failure
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import Catalog, Executor
from stepwell.engine.retry import Retry, retry_delay
from stepwell.engine.services import Services
from stepwell.engine.signature import signature_of
from stepwell.engine.step.around import NOTHING, Entered
from stepwell.engine.step.batched_reads import BatchedReads
from stepwell.engine.step.context import StepContext
from stepwell.engine.step.context_variables import Surroundings


class Execution:
    """One attempt of one step: made by the worker, run by a pool, ended by an outcome."""

    __slots__ = (
        "_chance",
        "_context",
        "_surroundings",
        "_ticket",
        "_worker_id",
        "claimed_with",
        "deadline",
        "executor",
        "on_begin",
        "services",
        "started",
        "step",
    )

    def __init__(
        self,
        step: ClaimedStep,
        worker_id: str,
        services: Services,
        on_begin: Callable[[Execution], None] | None = None,
        chance: Callable[[], float] = jitter,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.step = step
        self.services = services
        self.on_begin = on_begin
        self.started = False
        self.deadline: float | None = None
        self.claimed_with: BatchedReads | None = None
        self._chance = chance
        self._worker_id = worker_id
        self._surroundings = surroundings
        self._context: StepContext | None = None
        # Whoever takes the one ticket decides whether the body runs: deleting it is atomic.
        self._ticket = True
        # load
        self.executor: Executor = services.catalog.executor(step.kind)

    @property
    def kind(self) -> str:
        return self.step.kind

    @property
    def context(self) -> StepContext:
        """What the body sees; made (prepare) when the body is about to begin.

        Not earlier: most claimed steps wait for a thread, and each object that lives long costs
        the garbage collector time.
        """
        if self._context is None:
            self._context = StepContext(self.step, self._worker_id, self.services)
            self._context.internals.claimed_with = self.claimed_with
        return self._context

    def fresh_variables(self) -> Context:
        """A copy of its worker's context variables, or of the caller's where it has none."""
        if self._surroundings is None:
            self._surroundings = Surroundings(self.services.around)
        return self._surroundings.fresh()

    def around(self) -> AbstractContextManager[object]:
        """What to enter around `invoke`, and around awaiting what it returns."""
        if self._surroundings is None:
            self._surroundings = Surroundings(self.services.around)
        if not self._surroundings.makers:
            return NOTHING
        return Entered(self._surroundings.makers, self.context)

    def begin(self) -> bool:
        """Mark the start of the body; False if it was revoked or canceled before."""
        internals = self.context.internals  # made before the ticket is gone: `cancel` needs it
        if internals.cancelled or not self._take_ticket():
            return False
        self.started = True
        if self.on_begin is not None:
            self.on_begin(self)
        return True

    def revoke(self) -> bool:
        """Keep the body from running; False if it has begun already."""
        return self._take_ticket()

    def _take_ticket(self) -> bool:
        try:
            del self._ticket
        except AttributeError:
            return False
        return True

    def invoke(self) -> Any:
        """Call the executor. May raise anything, and may return an awaitable."""
        context = self.context
        internals = context.internals
        if self.step.wait is not None:
            internals.stay_paused()
        internals.thread = get_ident()
        value = self.executor.execute(context)
        return internals.guarded(value) if hasattr(value, "__await__") else value

    @property
    def saves(self) -> bool:
        """Whether its end is saved in a checkpoint, so that an event loop must not wait for it."""
        return self.context.internals.durable is not None

    def completed(self, value: Any) -> Outcome:
        """Collect what the body returned and made; the attempt fails if that cannot be stored."""
        internals = self.context.internals
        try:
            if internals.durable is not None:
                internals.durable.operations.join()
            returned = internals.returned
            if returned is not None and value is not None:
                raise InvalidPayload("result: set by step.result() and returned, too")
            outcome = Completed(self.step, self._encoded(value, returned), *internals.made())
            internals.closed = True
            if internals.durable is not None:
                internals.durable.journal.completed()
        except BaseException as error:
            return self.failed(error)
        return outcome

    def _encoded(self, value: Any, set_: Any) -> str:
        """The result as JSON text, checked against its type; `set_` is that of `step.result`."""
        limit, signature = self.services.settings.payload_limit, signature_of(self.executor)
        if signature is not None:
            result, returned = (value, True) if set_ is None else (set_, False)
            return signature.encode_result(result, "result", limit, returned=returned)
        return encode(value if set_ is None else set_, "result", limit)

    def failed(self, error: BaseException) -> Outcome:
        """The outcome of a body that raised, with the decision whether to try again."""
        internals = self.context.internals
        if internals.durable is not None:
            internals.durable.operations.join()
        internals.closed = True
        if internals.durable is None:
            return self._outcome(error)
        return internals.durable.journal.ended_by(error, self._outcome)

    def timed_out(self, error: BaseException) -> Outcome:
        """The outcome of a body that is still running and will not be waited for."""
        self.context.internals.closed = True
        return self._outcome(error)

    def _outcome(self, error: BaseException) -> Suspended | Failed:
        if isinstance(error, Suspend) and isinstance(error.wait, Wait):
            internals = self.context.internals
            return Suspended(self.step, error.wait, internals.messages, internals.sent_mark)
        if isinstance(error, Canceled) and error.lost is not None:
            error = error.lost
        if isinstance(error, Canceled):
            return Failed(self.step, Failure("canceled", "the step was canceled"))
        return fail(self.step, error, self.policy(), self._chance)

    def policy(self) -> Retry | None:
        """The step's own retry policy, or the executor's."""
        return policy_of(self.step, self.services.catalog)

    def cancel(self) -> None:
        """Set `step.cancelled`; a body that has not begun will not begin."""
        self._take_ticket()
        self.context.internals.cancel()


def policy_of(step: ClaimedStep, catalog: Catalog) -> Retry | None:
    """The step's own retry policy, or that of its kind; None if this code cannot read it."""
    if step.retry is not None:
        try:
            return Retry.from_json(step.retry)
        except Exception:  # stored by another version
            return None
    retry = catalog.options(step.kind).retry
    return retry if isinstance(retry, Retry) else None


def fail(
    step: ClaimedStep,
    error: BaseException,
    policy: Retry | None,
    chance: Callable[[], float] = jitter,
) -> Failed:
    """The outcome of an attempt that ended with `error`. Never raises."""
    try:
        delay = retry_delay(error, policy, step.failures, chance)
    except Exception:  # an error in the decision must not cost the outcome
        delay = None
    return Failed(
        step, describe(error, delay), None if delay is None else max(0, duration_micros(delay))
    )
