"""The records of one execution: the history that it replays, and what is not yet saved.

An operation goes through these stages::

    request ──▶ recorded? ──yes──▶ its value or error, again
                   │no
                   └─▶ decisions saved ──▶ the function runs ──▶ recorded: durable before it returns

The end of an operation without a function (a sleep, a message) is saved together with the next
record: if it is lost, asking again gives the same answer. An end that could differ the next time (a
caught failure, a time-out, a value read) is a decision: it is saved before the next function runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import stepwell.engine.durable.checkpoint_pause as pausing
from stepwell.engine.checkpoints.capabilities import load, record
from stepwell.engine.checkpoints.checkpoint import (
    Checkpoint,
    CheckpointStatus,
    CheckpointUpdate,
    CheckpointWait,
    Operation,
    OperationError,
)
from stepwell.engine.clock import to_datetime
from stepwell.engine.durable.checkpoint_pause import PAUSED
from stepwell.engine.durable.checkpoints_elsewhere import recorded_elsewhere
from stepwell.engine.durable.operation_errors import nearest_causes
from stepwell.engine.durable.replay import Request
from stepwell.engine.errors import (
    Canceled,
    CorruptData,
    InvalidInput,
    LeaseLost,
    NoCheckpoint,
    Signal,
    StoreError,
    StoreVersionError,
    Suspend,
)
from stepwell.engine.exchange import ClaimedStep, Failed, Several, Suspended, Wait
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.services import DurableServices
from stepwell.engine.settings import Settings
from stepwell.engine.wait_rules import began_waits, moved_times, stored_wait

T = TypeVar("T")

_log = logging.getLogger("stepwell.step")

# The first and the longest delay before a store that failed is asked again, in seconds; it is
# asked for at most one lease.
ASK_AGAIN_MIN = 0.05
ASK_AGAIN_MAX = 2.0
# A larger input (as JSON) is not copied into each save; the step's row has it.
MAX_INPUTS = 10_000


class Journal:
    """Made when an execution first uses a durable operation, and loaded when it needs history.

    `rest(seconds)` waits, and returns whether the step was canceled. Safe for many threads:
    concurrent saves are combined into one.
    """

    def __init__(
        self,
        claimed: ClaimedStep,
        execution_id: str,
        services: DurableServices,
        settings: Settings,
        rest: Callable[[float], bool],
    ) -> None:
        self.services = services
        self.limit = settings.payload_limit
        self._patience = settings.lease
        self.claimed = claimed
        self.signal: Signal | None = None
        self.variables: dict[str, Any] = {}
        self.execution_id = execution_id
        self.rest = rest
        self._checkpointer = services.checkpointer(claimed)
        self._lock = threading.RLock()
        self._saving = threading.Lock()
        self._head: Checkpoint | None = None
        self._wait: CheckpointWait | None = None
        self._pause_requested = False
        self._recorded: dict[str, Operation] = {}
        self._unsaved: dict[str, Operation] = {}
        self._has_decisions = False
        self._failures: dict[int, tuple[Exception, Operation]] = {}
        self._saved_variables = "{}"
        # Failures of background tasks that the body has not yet passed.
        self.unread: list[BaseException] = []
        # Set if a wait was called where it is not allowed: the attempt ends with this error.
        self.misplaced: InvalidInput | None = None

    # --- history ----------------------------------------------------------------------------

    @property
    def is_loaded(self) -> bool:
        return self._head is not None

    @property
    def must_save(self) -> bool:
        """Whether a save is needed before the next function runs."""
        return self._has_decisions

    def load(self) -> None:
        """Read the checkpoint, once."""
        with self._lock:
            if self._head is not None:
                return
            try:
                found = self.ask(load, self._checkpointer, self.execution_id)
            except NoCheckpoint:
                self._head = self._first()
                return
            if found.elsewhere:
                raise recorded_elsewhere(self.execution_id, found.elsewhere)
            self._recorded = {operation.id: operation for operation in found.operations}
            self._wait = pausing.noticed(found, self.claimed)
            self._pause_requested = found.pause_requested
            self.variables = dict(found.variables)
            self._saved_variables = encode(self.variables, "step.variables", self.limit)
            self._head = found.model_copy(update={"operations": []})

    def _first(self) -> Checkpoint:
        claimed = self.claimed
        small = len(claimed.input) <= MAX_INPUTS
        return Checkpoint(
            id=self.execution_id,
            execution_id=self.execution_id,
            run_id=claimed.run.id,
            step_id=claimed.id,
            inputs=decode(claimed.input) if small else None,
            start_time=to_datetime(claimed.started_at),
        )

    def recorded(self, request: Request) -> Operation | None:
        """The earlier record of an operation; None if it has to run. Raises ReplayMismatch."""
        self.load()
        found = self._recorded.get(request.id)
        if found is None or found.open:
            return None
        request.check(found)
        return found

    def attempts(self, request: Request) -> int:
        """How often earlier executions tried an operation that is still open."""
        found = self._recorded.get(request.id)
        return found.attempts if found is not None and found.error is not None else 0

    def deadline(self, request: Request, fresh: int | None) -> int | None:
        """When a wait times out (epoch µs), or None for never.

        For a wait that began in an earlier execution, the time set then, moved by pauses;
        otherwise `fresh`.
        """
        if self._waits_anew(request):
            return fresh
        began = began_waits(self.claimed, self._wait, self.services.now, request.id)
        known = [time for time, _ in began if time is not None]
        return max(known, default=None) if began else fresh

    def times(self, request: Request, fresh: Several) -> Several:
        """When the sleep and the limit of several waits are over; like `deadline`."""
        if self._waits_anew(request):
            return fresh
        began = began_waits(self.claimed, self._wait, self.services.now, request.id)
        return moved_times(began) or fresh

    def _waits_anew(self, request: Request) -> bool:
        """Whether its time-out ended an earlier attempt; if so, the next save reopens it."""
        found = self._recorded.get(request.id)
        if found is None or not found.open or found.error is None:
            return False
        self.keep(found.model_copy(update={"error": None, "attempts": found.attempts + 1}))
        return True

    def is_over(self, deadline: int | None) -> bool:
        """Whether a deadline has passed, by the store's clock."""
        if deadline is None:
            return False
        return deadline <= self.claimed.started_at or deadline <= self.ask(self.services.now)

    # --- what is new ------------------------------------------------------------------------

    def keep(self, operation: Operation, *, decision: bool = False) -> None:
        """Keep a record for the next save; a `decision` must be saved before a function runs."""
        with self._lock:
            self._unsaved[operation.id] = operation
            self._has_decisions = self._has_decisions or decision
            if self._wait is not None and self._wait.operation == operation.id:
                self._wait = None

    def keep_failure(self, operation: Operation, error: Exception) -> None:
        """Keep a failure: it is replayed if the body catches it, and retried if it does not."""
        self.know_failure(operation, error)
        self.keep(operation, decision=True)

    def know_failure(self, operation: Operation, error: Exception) -> None:
        """Remember that `error` is a recorded failure, raised again."""
        with self._lock:
            self._failures[id(error)] = (error, operation)

    def flush(self) -> None:
        """Save, if there are unsaved decisions."""
        if self._has_decisions:
            self._save_with(None)

    def save(self, operation: Operation) -> None:
        """Record an operation; durable on return."""
        self.keep(operation)
        self._save_with(operation)

    def _save_with(self, operation: Operation | None) -> None:
        with self._saving:
            if operation is not None and self._unsaved.get(operation.id) is not operation:
                return  # another thread's save included it
            self._write("running")

    def _write(
        self,
        status: CheckpointStatus,
        wait: Wait | None = None,
        error: OperationError | None = None,
    ) -> None:
        """Save everything that is new."""
        with self._lock:
            assert self._head is not None
            batch = dict(self._unsaved)
            now = to_datetime(self.services.clock.micros())
            ended = status in ("completed", "failed")
            if wait is not None and wait.kind != PAUSED:
                self._wait = stored_wait(wait, now if self._pause_requested else None)
            fields = {
                "status": status,
                "wait": None if status == "completed" else self._wait,
                "error": error,
                "end_time": now if ended else None,
                "checkpoint_at": now,
            }
            saved_variables = self._saved_variables
            trouble = self._take_variables(fields)
            head = self._head.model_copy(update=fields)
            self._has_decisions = False
        try:
            paused = self.ask(
                record, self._checkpointer, CheckpointUpdate(head, tuple(batch.values()))
            )
        except BaseException:
            self._has_decisions, self._saved_variables = True, saved_variables
            raise
        with self._lock:
            self._head = head
            self._pause_requested = paused
            for key, operation in batch.items():
                if self._unsaved.get(key) is operation:
                    del self._unsaved[key]
        if trouble is not None:
            raise trouble

    def _take_variables(self, fields: dict[str, Any]) -> InvalidInput | None:
        """Add changed variables; returns an error for invalid ones, so that the rest is saved."""
        if not self.variables and self._saved_variables == "{}":
            return None
        try:
            text = encode(self.variables, "step.variables", self.limit)
        except InvalidInput as error:
            return error
        if text != self._saved_variables:
            fields["variables"], self._saved_variables = decode(text), text
        return None

    # --- how it ends ------------------------------------------------------------------------

    def heed(self) -> None:
        """Raise the signal that must stop the execution, if any: a lost lease, or a pause."""
        if self.signal is not None:
            raise self.signal
        if self.rest(0):
            self.signal = Canceled("the step was canceled or lost its lease")
            raise self.signal
        if self._pause_requested:
            self.suspend(self._pause())

    def suspend(self, wait: Wait) -> None:
        """Unwind the execution until `wait` is over, even if the body swallows the signal."""
        self.signal = Suspend(wait)
        raise self.signal

    def _pause(self) -> Wait:
        """The wait until the next check of a pause: soon at first, then later and later."""
        looks = pausing.looks(self.claimed)
        until = self.ask(self.services.now) + int(pausing.delay(looks) * 1e6)
        return Wait(until=until, kind=PAUSED, operation=f"pause#{looks + 1}")

    def completed(self) -> None:
        """Save that the execution completed. Raises a signal that the body swallowed, if any."""
        if self.signal is not None:
            raise self.signal
        if self.misplaced is not None:
            raise self.misplaced
        if not self.is_loaded:
            return
        try:
            with self._saving:
                self._write("completed")
        except StoreError as error:  # not essential: what counts is the step's commit
            _log.warning(
                "%s: %s", self.execution_id, error, extra={"action": "checkpoint.not_completed"}
            )

    def ended_by(
        self, error: BaseException, outcome: Callable[[BaseException], Suspended | Failed]
    ) -> Suspended | Failed:
        """Save how the execution ended; returns its outcome. Never raises.

        If a wait has begun, the execution ends with it, whatever the body did with the signal.
        """
        if self.signal is not None and error is not self.signal:
            if not isinstance(error, BaseExceptionGroup):
                _log.warning(
                    "%s: the body raised %r while it was unwound; that is ignored",
                    *(self.execution_id, type(error).__name__),
                    exc_info=error,
                    extra={"action": "step.unwound"},
                )
            error = self.signal
        if self.misplaced is not None and isinstance(error, (Suspend, BaseExceptionGroup)):
            error = self.misplaced
        ended = outcome(error)
        if isinstance(error, Canceled) or not self.is_loaded:
            return ended
        try:
            with self._saving:
                if isinstance(ended, Suspended):
                    ended.wait = self._save_wait(ended.wait)
                else:
                    self._save_failure(error, ended)
        except Canceled as lost:
            return outcome(lost)
        except Exception as trouble:
            # The wait must be saved before the step waits, or unsaved operations would be lost.
            return outcome(trouble) if isinstance(ended, Suspended) else ended
        return ended

    def _save_wait(self, wait: Wait) -> Wait:
        """Save that the execution waits; returns the step's wait, which may be that of a pause."""
        self._write("paused" if wait.kind == PAUSED else "waiting", wait)
        if not self._pause_requested or wait.kind == PAUSED:
            return wait
        # A pause was requested just now: freeze the time that is left.
        pause = self._pause()
        self._write("paused", wait)
        return pause

    def _save_failure(self, error: BaseException, failed: Failed) -> None:
        """Save a failure; the operations that caused it, or were never read, will run again."""
        recorded = [cause for cause in self.unread if id(cause) in self._failures]
        recorded += nearest_causes(error, lambda cause: id(cause) in self._failures)
        for cause in recorded:
            operation = self._failures[id(cause)][1]
            self.keep(operation.model_copy(update={"open": True}))
        failure = failed.failure
        for_good = failed.retry_in is None
        value = OperationError(code=failure.code, message=failure.message) if for_good else None
        self._write("failed" if for_good else "running", error=value)

    # --- asking the store -------------------------------------------------------------------

    def ask(self, question: Callable[..., T], *arguments: Any) -> T:
        """Ask the store, retrying for up to a lease while it is out of reach.

        Raises Canceled if the lease is lost.
        """
        delay, waited = ASK_AGAIN_MIN, 0.0
        while True:
            try:
                return question(*arguments)
            except LeaseLost as error:
                self.signal = Canceled("the step lost its lease", lost=error)
                raise self.signal from error
            except (StoreVersionError, CorruptData):
                raise
            except StoreError as error:
                if waited >= self._patience:
                    raise
                if self.rest(delay):
                    self.signal = Canceled("the step was canceled or lost its lease")
                    raise self.signal from error
                waited += delay
                delay = min(2 * delay, ASK_AGAIN_MAX)
