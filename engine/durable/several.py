"""Combined waits: any of several, or all of them, in one suspension.

The first one is determined by when each came, not by when the step runs again, and is recorded.
Messages that are not part of the answer are not taken: the next `receive` gets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import stepwell.engine as engine
from stepwell.engine.checkpoints.checkpoint import Operation
from stepwell.engine.durable.journal import Journal
from stepwell.engine.durable.operation_errors import to_value
from stepwell.engine.durable.replay import Request
from stepwell.engine.durable.waits import (
    MESSAGE_REFUSED,
    DurableWaits,
    misfit,
    timed_out,
)
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.exchange import Arrival
from stepwell.engine.payloads.payload import decode
from stepwell.engine.wait_rules import check_wait

if TYPE_CHECKING:
    from stepwell.engine.durable.described_waits import Part
    from stepwell.engine.durable.descriptions import Answer, Description

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
T = TypeVar("T")


class DurableSeveral(DurableWaits):
    """Any of several waits, and all of them."""

    def wait_any(
        self,
        *waits: Description[T],
        timeout: float | timedelta | None = None,
        **named: Description[T],
    ) -> Answer[T]:
        """Wait for the first of several waits, in one suspension; returns which, and its value.

        The one that came first counts, whenever the step runs again. Another message stays for the
        next `receive`. Raises WaitTimeout if none came within `timeout` (seconds, a timedelta).
        """
        parts, ended = self._several("any", waits, named, timeout)
        place = ended.value["index"]
        value = ended.value["value"]
        answer: Answer[T] = engine.described_waits.answer(
            parts[place], value, place, is_named=bool(named)
        )
        return answer

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

        Takes nothing before all have come. Raises WaitTimeout if one did not come within
        `timeout` (seconds, a timedelta); messages that did come stay.
        """
        parts, ended = self._several("all", waits, named, timeout)
        values = tuple(
            engine.described_waits.given(part, value)
            for part, value in zip(parts, ended.value, strict=True)
        )
        if not named:
            return values
        return {part.label: value for part, value in zip(parts, values, strict=True)}

    def _several(
        self,
        mode: Literal["any", "all"],
        waits: Sequence[object],
        named: Mapping[str, object],
        timeout: float | timedelta | None,
    ) -> tuple[list[Part], Operation]:
        """The waits, and the record of their end. Raises the errors that a replay raises."""
        call = f"step.wait_{mode}"
        limit = None if timeout is None else check_wait(timeout, f"{call}.timeout")
        parts = engine.described_waits.described(call, waits, named, self._claimed.run.id)
        identities = [part.identity for part in parts]
        request, journal = self._waiting(f"wait_{mode}", mode, (identities,))
        parts = [engine.described_waits.asked(part, self._claimed.id, request) for part in parts]
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
        self, journal: Journal, request: Request, parts: Sequence[Part], limit: int | None
    ) -> Operation:
        """The record of waits that are over or timed out. Raises Suspend, and Permanent."""
        waits = [part.wait for part in parts]
        messages = journal.services.messages
        is_any, times = request.kind == "any", None
        while True:
            found = journal.ask(messages.arrivals, self._claimed, waits)
            now = max(self._claimed.started_at, journal.ask(journal.services.now))
            if times is None:
                times = journal.times(
                    request, engine.described_waits.times_of(parts, limit, now, is_any=is_any)
                )
            is_over = times.sleep is not None and times.sleep <= now
            times = replace(times, slept=not is_any and (times.slept or is_over))
            chosen = (
                engine.described_waits.first(found, times, now)
                if is_any
                else engine.described_waits.every(parts, found, times)
            )
            if chosen is not None and self._take(journal, request, parts, chosen):
                values = {place: decode(one.value) for place, one in chosen.items()}
                answers = [{"index": place, "value": value} for place, value in values.items()]
                value = answers[0] if is_any else list(values.values())
                return self._settle(journal, request, decision=True, value=value)
            if chosen is not None:  # another operation took a message meanwhile
                continue
            if times.limit is not None and times.limit <= now:
                error = to_value(WaitTimeout(f"{request.label}: the time is up"))
                return self._settle(journal, request, decision=True, error=error)
            journal.suspend(engine.described_waits.suspended(request, waits, times))

    def _take(
        self,
        journal: Journal,
        request: Request,
        parts: Sequence[Part],
        chosen: Mapping[int, Arrival],
    ) -> bool:
        """Take the messages of an answer, all or none; False if one has been taken meanwhile.

        Raises Permanent for one that does not fit its type: only that one is taken, and refused.
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
