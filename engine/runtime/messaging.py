"""Messages to runs, and values from them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from stepwell.engine.duration_checks import patience
from stepwell.engine.durations import Duration
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.exchange import NewMessage
from stepwell.engine.ids import check_id
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import RunStore
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.wait_rules import check_message_key, check_topic

# How often a wait for a value asks the store, in seconds.
LOOK = 0.02


class Messaging:
    """`limit` is the size of the largest payload, in bytes. `Runtime` documents each method."""

    def __init__(
        self,
        store: RunStore,
        workers: LocalWorkers,
        monotonic: Callable[[], float],
        limit: int,
    ) -> None:
        self._store = store
        self._workers = workers
        self._monotonic = monotonic
        self._limit = limit

    def send(self, run_id: str, topic: str, payload: Any, key: str | None) -> bool:
        check_id(run_id, "run_id")
        check_topic(topic)
        if key is not None:
            check_message_key(key)
        text = encode(payload, "payload", self._limit)
        sent = self._store.send(NewMessage(run_id, topic, text, key))
        self._workers.acted(int(sent))
        return sent

    def wait_for_value(self, run_id: str, key: str, timeout: Duration | None) -> Any:
        timeout = patience(timeout)
        begun = self._monotonic()
        pause = threading.Event()
        while not (found := self._store.values(run_id, key, 1)):
            waited = self._monotonic() - begun
            if timeout is not None and waited >= timeout:
                raise WaitTimeout(f"run {run_id!r} set no value for {key!r} within {timeout:g} s")
            pause.wait(LOOK if timeout is None else min(LOOK, timeout - waited))
        return found[-1].value
