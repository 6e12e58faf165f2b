"""Waits side by side: any of several, or all of them, in one suspension.

Which was first is decided by when each came, not by when somebody looks, and is recorded. What is
not part of the answer is not taken: a message stays for whoever receives it next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, TypeVar, overload

from stepwell.engine.checkpoint import Operation
from stepwell.engine.descriptions import (
    Answer,
    Approval,
    Description,
    Ended,
    Message,
    RunEnd,
    Sleep,
    Value,
)
from stepwell.engine.durable_waits import (
    APPROVED,
    MESSAGE_REFUSED,
    DurableWaits,
    misfit,
    timed_out,
    typed,
)
from stepwell.engine.errors import InvalidInput, WaitTimeout, shown
from stepwell.engine.ids import check_id
from stepwell.engine.journal import Journal
from stepwell.engine.model import Arrival, Failure, Several, Wait
from stepwell.engine.operation_errors import to_value
from stepwell.engine.payload import decode
from stepwell.engine.payload_types import PayloadType, payload_type
from stepwell.engine.replay import Request
from stepwell.engine.states import RunStatus
from stepwell.engine.waiting import approval_topic, check_moment, check_topic, check_wait

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
T = TypeVar("T")

# So many waits may stand side by side in one.
MOST_WAITS = 100


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the waits: what the author calls it, and what it is for.

    `span` is how long a sleep takes (µs), or `moment` when it is over (epoch µs).
    """

    label: str
    wait: Wait
    of: PayloadType | None = None
    span: int | None = None
    moment: int | None = None

    @property
    def identity(self) -> list[Any]:
        """What has to be the same on replay."""
        wait = self.wait
        return [self.label, wait.kind, wait.topic, wait.value, wait.run_id]


