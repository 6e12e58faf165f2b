"""The messages that a step sends, in order, without those that earlier executions have sent."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

from stepwell.engine.errors import NotFound
from stepwell.engine.exchange import ClaimedStep, NewMessage
from stepwell.engine.ids import check_id, execution_id
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.services import Services
from stepwell.engine.wait_rules import MAX_MESSAGE_KEY, RESERVED, check_message_key, check_topic


def sent_before(claimed: ClaimedStep) -> str | None:
    """The mark that the last suspension of this step left, if any; see `Outbox`."""
    mark: str | None = decode(claimed.wait).get("sent") if claimed.wait else None
    return mark


def sent_key(execution_id: str, topic: str, number: int) -> str:
    """A key for a message without one: different for each message, and never a user's key."""
    text = json.dumps([execution_id, topic, number], ensure_ascii=False, separators=(",", ":"))
    key = f"{RESERVED}sent:{text}"
    if len(key.encode()) <= MAX_MESSAGE_KEY:
        return key
    return f"{RESERVED}sent:{hashlib.sha256(text.encode()).hexdigest()}"


class Outbox:
    """The messages of one execution, to be committed with its end or its suspension.

    A settled suspension leaves a mark: the number of messages sent so far, and a digest of them.
    If the next execution sends the same messages first, they are known to be committed, and are
    not sent again. If they differ, all are sent, and the store drops known ones by their keys. So
    no message is lost, and a replay costs the store nothing.
    """

    def __init__(self, claimed: ClaimedStep, services: Services) -> None:
        self._claimed = claimed
        self._services = services
        self._before = mark = sent_before(claimed)
        self._known = int(mark.partition(":")[0]) if mark else 0
        self._lock = threading.Lock()
        self._number = 0
        self._digest = hashlib.sha256()
        self._fresh: list[NewMessage] = []
        self._without_key: dict[tuple[str, str], int] = {}

    @property
    def fresh(self) -> tuple[NewMessage, ...]:
        """The messages to be committed."""
        return tuple(self._fresh)

    @property
    def mark(self) -> str | None:
        """The mark to store when `fresh` is committed; None if nothing was ever sent."""
        if self._number < self._known:
            return self._before
        return self._mark() if self._number else None

    def send(self, run_id: str, topic: str, payload: Any, key: str | None) -> None:
        """See `StepContext.send`."""
        check_id(run_id, "step.send: run_id")
        # The run of a message that was sent before existed then.
        is_known = self._number < self._known or run_id == self._claimed.run.id
        if not is_known and self._services.reads.run_status(run_id) is None:
            raise NotFound(f"step.send: there is no run {run_id!r}")
        check_topic(topic, "step.send: topic")
        text = encode(
            payload, f"step.send({topic!r}): payload", self._services.settings.payload_limit
        )
        if key is not None:
            check_message_key(key, "step.send: key")
        with self._lock:
            self._add(NewMessage(run_id, topic, text, key or self._own_key(run_id, topic)))

    def _own_key(self, run_id: str, topic: str) -> str:
        """A key for a message that was given none; the same on replay."""
        place = run_id, topic
        number = self._without_key[place] = self._without_key.get(place, 0) + 1
        own = execution_id(self._claimed.run.id, self._claimed.id)
        return sent_key(own, topic, number)

    def _add(self, message: NewMessage) -> None:
        """Add a message. Its run and key identify it."""
        self._fresh.append(message)
        self._number += 1
        self._digest.update(f"{message.run_id}\0{message.key}\n".encode())
        if self._number == self._known and self._mark() == self._before:
            self._fresh.clear()

    def _mark(self) -> str:
        return f"{self._number}:{self._digest.hexdigest()[:32]}"
