"""Waits without a slot: sleeps, messages, decisions, and values of runs.

A wait unwinds the execution with `Suspend`. When it is over, the body runs again from its start,
replays what was recorded, and gets to the same wait once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from stepwell.engine.checkpoints.checkpoint import Operation, OperationError, OperationKind
from stepwell.engine.clock import to_datetime
from stepwell.engine.durable.body import Body, check_place
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.operation_errors import from_value, to_value
from stepwell.engine.durable.replay import Request, digest, operation_of
from stepwell.engine.durable.requests import Requests
from stepwell.engine.durations import Duration
from stepwell.engine.errors import InvalidInput, InvalidPayload, Permanent, WaitTimeout
from stepwell.engine.exchange import Wait
from stepwell.engine.ids import check_id
from stepwell.engine.model import Approval
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.payloads.types import PayloadType, payload_type
from stepwell.engine.wait_rules import approval_topic, check_moment, check_topic, check_wait

# Means that no default was given, since None is a valid one.
MISSING: Final[Any] = object()

# The code of the failure if a message does not fit the expected type.
MESSAGE_REFUSED: Final = "message_refused"

APPROVED = payload_type(Approval)

# The calls that never unwind the body.
_IMMEDIATE = frozenset({"get_value", "set_value"})


class Waits:
    """The single waits of one execution, and values of runs, each recorded when it is over."""

    def __init__(self, body: Body, journal: Journal, requests: Requests) -> None:
        self.journal = journal
        self._claimed = journal.claimed
        self._body = body
        self._requests = requests

    def sleep(self, seconds: Duration | None, until: datetime | None) -> None:
        """See `StepContext.sleep`."""
        if (seconds is None) == (until is None):
            raise InvalidInput("step.sleep: needs either seconds or until=")
        if until is not None:
            given = check_moment(until, "step.sleep.until")
        else:
            given = check_wait(seconds, "step.sleep.seconds")
        journal, request = self.journal, self.request("sleep", "sleep", ())
        if journal.recorded(request) is not None:
            journal.heed()
            return
        journal.heed()
        fresh = given if until is not None else journal.ask(journal.services.now) + given
        deadline = journal.deadline(request, fresh)
        if not journal.is_over(deadline):
            journal.suspend(Wait(until=deadline, kind="sleep", operation=request.id))
        self.settle(request)

    def receive(self, topic: str, type: Any, timeout: Duration | None, default: Any) -> Any:
        """See `StepContext.receive`."""
        check_topic(topic, "step.receive: topic")
        limit = None if timeout is None else check_wait(timeout, "step.receive.timeout")
        request = self.request("receive", "receive", (topic,))
        of = None if type is None else payload_type(type)
        wait = Wait(topic=topic, kind="message", operation=request.id)
        ended = self._await(request, wait, limit, self._fitting(request, topic, of))
        if ended.error is not None:
            if ended.error.code == MESSAGE_REFUSED:
                raise self.refused(request, ended)
            if default is MISSING:
                raise timed_out(self.journal, ended, f"no message came on topic {topic!r}")
            return default
        return typed(ended.value, of, f"message on topic {topic!r}")

    def approval(self, timeout: Duration | None) -> Approval:
        """See `StepContext.wait_for_approval`."""
        limit = None if timeout is None else check_wait(timeout, "step.wait_for_approval.timeout")
        request = self.request("wait_for_approval", "approval", ())
        topic = approval_topic(self._claimed.id, request.id)
        wait = Wait(topic=topic, kind="approval", operation=request.id)
        ended = self._await(request, wait, limit, self._message(request, topic))
        if ended.error is not None:
            raise timed_out(self.journal, ended, "nobody decided")
        decision: Approval = typed(ended.value, APPROVED, "decision")
        return decision

    def value(self, run_id: str, key: str, type: Any, timeout: Duration | None) -> Any:
        """See `StepContext.wait_for_value`."""
        check_id(run_id, "step.wait_for_value: run_id")
        check_id(key, "step.wait_for_value: key")
        limit = None if timeout is None else check_wait(timeout, "step.wait_for_value.timeout")
        request = self.request("wait_for_value", "value", (run_id, key))
        of = None if type is None else payload_type(type)
        wait = Wait(value=(run_id, key), kind="value", operation=request.id)
        ended = self._await(request, wait, limit, lambda: self._last(run_id, key))
        if ended.error is not None:
            raise timed_out(self.journal, ended, f"run {run_id!r} set no value for {key!r}")
        return typed(ended.value, of, f"value {key!r} of run {run_id!r}")

    def get_value(self, run_id: str, key: str, default: Any) -> Any:
        """See `StepContext.get_value`."""
        check_id(run_id, "step.get_value: run_id")
        check_id(key, "step.get_value: key")
        journal, request = self.journal, self.request("get_value", "value", (run_id, key))
        recorded = journal.recorded(request)
        journal.heed()
        if recorded is not None:
            return default if recorded.error is not None else recorded.value
        text = self._last(run_id, key)
        if text is None:
            missing = OperationError(code="no_value", message=f"there is no value for {key!r}")
            self.settle(request, decision=True, error=missing)
            return default
        value = decode(text)
        self.settle(request, decision=True, value=value)
        return value

    def set_value(self, key: str, value: Any) -> None:
        """See `StepContext.set_value`."""
        check_id(key, "step.set_value: key")
        journal = self.journal
        text = encode(value, f"step.set_value({key!r})", journal.limit)
        request = self.request("set_value", "set_value", (key, decode(text)))
        recorded = journal.recorded(request)
        journal.heed()
        if recorded is None:
            journal.flush()
            values = journal.services.values
            stored = journal.ask(values.set_value, self._claimed, key, text, request.id)
            _check_set(request, stored, (key, text))
            self.settle(request)

    # --- for combined waits, too ------------------------------------------------------------

    def request(self, call: str, kind: OperationKind, arguments: tuple[Any, ...]) -> Request:
        """The next operation of this call. Raises InvalidInput where it would not unwind."""
        if call not in _IMMEDIATE:
            check_place(call, self._body, self.journal)
        name = "approval" if kind == "approval" else call
        function = f"step.{call}", f"step.{call}"
        return self._requests.next(kind, name, function, digest(*arguments), (call, None, True))

    def settle(self, request: Request, *, decision: bool = False, **fields: Any) -> Operation:
        """Record that the wait is over; the next save includes it."""
        now = to_datetime(self.journal.services.clock.micros())
        operation = operation_of(request, now, now, **fields)
        self.journal.keep(operation, decision=decision)
        return operation

    def refuse(
        self, request: Request, topic: str, why: str, operation: str | None = None
    ) -> Permanent:
        """Record that the received message does not fit its type, and refuse it.

        `operation` is the one that has the message, if it is not the request's own.
        """
        journal, receiver = self.journal, operation or request.id
        message = journal.ask(journal.services.messages.given, self._claimed, receiver)
        details: dict[str, Any] = {"message": message}
        if operation is not None:
            details["operation"] = operation
        error = Permanent(
            MESSAGE_REFUSED, f"message {message} on topic {topic!r}: {why}", details=details
        )
        now = to_datetime(journal.services.clock.micros())
        ended = operation_of(request, now, now, error=to_value(error))
        journal.keep_failure(ended, error)
        # Recorded first: a message refused without a record would be lost silently.
        journal.flush()
        return self.refused(request, ended, error)

    def refused(self, request: Request, ended: Operation, error: Any = None) -> Permanent:
        """The recorded refusal, to be raised; refuses the message, if a crash prevented that."""
        assert ended.error is not None
        journal = self.journal
        error = error or from_value(ended.error)
        journal.know_failure(ended, error)
        message = ended.error.details.get("message")
        if message is not None:
            receiver = ended.error.details.get("operation", request.id)
            journal.ask(journal.services.messages.refuse, self._claimed, receiver, message)
        refused: Permanent = error
        return refused

    # --- how they wait ----------------------------------------------------------------------

    def _message(self, request: Request, topic: str) -> Callable[[], str | None]:
        ask, messages = self.journal.ask, self.journal.services.messages
        return lambda: ask(messages.receive, self._claimed, topic, request.id)

    def _fitting(
        self, request: Request, topic: str, of: PayloadType | None
    ) -> Callable[[], str | None]:
        """A function that asks for a message, and refuses one that does not fit its type."""
        ask = self._message(request, topic)

        def fitting() -> str | None:
            text = ask()
            why = None if text is None or of is None else misfit(text, of)
            if why is not None:
                raise self.refuse(request, topic, why)
            return text

        return fitting

    def _await(
        self, request: Request, wait: Wait, limit: int | None, ask: Callable[[], str | None]
    ) -> Operation:
        """The record of a wait that is over: with what came, or an error if it timed out."""
        journal = self.journal
        recorded = journal.recorded(request)
        journal.heed()
        if recorded is not None:
            return recorded
        text = ask()
        if text is not None:
            return self.settle(request, value=decode(text))
        fresh = None if limit is None else journal.ask(journal.services.now) + limit
        deadline = journal.deadline(request, fresh)
        if not journal.is_over(deadline):
            journal.suspend(replace(wait, until=deadline))
        error = to_value(WaitTimeout(f"{request.label}: the time is up"))
        return self.settle(request, decision=True, error=error)

    def _last(self, run_id: str, key: str) -> str | None:
        """The last value of a run for this key, as JSON text."""
        found = self.journal.ask(self.journal.services.values.values, run_id, key, 1)
        return encode(found[-1].value, "value", 1 << 40) if found else None


def misfit(text: str, of: PayloadType) -> str | None:
    """Why a message does not fit the type, or None if it does."""
    try:
        of.read(text, "")
    except InvalidPayload as error:
        return str(error)
    return None


def _check_set(request: Request, stored: tuple[str, str], asked: tuple[str, str]) -> None:
    """Raises ReplayMismatch if an execution that died had set something else."""
    if digest(stored[0], decode(stored[1])) != request.digest:
        was, now = (f"{key!r} to {text:.80}" for key, text in (stored, asked))
        request.mismatch(f"has set {was} before", f"sets {now}")


def timed_out(journal: Journal, ended: Operation, what: str) -> WaitTimeout:
    """The error to raise; if it ends the attempt, the next attempt waits again."""
    error = WaitTimeout(f"{what} in time")
    journal.know_failure(ended, error)
    return error


def typed(value: Any, of: PayloadType | None, where: str) -> Any:
    """A recorded value, read with its present type. Raises InvalidPayload."""
    return value if of is None else of.read(encode(value, where, 1 << 40), where)
