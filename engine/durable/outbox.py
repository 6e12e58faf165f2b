"""The messages that a step sends, in order, without those that earlier executions have sent."""

from __future__ import annotations

import hashlib
import json
import threading

from stepwell.engine.exchange import NewMessage
from stepwell.engine.wait_rules import MAX_MESSAGE_KEY, RESERVED


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

    def __init__(self, mark: str | None = None) -> None:
        self._before = mark
        self._known = int(mark.partition(":")[0]) if mark else 0
        self._lock = threading.Lock()
        self._number = 0
        self._digest = hashlib.sha256()
        self._fresh: list[NewMessage] = []

    @property
    def fresh(self) -> tuple[NewMessage, ...]:
        """The messages to be committed."""
        return tuple(self._fresh)

    @property
    def replays(self) -> bool:
        """Whether the next message is expected to be a repetition."""
        return self._number < self._known

    @property
    def mark(self) -> str | None:
        """The mark to store when `fresh` is committed; None if nothing was ever sent."""
        if self._number < self._known:
            return self._before
        return self._mark() if self._number else None

    def add(self, message: NewMessage) -> None:
        """Add a message. Its run and key identify it."""
        with self._lock:
            self._fresh.append(message)
            self._number += 1
            self._digest.update(f"{message.run_id}\0{message.key}\n".encode())
            if self._number == self._known and self._mark() == self._before:
                self._fresh.clear()

    def _mark(self) -> str:
        return f"{self._number}:{self._digest.hexdigest()[:32]}"