class DurableSeveral(DurableWaits):
    """Any of several waits, and all of them."""

    def wait_any(
        self,
        *waits: Description[T],
        timeout: float | timedelta | None = None,
        **named: Description[T],
    ) -> Answer[T]:
        """Wait for the first of several waits, in one suspension; says which, and its value.

        What came first counts, whenever somebody looks. A message that lost stays for the next
        `receive`. Raises WaitTimeout when none came within `timeout` (seconds, a timedelta).
        """
        parts, ended = self._several("any", waits, named, timeout)
        place = ended.value["index"]
        value = _given(parts[place], ended.value["value"])
        return Answer(value, place, parts[place].label if named else None)

    @overload
    def wait_all(
        self, first: Description[A], /, *, timeout: float | timedelta | None = None
    ) -> tuple[A]: ...
    @overload
    def wait_all(
        self,
        first: Description[A],
        second: Description[B],
        /,
        *,
        timeout: float | timedelta | None = None,
    ) -> tuple[A, B]: ...
    @overload
    def wait_all(
        self,
        first: Description[A],
        second: Description[B],
        third: Description[C],
        /,
        *,
        timeout: float | timedelta | None = None,
    ) -> tuple[A, B, C]: ...
    @overload
    def wait_all(
        self,
        first: Description[A],
        second: Description[B],
        third: Description[C],
        fourth: Description[D],
        /,
        *,
        timeout: float | timedelta | None = None,
    ) -> tuple[A, B, C, D]: ...
    @overload
    def wait_all(
        self, *waits: Description[T], timeout: float | timedelta | None = None
    ) -> tuple[T, ...]: ...
    @overload
    def wait_all(
        self, *, timeout: float | timedelta | None = None, **named: Description[Any]
    ) -> dict[str, Any]: ...
    def wait_all(
        self,
        *waits: Description[Any],
        timeout: float | timedelta | None = None,
        **named: Description[Any],
    ) -> Any:
        """Wait for all of several waits, in one suspension: their values in order, or by name.

        Nothing is taken before all have come. Raises WaitTimeout when one did not come within
        `timeout` (seconds, a timedelta); the messages that did come stay.
        """
        parts, ended = self._several("all", waits, named, timeout)
        values = tuple(_given(part, value) for part, value in zip(parts, ended.value, strict=True))
        if not named:
            return values
        return {part.label: value for part, value in zip(parts, values, strict=True)}

    def _several(
        self,
        mode: Literal["any", "all"],
        waits: Sequence[object],
        named: Mapping[str, object],
        timeout: float | timedelta | None,
    ) -> tuple[list[_Part], Operation]:
        """The waits, and the record of their end. Raises what a replay raises, too."""
        call = f"step.wait_{mode}"
        limit = None if timeout is None else check_wait(timeout, f"{call}.timeout")
        parts = described(call, waits, named, self._claimed.run.id)
        identities = [part.identity for part in parts]
        request, journal = self._waiting(f"wait_{mode}", mode, (identities,))
        parts = [_asked(part, self._claimed.id, request) for part in parts]
        ended = journal.recorded(request)
        journal.heed()
        if ended is None:
            ended = self._await_several(journal, request, parts, limit)
        if ended.error is None:
            return parts, ended
        if ended.error.code == MESSAGE_REFUSED:
            raise self._refused(journal, request, ended)
        what = "none of its waits was over" if mode == "any" else "not all of its waits were over"
        raise timed_out(journal, ended, f"{request.label}: {what}")

    def _await_several(
        self, journal: Journal, request: Request, parts: Sequence[_Part], limit: int | None
    ) -> Operation:
        """The waits once they are over, or their time is up. Raises Suspend, and Permanent."""
        waits = [part.wait for part in parts]
        messages = journal.services.messages
        is_any, times = request.kind == "any", None
        while True:
            found = journal.ask(messages.arrivals, self._claimed, waits)
            now = max(self._claimed.started_at, journal.ask(journal.services.now))
            if times is None:
                times = journal.times(request, _times(parts, limit, now, is_any=is_any))
            is_over = times.sleep is not None and times.sleep <= now
            times = replace(times, slept=not is_any and (times.slept or is_over))
            chosen = _first(found, times, now) if is_any else _every(parts, found, times)
            if chosen is not None and self._take(journal, request, parts, chosen):
                values = {place: decode(one.value) for place, one in chosen.items()}
                answers = [{"index": place, "value": value} for place, value in values.items()]
                value = answers[0] if is_any else list(values.values())
                return self._settle(journal, request, decision=True, value=value)
            if chosen is not None:  # somebody else took a message meanwhile
                continue
            if times.limit is not None and times.limit <= now:
                error = to_value(WaitTimeout(f"{request.label}: the time is up"))
                return self._settle(journal, request, decision=True, error=error)
            journal.suspend(_suspended(request, waits, times))

    def _take(
        self,
        journal: Journal,
        request: Request,
        parts: Sequence[_Part],
        chosen: Mapping[int, Arrival],
    ) -> bool:
        """Take the messages of an answer, all or none; False when one is gone meanwhile.

        Raises Permanent for one that does not fit its type: that one alone is taken, and refused.
        """
        take = journal.services.messages.take
        wanted = []
        for place, one in chosen.items():
            part = parts[place]
            operation, topic = part.wait.operation, part.wait.topic
            if one.message is None or operation is None or topic is None:
                continue
            why = None if part.of is None else misfit(one.value, part.of)
            if why is not None:
                if not journal.ask(take, self._claimed, [(one.message, operation)]):
                    return False
                raise self._refuse(journal, request, topic, why, operation)
            wanted.append((one.message, operation))
        return not wanted or journal.ask(take, self._claimed, wanted)


def described(
    call: str, waits: Sequence[object], named: Mapping[str, object], own_run: str
) -> list[_Part]:
    """The waits of a call, checked. Raises InvalidInput, naming which."""
    if waits and named:
        raise InvalidInput(f"{call}: name all of its waits or none, to tell them by name or place")
    labelled = [*((str(place), wait) for place, wait in enumerate(waits)), *named.items()]
    if not 1 <= len(labelled) <= MOST_WAITS:
        raise InvalidInput(f"{call}: takes 1 to {MOST_WAITS} waits, got {len(labelled)}")
    parts = [_part(f"{call}({label})", label, wait) for label, wait in labelled]
    seen: set[tuple[str, str | None]] = set()
    for part in parts:
        wait = part.wait
        if wait.run_id == own_run:
            raise InvalidInput(f"{call}({part.label}): a run cannot wait for its own end")
        if wait.kind in ("message", "approval"):
            what = "decision" if wait.topic is None else f"message on topic {wait.topic!r}"
            if (wait.kind, wait.topic) in seen:
                raise InvalidInput(
                    f"{call}({part.label}): another one waits for a {what} already; wait for the "
                    "second in a call of its own"
                )
            seen.add((wait.kind, wait.topic))
    return parts


