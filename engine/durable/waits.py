"""Waiting without a slot: sleeps, messages, decisions, and values of runs.

A wait unwinds the execution with `Suspend`. When it is over, the body runs again from its start,
replays what was recorded, and arrives here once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, overload

from stepwell.engine.checkpoints.checkpoint import Operation, OperationError, OperationKind
from stepwell.engine.clock import to_datetime
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.operation_errors import from_value, to_value
from stepwell.engine.durable.operations import Durable
from stepwell.engine.durable.outbox import Outbox, sent_key
from stepwell.engine.durable.replay import Request, digest, operation_of
from stepwell.engine.errors import InvalidInput, InvalidPayload, NotFound, Permanent, WaitTimeout
from stepwell.engine.exchange import NewMessage, Wait
from stepwell.engine.ids import check_id
from stepwell.engine.model import Approval
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.payloads.types import PayloadType, payload_type
from stepwell.engine.wait_rules import (
    approval_topic,
    check_message_key,
    check_moment,
    check_topic,
    check_wait,
)

T = TypeVar("T")
D = TypeVar("D")

# Means that no default was given, since None is a valid one.
MISSING: Final[Any] = object()

# The code of the failure if a message does not fit the expected type.
MESSAGE_REFUSED: Final = "message_refused"

APPROVED = payload_type(Approval)

# Kinds of operations that may unwind the body.
_UNWINDING = frozenset({"sleep", "receive", "approval", "value", "any", "all"})


class DurableWaits(Durable):
    """Sleeps, messages, approvals and values of runs, each recorded when it is over."""

    _outbox: Outbox | None = None
    _topics: dict[tuple[str, str], int] | None = None

    @property
    def messages(self) -> Sequence[NewMessage]:
        """The messages to commit, without those that earlier executions have sent."""
        return () if self._outbox is None else self._outbox.fresh

    @property
    def sent_mark(self) -> str | None:
        """The mark of all messages sent so far, including this execution's; see `Outbox`."""
        return self._sent_before() if self._outbox is None else self._outbox.mark

    def sleep(
        self, seconds: float | timedelta | None = None, *, until: datetime | None = None
    ) -> None:
        """Wait this long, or until an aware time, without a slot; a recovery waits for the rest.

        Raises InvalidInput for a negative or naive time.
        """
        if (seconds is None) == (until is None):
            raise InvalidInput("step.sleep: needs either seconds or until=")
        if until is not None:
            given = check_moment(until, "step.sleep.until")
        else:
            given = check_wait(seconds, "step.sleep.seconds")
        request, journal = self._waiting("sleep", "sleep", ())
        if journal.recorded(request) is not None:
            journal.heed()
            return
        journal.heed()
        fresh = given if until is not None else journal.ask(journal.services.now) + given
        deadline = journal.deadline(request, fresh)
        if not journal.is_over(deadline):
            journal.suspend(Wait(until=deadline, kind="sleep", operation=request.id))
        self._settle(journal, request)

    @overload
    def receive(
        self, topic: str, type: type[T], *, timeout: float | timedelta | None = None
    ) -> T: ...
    @overload
    def receive(
        self, topic: str, type: type[T], *, timeout: float | timedelta | None = None, default: D
    ) -> T | D: ...
    @overload
    def receive(
        self,
        topic: str,
        type: None = None,
        *,
        timeout: float | timedelta | None = None,
        default: Any = ...,
    ) -> Any: ...
    def receive(
        self,
        topic: str,
        type: Any = None,
        *,
        timeout: float | timedelta | None = None,
        default: Any = MISSING,
    ) -> Any:
        """The next message to this run on `topic`, validated to `type`; each is received once.

        With `timeout` (seconds, a timedelta), returns `default` if none came in time.
        Raises WaitTimeout if there is no default; and Permanent for a message that does not fit
        the type. That one is refused: if it ends the attempt, a retry receives the next one.
        """
        check_topic(topic, "step.receive: topic")
        limit = None if timeout is None else check_wait(timeout, "step.receive.timeout")
        request, journal = self._waiting("receive", "receive", (topic,))
        of = None if type is None else payload_type(type)
        wait = Wait(topic=topic, kind="message", operation=request.id)
        ask = self._fitting(journal, request, topic, of)
        ended = self._await(journal, request, wait, limit, ask)
        if ended.error is not None:
            if ended.error.code == MESSAGE_REFUSED:
                raise self._refused(journal, request, ended)
            if default is MISSING:
                raise timed_out(journal, ended, f"no message came on topic {topic!r}")
            return default
        return typed(ended.value, of, f"message on topic {topic!r}")

    def wait_for_approval(self, timeout: float | timedelta | None = None) -> Approval:
        """Wait until somebody approves or rejects; the decision, with who and why.

        Raises WaitTimeout without a decision within `timeout` (seconds, a timedelta).
        """
        limit = None if timeout is None else check_wait(timeout, "step.wait_for_approval.timeout")
        request, journal = self._waiting("wait_for_approval", "approval", ())
        topic = approval_topic(self._claimed.id, request.id)
        wait = Wait(topic=topic, kind="approval", operation=request.id)
        ended = self._await(journal, request, wait, limit, self._message(journal, request, topic))
        if ended.error is not None:
            raise timed_out(journal, ended, "nobody decided")
        decision: Approval = typed(ended.value, APPROVED, "decision")
        return decision

    @overload
    def wait_for_value(
        self, run_id: str, key: str, type: type[T], *, timeout: float | timedelta | None = None
    ) -> T: ...
    @overload
    def wait_for_value(
        self,
        run_id: str,
        key: str,
        type: None = None,
        *,
        timeout: float | timedelta | None = None,
    ) -> Any: ...
    def wait_for_value(
        self, run_id: str, key: str, type: Any = None, *, timeout: float | timedelta | None = None
    ) -> Any:
        """The value that a run has set for `key`; waits for the first one.

        Raises NotFound if the run does not exist, and WaitTimeout.
        """
        check_id(run_id, "step.wait_for_value: run_id")
        check_id(key, "step.wait_for_value: key")
        limit = None if timeout is None else check_wait(timeout, "step.wait_for_value.timeout")
        request, journal = self._waiting("wait_for_value", "value", (run_id, key))
        of = None if type is None else payload_type(type)
        wait = Wait(value=(run_id, key), kind="value", operation=request.id)
        ended = self._await(journal, request, wait, limit, lambda: _last(journal, run_id, key))
        if ended.error is not None:
            raise timed_out(journal, ended, f"run {run_id!r} set no value for {key!r}")
        return typed(ended.value, of, f"value {key!r} of run {run_id!r}")

    def get_value(self, run_id: str, key: str, default: Any = None) -> Any:
        """The last value that a run has set for `key`, or `default`. Raises NotFound."""
        check_id(run_id, "step.get_value: run_id")
        check_id(key, "step.get_value: key")
        request, journal = self._waiting("get_value", "value", (run_id, key))
        recorded = journal.recorded(request)
        journal.heed()
        if recorded is not None:
            return default if recorded.error is not None else recorded.value
        text = _last(journal, run_id, key)
        if text is None:
            missing = OperationError(code="no_value", message=f"there is no value for {key!r}")
            self._settle(journal, request, decision=True, error=missing)
            return default
        value = decode(text)
        self._settle(journal, request, decision=True, value=value)
        return value

    def set_value(self, key: str, value: Any) -> None:
        """Set a key of this run to a new value, visible to all at once. Raises ReplayMismatch."""
        check_id(key, "step.set_value: key")
        text = encode(value, f"step.set_value({key!r})", self._services.settings.payload_limit)
        request, journal = self._waiting("set_value", "set_value", (key, decode(text)))
        recorded = journal.recorded(request)
        journal.heed()
        if recorded is None:
            journal.flush()
            values = journal.services.values
            stored = journal.ask(values.set_value, self._claimed, key, text, request.id)
            _check_set(request, stored, (key, text))
            self._settle(journal, request)

    def send(self, run_id: str, topic: str, payload: Any, key: str | None = None) -> None:
        """Send a message to a run once, when this step ends or waits next.

        Of messages with the same `key`, only the first is sent. If the run has ended by then, the
        message is dropped, and an event of this run says so. Raises NotFound if the run does not
        exist.
        """
        self._check_open("send")
        check_id(run_id, "step.send: run_id")
        outbox = self._outbox
        if outbox is None:
            outbox = vars(self).setdefault("_outbox", Outbox(self._sent_before()))
        is_known = outbox.replays or run_id == self._claimed.run.id
        if not is_known and self._services.reads.run_status(run_id) is None:
            raise NotFound(f"step.send: there is no run {run_id!r}")
        check_topic(topic, "step.send: topic")
        text = encode(
            payload, f"step.send({topic!r}): payload", self._services.settings.payload_limit
        )
        if key is not None:
            check_message_key(key, "step.send: key")
        else:
            key = self._message_key(run_id, topic)
        outbox.add(NewMessage(run_id, topic, text, key))

    def _sent_before(self) -> str | None:
        """The mark of the last suspension."""
        return (self.resumed_wait() or {}).get("sent")

    def _message_key(self, run_id: str, topic: str) -> str:
        """A key that is the same on replay for the same message."""
        counts = self._topics = {} if self._topics is None else self._topics
        number = counts[run_id, topic] = counts.get((run_id, topic), 0) + 1
        return sent_key(self.idempotency_key, topic, number)

    # --- how they wait ----------------------------------------------------------------------

    def _waiting(
        self, call: str, kind: OperationKind, arguments: tuple[Any, ...]
    ) -> tuple[Request, Journal]:
        if kind in _UNWINDING and call != "get_value":
            self._check_place(call)
        name = "approval" if kind == "approval" else call
        options = (call, None, True)
        request = self._request(
            kind, name, (f"step.{call}", f"step.{call}"), digest(*arguments), options
        )
        return request, self._journal(call)

    def _message(self, journal: Journal, request: Request, topic: str) -> Callable[[], str | None]:
        messages = journal.services.messages
        return lambda: journal.ask(messages.receive, self._claimed, topic, request.id)

    def _fitting(
        self, journal: Journal, request: Request, topic: str, of: PayloadType | None
    ) -> Callable[[], str | None]:
        """A function that asks for a message, and refuses one that does not fit its type."""
        ask = self._message(journal, request, topic)

        def fitting() -> str | None:
            text = ask()
            why = None if text is None or of is None else misfit(text, of)
            if why is not None:
                raise self._refuse(journal, request, topic, why)
            return text

        return fitting

    def _refuse(
        self,
        journal: Journal,
        request: Request,
        topic: str,
        why: str,
        operation: str | None = None,
    ) -> Permanent:
        """Record that the received message does not fit its type, and refuse it.

        `operation` is the one that has the message, if it is not the request's own.
        """
        receiver = operation or request.id
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
        return self._refused(journal, request, ended, error)

    def _refused(
        self, journal: Journal, request: Request, ended: Operation, error: Any = None
    ) -> Permanent:
        """The recorded refusal, to be raised; refuses the message, if a crash prevented that."""
        assert ended.error is not None
        error = error or from_value(ended.error)
        journal.know_failure(ended, error)
        message = ended.error.details.get("message")
        if message is not None:
            receiver = ended.error.details.get("operation", request.id)
            refuse = journal.services.messages.refuse
            journal.ask(refuse, self._claimed, receiver, message)
        refused: Permanent = error
        return refused

    def _await(
        self,
        journal: Journal,
        request: Request,
        wait: Wait,
        limit: int | None,
        ask: Callable[[], str | None],
    ) -> Operation:
        """The record of a wait that is over: with what came, or an error if it timed out."""
        recorded = journal.recorded(request)
        journal.heed()
        if recorded is not None:
            return recorded
        text = ask()
        if text is not None:
            return self._settle(journal, request, value=decode(text))
        fresh = None if limit is None else journal.ask(journal.services.now) + limit
        deadline = journal.deadline(request, fresh)
        if not journal.is_over(deadline):
            journal.suspend(replace(wait, until=deadline))
        error = to_value(WaitTimeout(f"{request.label}: the time is up"))
        return self._settle(journal, request, decision=True, error=error)

    def _settle(
        self, journal: Journal, request: Request, *, decision: bool = False, **fields: Any
    ) -> Operation:
        """Record that the wait is over; the next save includes it."""
        now = to_datetime(journal.services.clock.micros())
        operation = operation_of(request, now, now, **fields)
        journal.keep(operation, decision=decision)
        return operation


def misfit(text: str, of: PayloadType) -> str | None:
    """Why a message does not fit the type, or None if it does."""
    try:
        of.read(text, "")
    except InvalidPayload as error:
        return str(error)
    return None


def _last(journal: Journal, run_id: str, key: str) -> str | None:
    found = journal.ask(journal.services.values.values, run_id, key, 1)
    return encode(found[-1].value, "value", 1 << 40) if found else None


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
