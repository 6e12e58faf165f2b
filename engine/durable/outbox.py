"""What a step sends, in order, without what its earlier executions have sent already."""

from __future__ import annotations

import hashlib
import json
import threading

from stepwell.engine.exchange import NewMessage
from stepwell.engine.wait_rules import MAX_MESSAGE_KEY, RESERVED


def sent_key(execution_id: str, topic: str, number: int) -> str:
    """The key of an execution's message without one: another for each, and none of a user's."""
    text = json.dumps([execution_id, topic, number], ensure_ascii=False, separators=(",", ":"))
    key = f"{RESERVED}sent:{text}"
    if len(key.encode()) <= MAX_MESSAGE_KEY:
        return key
    return f"{RESERVED}sent:{hashlib.sha256(text.encode()).hexdigest()}"


class Outbox:
    """The messages of one execution, to be committed with its end or its suspension.

    A settled suspension leaves a mark: how many messages the execution sent until then, and a
    digest of which. When the next execution has sent as many, and the same, all of them are known
    to be committed, and are not sent again. If they are others, all are kept: the store drops the
    known ones by their keys. So nothing is lost, and a replay is not looked up again.
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
        """What is to be committed."""
        return tuple(self._fresh)

    @property
    def replays(self) -> bool:
        """Whether the next message is to be expected to be a repetition."""
        return self._number < self._known

    @property
    def mark(self) -> str | None:
        """The mark to leave once `fresh` is committed; None when nothing ever was sent."""
        if self._number < self._known:
            return self._before
        return self._mark() if self._number else None

    def add(self, message: NewMessage) -> None:
        """Keep a message. Its run and key say which it is."""
        with self._lock:
            self._fresh.append(message)
            self._number += 1
            self._digest.update(f"{message.run_id}\0{message.key}\n".encode())
            if self._number == self._known and self._mark() == self._before:
                self._fresh.clear()

    def _mark(self) -> str:
        return f"{self._number}:{self._digest.hexdigest()[:32]}"