def _part(field: str, label: str, wait: object) -> _Part:
    check_id(label, f"{field}: name")
    if isinstance(wait, Sleep):
        if (wait.seconds is None) == (wait.until is None):
            raise InvalidInput(f"{field}: needs either seconds or until=")
        if wait.until is not None:
            return _Part(label, Wait(kind="sleep"), moment=check_moment(wait.until, field))
        return _Part(label, Wait(kind="sleep"), span=check_wait(wait.seconds, field))
    if isinstance(wait, Approval):
        return _Part(label, Wait(kind="approval"), APPROVED)
    of = None
    if isinstance(wait, (Message, Value, RunEnd)) and wait.type is not None:
        of = payload_type(wait.type)
    if isinstance(wait, Message):
        topic = check_topic(wait.topic, f"{field}: topic")
        return _Part(label, Wait(kind="message", topic=topic), of)
    if isinstance(wait, Value):
        value = check_id(wait.run_id, f"{field}: run_id"), check_id(wait.key, f"{field}: key")
        return _Part(label, Wait(kind="value", value=value), of)
    if isinstance(wait, RunEnd):
        run_id = check_id(wait.run_id, f"{field}: run_id")
        return _Part(label, Wait(kind="run", run_id=run_id), of)
    raise InvalidInput(
        f"{field}: must be a description of a wait, as waits.Sleep(…) or waits.Message(…) of "
        f"`from stepwell import waits`, got {shown(wait)}"
    )


def _asked(part: _Part, step_id: str, request: Request) -> _Part:
    """The wait as the store is asked for it; what it takes is known by the operation."""
    operation = f"{request.id}.{part.label}"
    wait = replace(part.wait, operation=operation)
    if wait.kind == "approval":
        wait = replace(wait, topic=approval_topic(step_id, operation))
    return replace(part, wait=wait)


def _times(parts: Sequence[_Part], limit: int | None, now: int, *, is_any: bool) -> Several:
    """The times of waits that begin now."""
    ends = [
        (part.moment if part.span is None else now + part.span, place)
        for place, part in enumerate(parts)
    ]
    sleeps = [(end, place) for end, place in ends if end is not None]
    first = min(sleeps, default=(None, None))
    last = max(sleeps, default=(None, None))
    sleep, place = first if is_any else last
    return Several((), sleep, None if limit is None else now + limit, place)


def _first(found: Sequence[Arrival | None], times: Several, now: int) -> dict[int, Arrival] | None:
    """What came first, and its place; of those that came together the one that stands first."""
    come = [(one.at, place, one) for place, one in enumerate(found) if one is not None]
    for _, place, one in come:
        if one.taken:  # by an execution that died before it could record that
            return {place: one}
    sleep, limit = times.sleep, times.limit
    is_in_time = sleep is not None and (limit is None or sleep <= limit)
    if sleep is not None and times.place is not None and is_in_time and sleep <= now:
        come.append((sleep, times.place, Arrival(sleep, "null")))
    if not come:
        return None
    _, place, one = min(come, key=lambda each: each[:2])
    return {place: one}


def _every(
    parts: Sequence[_Part], found: Sequence[Arrival | None], times: Several
) -> dict[int, Arrival] | None:
    """What came for each, by place; None while something is missing."""
    every = {}
    for place, (part, one) in enumerate(zip(parts, found, strict=True)):
        if part.wait.kind == "sleep" and times.slept:
            every[place] = Arrival(0, "null")
        elif one is not None:
            every[place] = one
        else:
            return None
    return every


def _suspended(request: Request, waits: Sequence[Wait], times: Several) -> Wait:
    """What the step waits for; of its sleeps only the one that counts has a time."""
    sleep = None if times.slept else times.sleep
    told = [
        replace(wait, until=sleep) if place == times.place else wait
        for place, wait in enumerate(waits)
    ]
    until = min((time for time in (sleep, times.limit) if time is not None), default=None)
    several = replace(times, waits=tuple(told), sleep=sleep)
    return Wait(until=until, kind=request.kind, operation=request.id, several=several)


def _given(part: _Part, value: Any) -> Any:
    """A recorded value as its type says now."""
    if part.wait.kind == "sleep":
        return None
    if part.wait.kind != "run":
        return typed(value, part.of, f"{part.wait.kind} {part.label!r}")
    result, error = value["result"], value["error"]
    status = RunStatus(value["status"])
    if status is RunStatus.SUCCEEDED:
        result = typed(result, part.of, f"result of run {value['run_id']!r}")
    return Ended(value["run_id"], status, result, None if error is None else Failure(**error))
