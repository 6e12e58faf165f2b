"""Talking to runs from outside: messages, values, key-values and checkpoints."""

from __future__ import annotations

import threading
from typing import Any

from stepwell.engine.checkpoints.capabilities import load
from stepwell.engine.checkpoints.checkpoint import Checkpoint, Checkpointer
from stepwell.engine.clock import Clock
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.exchange import NewMessage
from stepwell.engine.ids import check_id, execution_id
from stepwell.engine.key_values import KeyValueStore
from stepwell.engine.model import Message, ValueEntry
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import RunStore
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.settings import Settings
from stepwell.engine.wait_rules import check_message_key, check_topic

# How often a wait for a value looks, in seconds.
LOOK = 0.02


class Messaging:
    """The talking part of a runtime.

    `checkpoints` None means those in the store. `kv` is the key-value store of all runs.
    """

    def __init__(
        self,
        store: RunStore,
        checkpoints: Checkpointer | None,
        settings: Settings,
        clock: Clock,
        workers: LocalWorkers,
    ) -> None:
        self.settings = settings
        self.kv = KeyValueStore(store, settings.payload_limit)
        self._store = store
        self._checkpoints = checkpoints
        self._clock = clock
        self._workers = workers

    def send(self, run_id: str, topic: str, payload: Any, *, key: str | None = None) -> bool:
        """Send a message to a run; durable on return. False if one with its `key` was sent before.

        Steps that wait on the topic go on. Raises NotFound without the run, RefusedByState when
        it has ended, InvalidInput for a topic or payload that cannot be.
        """
        check_id(run_id, "run_id")
        check_topic(topic)
        if key is not None:
            check_message_key(key)
        text = encode(payload, "payload", self.settings.payload_limit)
        sent = self._store.send(NewMessage(run_id, topic, text, key))
        self._workers.acted(int(sent))
        return sent

    def messages(self, run_id: str, topic: str | None = None) -> list[Message]:
        """A run's messages in the order they were sent, with who took each. Raises NotFound."""
        return self._store.messages(run_id, topic)

    def get_value(self, run_id: str, key: str, default: Any = None) -> Any:
        """The value a run has set for `key` last, or `default`. Raises NotFound without the run."""
        found = self._store.values(run_id, key, 1)
        return found[-1].value if found else default

    def wait_for_value(self, run_id: str, key: str, timeout: float | None = None) -> Any:
        """The value a run has set for `key`; waits for the first one.

        Raises WaitTimeout after `timeout` seconds (None: never), NotFound without the run.
        """
        monotonic = self._clock.monotonic
        begun = monotonic()
        pause = threading.Event()
        while not (found := self._store.values(run_id, key, 1)):
            waited = monotonic() - begun
            if timeout is not None and waited >= timeout:
                raise WaitTimeout(f"run {run_id!r} set no value for {key!r} within {timeout:g} s")
            pause.wait(LOOK if timeout is None else min(LOOK, timeout - waited))
        return found[-1].value

    def value_history(self, run_id: str, key: str) -> list[ValueEntry]:
        """All values a run has set for `key`, oldest first. Raises NotFound without the run."""
        return self._store.values(run_id, key)

    def last_values(self, run_id: str) -> list[ValueEntry]:
        """The last value of each key a run has set, by key. Raises NotFound without the run."""
        return self._store.last_values(run_id)

    def checkpoint(self, run_id: str, step_id: str) -> Checkpoint:
        """What a step has recorded so far. Raises NotFound without the step, or any record."""
        self._store.step(run_id, step_id)
        return load(self.checkpointer, execution_id(run_id, step_id))

    @property
    def checkpointer(self) -> Checkpointer:
        """Where steps are recorded; an execution's id is `<run id>/<step id>`."""
        return self._store.checkpointer() if self._checkpoints is None else self._checkpoints
