"""The kinds `wait.sleep`, `wait.message` and `wait.approval`: steps that only wait.

They keep no checkpoint: their wait is stored in the step's row.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from stepwell.engine.clock import duration_micros, to_datetime, to_micros
from stepwell.engine.duration_checks import MAX_WAIT
from stepwell.engine.errors import InvalidInput, Suspend, WaitTimeout
from stepwell.engine.exchange import Wait
from stepwell.engine.package import ExecutorFunction
from stepwell.engine.payloads.payload import decode
from stepwell.engine.step.context import StepContext
from stepwell.engine.wait_rules import approval_topic, check_moment, check_topic
from stepwell.executors.kinds import BUILT_IN
from stepwell.executors.kinds.seconds import AS_SECONDS

OPERATION = "wait"
_MOST = MAX_WAIT.total_seconds()


_Seconds = Annotated[float, AS_SECONDS, Field(ge=0, le=_MOST)]


class Sleep(BaseModel):
    """How long to wait: `seconds`, or `until` a time with its zone."""

    model_config = ConfigDict(extra="forbid")

    seconds: _Seconds | None = None
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one(self) -> Sleep:
        if (self.seconds is None) == (self.until is None):
            raise ValueError("takes either seconds or until")
        if self.until is not None:
            try:
                check_moment(self.until, "until")
            except InvalidInput as error:
                raise ValueError(str(error)) from None
        return self


class AwaitMessage(BaseModel):
    """The topic to wait for, and the longest wait (a duration; None: no limit)."""

    model_config = ConfigDict(extra="forbid")

    topic: str
    timeout: _Seconds | None = None

    @model_validator(mode="after")
    def _possible(self) -> AwaitMessage:
        try:
            check_topic(self.topic)
        except InvalidInput as error:
            raise ValueError(str(error)) from None
        return self


class AwaitApproval(BaseModel):
    """The longest wait for a decision (a duration; None: no limit)."""

    model_config = ConfigDict(extra="forbid")

    timeout: _Seconds | None = None


def wait_out(step: StepContext, request: Sleep) -> None:
    """Wait until the time has come. Its result is null."""
    if step.internals.resumed_wait() is not None:
        deadline = step.internals.resumed_deadline()
    elif request.until is not None:
        deadline = to_micros(request.until)
    else:
        deadline = _after(step, request.seconds)
    if deadline is not None and to_datetime(deadline) > step.now:
        raise Suspend(Wait(until=deadline, kind="sleep", operation=OPERATION))


def await_message(step: StepContext, request: AwaitMessage) -> Any:
    """Wait for a message to the run; its payload is the result."""
    return _awaited(step, request.topic, "message", request.timeout)


def await_approval(step: StepContext, request: AwaitApproval) -> Any:
    """Wait for a decision; the result says `approved`, `comment`, `by` and `at`."""
    topic = approval_topic(step.step.id, OPERATION)
    return _awaited(step, topic, "approval", request.timeout)


def _awaited(step: StepContext, topic: str, kind: str, timeout: float | None) -> Any:
    """The message that came on a topic. The store first looks for it when the step suspends."""
    if step.internals.resumed_wait() is None:
        deadline = _after(step, timeout)
    else:
        text = step.internals.take_message(topic, OPERATION)
        if text is not None:
            return decode(text)
        deadline = step.internals.resumed_deadline()
        if deadline is not None and to_datetime(deadline) <= step.now:
            what = "nobody decided" if kind == "approval" else f"no message came on {topic!r}"
            raise WaitTimeout(f"{what} in time")
    raise Suspend(Wait(until=deadline, topic=topic, kind=kind, operation=OPERATION))


def _after(step: StepContext, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    return to_micros(step.now) + duration_micros(timedelta(seconds=seconds))


sleep = ExecutorFunction("wait.sleep", wait_out, BUILT_IN["wait.sleep"].options)
message = ExecutorFunction("wait.message", await_message, BUILT_IN["wait.message"].options)
approval = ExecutorFunction("wait.approval", await_approval, BUILT_IN["wait.approval"].options)
