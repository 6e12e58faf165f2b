"""Described waits: their validation and their results. Loaded on first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stepwell.engine.durable.descriptions import (
    Answer,
    Approval,
    Ended,
    Message,
    RunEnd,
    Sleep,
    Value,
)
from stepwell.engine.durable.replay import Request
from stepwell.engine.durable.waits import APPROVED, typed
from stepwell.engine.errors import InvalidInput, shown
from stepwell.engine.exchange import Arrival, Several, Wait
from stepwell.engine.ids import check_id
from stepwell.engine.model import Failure
from stepwell.engine.payloads.types import PayloadType, payload_type
from stepwell.engine.states import RunStatus
from stepwell.engine.wait_rules import approval_topic, check_moment, check_topic, check_wait

# How many waits may be combined in one.
MOST_WAITS = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One of the waits: its name for the author, and what it waits for.

    For a sleep, `span` is its length (µs), or `moment` its end (epoch µs).
    """

    label: str
    wait: Wait
    of: PayloadType | None = None
    span: int | None = None
    moment: int | None = None

    @property
    def identity(self) -> list[Any]:
        """What must be the same on replay."""
        wait = self.wait
        return [self.label, wait.kind, wait.topic, wait.value, wait.run_id]


def described(
    call: str, waits: Sequence[object], named: Mapping[str, object], own_run: str
) -> list[Part]:
    """The waits of a call, validated. Raises InvalidInput, naming the wait."""
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


def _part(field: str, label: str, wait: object) -> Part:
    check_id(label, f"{field}: name")
    if isinstance(wait, Sleep):
        if (wait.seconds is None) == (wait.until is None):
            raise InvalidInput(f"{field}: needs either seconds or until=")
        if wait.until is not None:
            return Part(label, Wait(kind="sleep"), moment=check_moment(wait.until, field))
        return Part(label, Wait(kind="sleep"), span=check_wait(wait.seconds, field))
    if isinstance(wait, Approval):
        return Part(label, Wait(kind="approval"), APPROVED)
    of = None
    if isinstance(wait, (Message, Value, RunEnd)) and wait.type is not None:
        of = payload_type(wait.type)
    if isinstance(wait, Message):
        topic = check_topic(wait.topic, f"{field}: topic")
        return Part(label, Wait(kind="message", topic=topic), of)
    if isinstance(wait, Value):
        value = check_id(wait.run_id, f"{field}: run_id"), check_id(wait.key, f"{field}: key")
        return Part(label, Wait(kind="value", value=value), of)
    if isinstance(wait, RunEnd):
        run_id = check_id(wait.run_id, f"{field}: run_id")
        return Part(label, Wait(kind="run", run_id=run_id), of)
    raise InvalidInput(
        f"{field}: must be a description of a wait, as waits.Sleep(…) or waits.Message(…) of "
        f"`from stepwell import waits`, got {shown(wait)}"
    )


def asked(part: Part, step_id: str, request: Request) -> Part:
    """The wait with the operation under which the store will find it and assign messages to it."""
    operation = f"{request.id}.{part.label}"
    wait = replace(part.wait, operation=operation)
    if wait.kind == "approval":
        wait = replace(wait, topic=approval_topic(step_id, operation))
    return replace(part, wait=wait)


def times_of(parts: Sequence[Part], limit: int | None, now: int, *, is_any: bool) -> Several:
    """The times of waits that begin at `now`."""
    ends = [
        (part.moment if part.span is None else now + part.span, place)
        for place, part in enumerate(parts)
    ]
    sleeps = [(end, place) for end, place in ends if end is not None]
    first = min(sleeps, default=(None, None))
    last = max(sleeps, default=(None, None))
    sleep, place = first if is_any else last
    return Several((), sleep, None if limit is None else now + limit, place)


def first(found: Sequence[Arrival | None], times: Several, now: int) -> dict[int, Arrival] | None:
    """What came first, by its place; if several came at the same time, the one listed first."""
    come = [(one.at, place, one) for place, one in enumerate(found) if one is not None]
    for _, place, one in come:
        if one.taken:  # by an execution that died before it recorded the answer
            return {place: one}
    sleep, limit = times.sleep, times.limit
    is_in_time = sleep is not None and (limit is None or sleep <= limit)
    if sleep is not None and times.place is not None and is_in_time and sleep <= now:
        come.append((sleep, times.place, Arrival(sleep, "null")))
    if not come:
        return None
    _, place, one = min(come, key=lambda each: each[:2])
    return {place: one}


def every(
    parts: Sequence[Part], found: Sequence[Arrival | None], times: Several
) -> dict[int, Arrival] | None:
    """What came for each wait, by place; None while one is missing."""
    every = {}
    for place, (part, one) in enumerate(zip(parts, found, strict=True)):
        if part.wait.kind == "sleep" and times.slept:
            every[place] = Arrival(0, "null")
        elif one is not None:
            every[place] = one
        else:
            return None
    return every


def suspended(request: Request, waits: Sequence[Wait], times: Several) -> Wait:
    """The wait that suspends the step; of its sleeps, only the deciding one has a time."""
    sleep = None if times.slept else times.sleep
    told = [
        replace(wait, until=sleep) if place == times.place else wait
        for place, wait in enumerate(waits)
    ]
    until = min((time for time in (sleep, times.limit) if time is not None), default=None)
    several = replace(times, waits=tuple(told), sleep=sleep)
    return Wait(until=until, kind=request.kind, operation=request.id, several=several)


def given(part: Part, value: Any) -> Any:
    """A recorded value, read with its present type."""
    if part.wait.kind == "sleep":
        return None
    if part.wait.kind != "run":
        return typed(value, part.of, f"{part.wait.kind} {part.label!r}")
    result, error = value["result"], value["error"]
    status = RunStatus(value["status"])
    if status is RunStatus.SUCCEEDED:
        result = typed(result, part.of, f"result of run {value['run_id']!r}")
    return Ended(value["run_id"], status, result, None if error is None else Failure(**error))


def answer(part: Part, value: Any, place: int, *, is_named: bool) -> Answer[Any]:
    """The answer of a wait for any of several."""
    return Answer(given(part, value), place, part.label if is_named else None)
