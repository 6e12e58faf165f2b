"""Combined waits: any of several, or all of them, in one suspension.

Which one was first depends on when each came, not on when the step runs again; it is recorded.
Messages that are not part of the answer are not taken: the next `receive` gets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import stepwell.engine as engine
from stepwell.engine.checkpoints.checkpoint import Operation
from stepwell.engine.durable.operation_errors import to_value
from stepwell.engine.durable.replay import Request
from stepwell.engine.durable.waits import MESSAGE_REFUSED, Waits, misfit, timed_out
from stepwell.engine.durations import Duration
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.exchange import Arrival
from stepwell.engine.payloads.payload import decode
from stepwell.engine.wait_rules import check_wait

if TYPE_CHECKING:
    from stepwell.engine.durable.described_waits import Part
    from stepwell.engine.durable.descriptions import Answer, Description

T = TypeVar("T")


class CombinedWaits:
    """The waits of one execution for any of several things, or for all of them."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._journal = waits.journal
        self._claimed = waits.journal.claimed

    def any(
        self,
        waits: Sequence[Description[T]],
        named: Mapping[str, Description[T]],
        timeout: Duration | None,
    ) -> Answer[T]:
        """See `StepContext.wait_any`."""
        parts, ended = self._several("any", waits, named, timeout)
        place = ended.value["index"]
        value = ended.value["value"]
        answer: Answer[T] = engine.described_waits.answer(
            parts[place], value, place, is_named=bool(named)
        )
        return answer

    def all(
        self,
        waits: Sequence[Description[Any]],
        named: Mapping[str, Description[Any]],
        timeout: Duration | None,
    ) -> Any:
        """See `StepContext.wait_all`."""
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
        timeout: Duration | None,
    ) -> tuple[list[Part], Operation]:
        """The waits, and the record of their end. Raises the errors that a replay raises."""
        call = f"step.wait_{mode}"
        limit = None if timeout is None else check_wait(timeout, f"{call}.timeout")
        parts = engine.described_waits.described(call, waits, named, self._claimed.run.id)
        identities = [part.identity for part in parts]
        journal, request = self._journal, self._waits.request(f"wait_{mode}", mode, (identities,))
        parts = [engine.described_waits.asked(part, self._claimed.id, request) for part in parts]
        ended = journal.recorded(request)
        journal.heed()
        if ended is None:
            ended = self._await(request, parts, limit)
        if ended.error is None:
            return parts, ended
        if ended.error.code == MESSAGE_REFUSED:
            raise self._waits.refused(request, ended)
        what = "none of its waits was over" if mode == "any" else "not all of its waits were over"
        raise timed_out(journal, ended, f"{request.label}: {what}")

    def _await(self, request: Request, parts: Sequence[Part], limit: int | None) -> Operation:
        """The record of waits that are over or timed out. Raises Suspend, and Permanent."""
        journal, waits = self._journal, [part.wait for part in parts]
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
            if chosen is not None and self._take(request, parts, chosen):
                values = {place: decode(one.value) for place, one in chosen.items()}
                answers = [{"index": place, "value": value} for place, value in values.items()]
                value = answers[0] if is_any else list(values.values())
                return self._waits.settle(request, decision=True, value=value)
            if chosen is not None:  # another operation took a message meanwhile
                continue
            if times.limit is not None and times.limit <= now:
                error = to_value(WaitTimeout(f"{request.label}: the time is up"))
                return self._waits.settle(request, decision=True, error=error)
            journal.suspend(engine.described_waits.suspended(request, waits, times))

    def _take(self, request: Request, parts: Sequence[Part], chosen: Mapping[int, Arrival]) -> bool:
        """Take the messages of an answer, all or none; False if one has been taken meanwhile.

        Raises Permanent for one that does not fit its type: only that one is taken, and refused.
        """
        ask, take = self._journal.ask, self._journal.services.messages.take
        wanted = []
        for place, one in chosen.items():
            part = parts[place]
            operation, topic = part.wait.operation, part.wait.topic
            if one.message is None or operation is None or topic is None:
                continue
            why = None if part.of is None else misfit(one.value, part.of)
            if why is not None:
                if not ask(take, self._claimed, [(one.message, operation)]):
                    return False
                raise self._waits.refuse(request, topic, why, operation)
            wanted.append((one.message, operation))
        return not wanted or ask(take, self._claimed, wanted)
