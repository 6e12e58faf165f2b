"""The parent, as a child process sees it: a way to its store, with one call per question."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

from stepwell.engine.checkpoints.checkpoint import Checkpoint, CheckpointUpdate
from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import StepwellError
from stepwell.engine.exchange import Arrival, ClaimedStep, NewMessage, NewRun, Wait
from stepwell.engine.key_values import KeyValueStore
from stepwell.engine.model import ArtifactRef, KeyValue, Message, Operator, StepResult, ValueEntry
from stepwell.engine.payloads.payload import encode
from stepwell.engine.services import DurableServices
from stepwell.executors.pools.process.channel import PatientEnd
from stepwell.executors.pools.process.snapshot import LeftBehind
from stepwell.executors.pools.process.wire import pack, restore, unpack_error


class Parent:
    """The store, as a child sees it: each question is a call to the parent."""

    def __init__(self, channel: PatientEnd, lock: threading.Lock) -> None:
        self._channel = channel
        self._lock = lock
        self._pid = os.getpid()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, SimpleQueue[dict[str, Any]]] = {}

    def call(self, what: str, **arguments: Any) -> Any:
        """Ask, and wait for the answer. Raises what the parent raised."""
        if os.getpid() != self._pid:
            raise StepwellError("step: a fork of the process that runs it cannot ask about it")
        number, box = next(self._numbers), SimpleQueue[dict[str, Any]]()
        self._waiting[number] = box
        frame = pack({"type": "call", "call": number, "what": what, **arguments})
        with self._lock:
            self._channel.send(frame)
        reply = box.get()
        if "error" in reply:
            raise unpack_error(reply)
        return reply["value"]

    def answered(self, reply: dict[str, Any]) -> None:
        """Pass a reply to the thread that waits for it."""
        self._waiting.pop(reply["call"]).put(reply)

    # The parent knows which step this is about.

    def dependency_values(self, step: ClaimedStep) -> list[tuple[str, str, str, str | None]]:  # noqa: ARG002
        rows = self.call("dependency_values")
        return [(step_id, kind, status, text) for step_id, kind, status, text in rows]

    def dependency_result(self, step: ClaimedStep, step_id: str) -> StepResult:  # noqa: ARG002
        result: StepResult = restore(StepResult, self.call("dependency_result", step_id=step_id))
        return result

    def run_status(self, run_id: str) -> str | None:
        status: str | None = self.call("run_status", run_id=run_id)
        return status

    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        ref, body = self.call("artifact", artifact_id=artifact_id)
        return restore(ArtifactRef, ref), None if body is None else b64decode(body)

    def build_run(self, package: str, input: Any, entrypoint: str | None, run_id: str) -> NewRun:
        """A run to start, built by the parent's packages."""
        text = encode(input, "run.input")
        run: NewRun = restore(
            NewRun,
            self.call(
                "build_run", package=package, input=text, entrypoint=entrypoint, run_id=run_id
            ),
        )
        return run

    def artifacts(self, handed_over: Any) -> Any:
        """The artifact store of a child: its own, or the parent's if that cannot be sent to it."""
        left = isinstance(handed_over, LeftBehind)
        return ParentArtifacts(self, handed_over) if left else handed_over

    # --- durable operations -----------------------------------------------------------------

    def durable(self, limit: int) -> DurableServices:
        """What durable operations use: all of it from the parent, except the clock."""
        return DurableServices(
            checkpointer=lambda step: ParentCheckpoints(self),  # noqa: ARG005
            messages=self,
            values=self,
            kv=KeyValueStore(self, limit),
            clock=SystemClock(),
            now=self.now,
        )

    def now(self) -> int:
        return int(self.call("now"))

    def receive(self, step: ClaimedStep, topic: str, operation: str) -> str | None:  # noqa: ARG002
        text: str | None = self.call("receive", topic=topic, operation=operation)
        return text

    def given(self, step: ClaimedStep, operation: str) -> int | None:  # noqa: ARG002
        message: int | None = self.call("given", operation=operation)
        return message

    def refuse(self, step: ClaimedStep, operation: str, message: int) -> None:  # noqa: ARG002
        self.call("refuse", operation=operation, message=message)

    def arrivals(self, step: ClaimedStep, waits: Sequence[Wait]) -> list[Arrival | None]:  # noqa: ARG002
        found: list[Arrival | None] = restore(
            list[Arrival | None], self.call("arrivals", waits=waits)
        )
        return found

    def take(self, step: ClaimedStep, messages: Sequence[tuple[int, str]]) -> bool:  # noqa: ARG002
        return bool(self.call("take", messages=messages))

    def set_value(
        self,
        step: ClaimedStep,  # noqa: ARG002
        key: str,
        value: str,
        operation: str,
    ) -> tuple[str, str]:
        key, value = self.call("set_value", key=key, value=value, operation=operation)
        return key, value

    def values(self, run_id: str, key: str, last: int | None = None) -> list[ValueEntry]:
        found: list[ValueEntry] = restore(
            list[ValueEntry], self.call("values", run_id=run_id, key=key, last=last)
        )
        return found

    def last_values(self, run_id: str) -> list[ValueEntry]:
        raise NotImplementedError

    def kv_get(self, key: str) -> KeyValue | None:
        found: KeyValue | None = restore(KeyValue | None, self.call("kv_get", key=key))
        return found

    def kv_set(
        self, key: str, value: str, *, expires_in: int | None = None, version: int | None = None
    ) -> int | None:
        stored: int | None = self.call(
            "kv_set", key=key, value=value, expires_in=expires_in, version=version
        )
        return stored

    def kv_delete(self, key: str, *, version: int | None = None) -> bool:
        return bool(self.call("kv_delete", key=key, version=version))

    def kv_list(self, prefix: str = "", after: str = "", limit: int = 1_000) -> list[KeyValue]:
        found: list[KeyValue] = restore(
            list[KeyValue], self.call("kv_list", prefix=prefix, after=after, limit=limit)
        )
        return found

    # A step sends messages with its commit; it never reads mailboxes or makes decisions.

    def send(self, message: NewMessage, sender: str | None = None) -> bool:
        raise NotImplementedError

    def messages(self, run_id: str, topic: str | None = None) -> list[Message]:
        raise NotImplementedError

    def decide(self, run_id: str, step_id: str | None, approved: bool, by: Operator) -> str:
        raise NotImplementedError


class ParentArtifacts:
    """Artifacts that only the parent has, in its memory: they can only be read."""

    def __init__(self, parent: Parent, left: LeftBehind) -> None:
        self._parent = parent
        self._left = left

    def open(self, sha256: str) -> BinaryIO:
        """A copy of the bytes in a file without a name; they are never completely in memory."""
        file, path = tempfile.mkstemp(prefix="stepwell-")
        try:
            self._parent.call("artifact.copy", sha256=sha256, path=path)
        except BaseException:
            os.close(file)
            raise
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)
        return os.fdopen(file, "rb")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._left, name)


class ParentCheckpoints:
    """The parent's checkpointer of the running step; the parent records in the best way it can."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent

    def load_checkpoint(self, execution_id: str) -> Checkpoint:
        found: Checkpoint = restore(
            Checkpoint, self._parent.call("checkpoint.load", execution_id=execution_id)
        )
        return found

    def record(self, update: CheckpointUpdate) -> bool:
        head, operations = update.head, update.operations
        return bool(self._parent.call("checkpoint.record", head=head, operations=operations))

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        raise NotImplementedError

    def delete_checkpoint(self, execution_id: str) -> None:
        raise NotImplementedError
