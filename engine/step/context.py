"""The step as its executor sees it: what it is, what it depends on, and what it makes.

All public methods are here, with what they promise. What they do is in the parts that `internals`
holds.

Results, records, artifacts, emitted steps and messages are kept until the body returns; then they
are committed together with the step's end, or not at all. Projections commit by themselves, with
`once()` at most once per step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, Unpack, overload

from stepwell.engine.clock import to_datetime
from stepwell.engine.durable.waits import MISSING
from stepwell.engine.durations import Duration
from stepwell.engine.errors import NotFound, nearest
from stepwell.engine.exchange import ClaimedStep, RunInfo
from stepwell.engine.graph.builder import Typed
from stepwell.engine.graph.graph import StepOptions
from stepwell.engine.ids import execution_id
from stepwell.engine.key_values import KeyValueStore
from stepwell.engine.model import Approval, ArtifactRef, Lease, Step, StepHandle, StepResult
from stepwell.engine.payloads.payload import decode
from stepwell.engine.payloads.types import PayloadType, payload_type
from stepwell.engine.ports import Executor
from stepwell.engine.retry import Retry
from stepwell.engine.services import Services
from stepwell.engine.signature import signature_of
from stepwell.engine.states import StepStatus
from stepwell.engine.step.artifact_reads import open_artifact
from stepwell.engine.step.effects import ArtifactLabel
from stepwell.engine.step.internals import StepInternals
from stepwell.engine.step.step_views import StepLogger, StepProjection, step_logger

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

    from stepwell.engine.durable.descriptions import Answer, Description

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
T = TypeVar("T")

# If the results of the dependencies have more characters than this, they are not kept for the
# next call.
KEPT_TEXT = 1 << 20


class StepContext:
    """One execution of one step.

    `run` and `step` are as they were when the step was claimed; `now` is when that was, by the
    store's clock; `attempt` counts from 1. Use it only in the body, until the body returns.
    """

    _dependencies: dict[str, tuple[str, str, str | None]] | None = None
    _logger: StepLogger | None = None

    def __init__(self, claimed: ClaimedStep, worker_id: str, services: Services) -> None:
        # No part of the public API.
        self.internals = StepInternals(claimed, worker_id, services)

    # --- what it is -----------------------------------------------------------------------

    @property
    def run(self) -> RunInfo:
        """The run: id, package, entrypoint, name, metadata, tags."""
        return self.internals.claimed.run

    @property
    def step(self) -> Step:
        """The step as it was claimed."""
        claimed = self.internals.claimed
        micros = timedelta(microseconds=1)
        return Step(
            id=claimed.id,
            run_id=claimed.run.id,
            kind=claimed.kind,
            queue=claimed.queue,
            status=StepStatus.RUNNING,
            priority=claimed.priority,
            input=self.input,
            metadata=decode(claimed.metadata) if claimed.metadata else {},
            attempt=claimed.attempt,
            failures=claimed.failures,
            max_attempts=claimed.max_attempts,
            pending=0,
            dedup_key=claimed.dedup_key,
            package=claimed.package,
            parent=claimed.parent,
            allow_failure=claimed.allow_failure,
            timeout=None if claimed.timeout is None else claimed.timeout * micros,
            worker=self.internals.worker_id,
            error=None,
            created_at=to_datetime(claimed.created_at),
            ready_at=to_datetime(claimed.ready_at),
            started_at=to_datetime(claimed.started_at),
            ended_at=None,
        )

    @property
    def lease(self) -> Lease:
        """The lease under which this execution runs."""
        claimed = self.internals.claimed
        return Lease(
            claimed.run.id,
            claimed.id,
            self.internals.worker_id,
            claimed.token,
            to_datetime(claimed.expires_at),
        )

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.internals.claimed.attempt

    @property
    def now(self) -> datetime:
        """When this execution was claimed, by the store's clock (aware, UTC)."""
        return to_datetime(self.internals.claimed.started_at)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this step. Pass it to services that take such a key."""
        return execution_id(self.internals.claimed.run.id, self.internals.claimed.id)

    @property
    def raw_input(self) -> str:
        """The input as JSON text."""
        return self.internals.claimed.input

    @property
    def input(self) -> Any:
        """The input as plain JSON values; the typed one is the executor's parameter."""
        return decode(self.internals.claimed.input)

    @property
    def app(self) -> Any:
        """The host application's object, given to `connect(app=…)`."""
        return self.internals.services.app

    @property
    def cancelled(self) -> bool:
        """True once the step should stop: canceled, timed out, or its lease is gone."""
        return self.internals.cancelled

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback`, in any thread, when `cancelled` becomes true; at once if it is."""
        self.internals.on_cancel(callback)

    @property
    def logger(self) -> StepLogger:
        """Logs with run id, step id and attempt."""
        if self._logger is None:
            self._logger = step_logger(self.internals.claimed)
        return self._logger

    # --- what it depends on ----------------------------------------------------------------

    @overload
    def dependency(self, step_id: str, type: type[T]) -> T: ...
    @overload
    def dependency(self, step_id: str, type: None = None) -> Any: ...
    def dependency(self, step_id: str, type: Any = None) -> Any:
        """The result value of one dependency, validated to `type` if one is given.

        Raises NotFound if the step does not depend on it, or if it left no result.
        """
        values = self._load_dependencies()
        if step_id not in values:
            raise NotFound(
                f"step {self.internals.claimed.id!r} does not depend on {step_id!r}"
                f"{nearest(step_id, values)}"
            )
        _, status, text = values[step_id]
        if text is None:
            raise NotFound(f"dependency {step_id!r} left no result: it {status}")
        return _typed(text, None if type is None else payload_type(type), step_id)

    @overload
    def dependencies(self, of: type[T]) -> dict[str, T]: ...
    @overload
    def dependencies(self, of: Typed[Coroutine[Any, Any, T]]) -> dict[str, T]: ...
    @overload
    def dependencies(self, of: Typed[T]) -> dict[str, T]: ...
    @overload
    def dependencies(self, of: None = None) -> dict[str, Any]: ...
    def dependencies(self, of: Any = None) -> dict[str, Any]:
        """The dependencies' result values by step id, in order of creation.

        `of` is the type they are validated to, or an executor: then only the results of its kind
        are included, as its result type. Dependencies without a result (they failed, or were
        canceled or skipped) are left out.
        """
        rows = self._load_dependencies()
        kind = getattr(of, "kind", None) if not isinstance(of, type) else None
        signature = signature_of(of)
        if signature is not None:
            read = signature.result
        else:
            read = None if of is None or kind is not None else payload_type(of)
        if sum(len(text) for _, _, text in rows.values() if text) > KEPT_TEXT:
            # Read again if asked for again, so that texts and values are not both in memory.
            rows, self._dependencies = rows.copy(), None
        found: dict[str, Any] = {}
        for step_id in list(rows):
            row = rows[step_id] if self._dependencies is not None else rows.pop(step_id)
            if row[2] is not None and kind in (None, row[0]):
                found[step_id] = _typed(row[2], read, step_id)
        return found

    def dependency_result(self, step_id: str) -> StepResult:
        """The whole result of a step of this run that ended: value, error, records, artifacts."""
        return self.internals.services.reads.dependency_result(self.internals.claimed, step_id)

    def _load_dependencies(self) -> dict[str, tuple[str, str, str | None]]:
        if self._dependencies is None:
            reads = self.internals.claimed_with or self.internals.services.reads
            rows = reads.dependency_values(self.internals.claimed)
            self._dependencies = {row[0]: row[1:] for row in rows}
        return self._dependencies

    # --- what it makes ---------------------------------------------------------------------

    def result(self, value: Any) -> None:
        """Set the result; the same as returning it."""
        self.internals.check_open("result")
        self.internals.returned = value

    def record(self, collection: str, key: str, value: Any) -> None:
        """Upsert a JSON document into a collection of the package, with this step's commit."""
        self.internals.check_open("record")
        self.internals.effects.record(collection, key, value)

    def artifact(self, name: str, data: bytes | str, **label: Unpack[ArtifactLabel]) -> ArtifactRef:
        """Keep bytes (text is written as UTF-8): inline if small, else in the artifact store.

        `name` is unique among the step's artifacts; it is a label and never a path. See
        `ArtifactLabel` for the rest.
        """
        self.internals.check_open("artifact")
        return self.internals.effects.artifact(name, data, label)

    def store_artifact(
        self, name: str, data: bytes | str | BinaryIO, **label: Unpack[ArtifactLabel]
    ) -> ArtifactRef:
        """Keep bytes, text or a binary stream in the artifact store, whatever the size."""
        self.internals.check_open("store_artifact")
        return self.internals.effects.stored_artifact(name, data, label)

    def open_artifact(self, artifact: ArtifactRef | str) -> BinaryIO:
        """The bytes of an artifact as a binary file, to be used in a `with` block.

        `artifact` is a reference or an id, of this step, its run or any other run of the store.
        Raises NotFound, CorruptData if the bytes do not match their digest, and InvalidInput for
        anything else than a reference or an id.
        """
        internals = self.internals
        return open_artifact(artifact, internals.artifacts(), internals.services)

    def artifact_bytes(self, artifact: ArtifactRef | str) -> bytes:
        """All bytes of an artifact, as `open_artifact` finds it; use that for large ones."""
        with self.open_artifact(artifact) as stream:
            return stream.read()

    def projection(self, name: str) -> StepProjection:
        """The projection of this name: a read-model database of the package."""
        projection = self.internals.services.projections.projection(name)
        return StepProjection(projection, self.idempotency_key)

    @overload
    def emit(
        self, executor: Typed[T], input: Any = None, **options: Unpack[StepOptions]
    ) -> StepHandle[T]: ...
    @overload
    def emit(
        self, executor: Executor | str, input: Any = None, **options: Unpack[StepOptions]
    ) -> StepHandle[Any]: ...
    def emit(
        self, executor: Any, input: Any = None, **options: Unpack[StepOptions]
    ) -> StepHandle[Any]:
        """Add a child step to the run, stored with this step's commit. Options as for `run.step`.

        It may depend on steps emitted here and on existing steps of the run.
        """
        self.internals.check_open("emit")
        graph = self.internals.graph
        if graph is None:
            graph = self.internals.make_graph()
        return graph.add(executor, input, options)

    # --- durable operations -----------------------------------------------------------------

    @overload
    def do(
        self,
        name: str,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Awaitable[T]: ...
    @overload
    def do(
        self,
        name: str,
        fn: Callable[..., T],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> T: ...
    def do(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run `fn(*args, **kwargs)` once and record its value; later executions get that value.

        The value must be JSON. Returns the recorded value, read with `fn`'s return annotation,
        the first time too. With a coroutine function, returns an awaitable. `key` names the
        operation in a loop. `retry` tries again here, before the failure is recorded.
        `checkpoint=False` records nothing and runs each time: for connections and handles.

        Raises:
            ReplayMismatch: something else was recorded under this name.
            InvalidInput: the value is not JSON, or the name is used for another function.
        """
        operations = self.internals.durable_for("do").operations
        return operations.do(name, fn, (args, kwargs), (checkpoint, retry, key))

    @overload
    def do_async(  # pyright: ignore[reportOverlappingOverload]  # the first one that fits counts
        self,
        name: str,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[T]: ...
    @overload
    def do_async(
        self,
        name: str,
        fn: Callable[..., T],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Future[T]: ...
    def do_async(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        checkpoint: bool = True,
        retry: Retry | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Like `do`, in the background: a future of a thread, or a task of a coroutine function.

        The execution does not end before all of them have ended. Operations are numbered when
        they are started, so the order in which they end does not matter.
        """
        operations = self.internals.durable_for("do_async").operations
        return operations.do_async(name, fn, (args, kwargs), (checkpoint, retry, key))

    @property
    def variables(self) -> dict[str, Any]:
        """JSON values by name, saved with each operation and wait, and restored on replay."""
        journal = self.internals.durable_for("variables").journal
        journal.load()
        return journal.variables

    @property
    def kv(self) -> KeyValueStore:
        """The key-value store of all runs, as `runtime.kv`. It is not part of the history."""
        self.internals.check_open("kv", inside=True)
        return self.internals.durable_services("kv").kv

    # --- waits and values -------------------------------------------------------------------

    def sleep(self, seconds: Duration | None = None, *, until: datetime | None = None) -> None:
        """Wait this long, or until an aware time, without a slot; a recovery waits for the rest.

        Raises InvalidInput for a negative or naive time.
        """
        self.internals.durable_for("sleep").waits.sleep(seconds, until)

    @overload
    def receive(self, topic: str, type: type[T], *, timeout: Duration | None = None) -> T: ...
    @overload
    def receive(
        self, topic: str, type: type[T], *, timeout: Duration | None = None, default: D
    ) -> T | D: ...
    @overload
    def receive(
        self,
        topic: str,
        type: None = None,
        *,
        timeout: Duration | None = None,
        default: Any = ...,
    ) -> Any: ...
    def receive(
        self,
        topic: str,
        type: Any = None,
        *,
        timeout: Duration | None = None,
        default: Any = MISSING,
    ) -> Any:
        """The next message to this run on `topic`, validated to `type`; each is received once.

        With `timeout` (a duration), returns `default` if none came in time.
        Raises WaitTimeout if there is no default; and Permanent for a message that does not fit
        the type. That one is refused: if it ends the attempt, a retry receives the next one.
        """
        waits = self.internals.durable_for("receive").waits
        return waits.receive(topic, type, timeout, default)

    def wait_for_approval(self, timeout: Duration | None = None) -> Approval:
        """Wait until somebody approves or rejects; returns the decision, with who and why.

        Raises WaitTimeout if nobody decides within `timeout` (a duration).
        """
        return self.internals.durable_for("wait_for_approval").waits.approval(timeout)

    @overload
    def wait_for_value(
        self, run_id: str, key: str, type: type[T], *, timeout: Duration | None = None
    ) -> T: ...
    @overload
    def wait_for_value(
        self,
        run_id: str,
        key: str,
        type: None = None,
        *,
        timeout: Duration | None = None,
    ) -> Any: ...
    def wait_for_value(
        self, run_id: str, key: str, type: Any = None, *, timeout: Duration | None = None
    ) -> Any:
        """The last value that a run has set for `key`; waits if there is none yet.

        Raises NotFound if the run does not exist, and WaitTimeout if none is set within `timeout`
        (a duration).
        """
        waits = self.internals.durable_for("wait_for_value").waits
        return waits.value(run_id, key, type, timeout)

    def get_value(self, run_id: str, key: str, default: Any = None) -> Any:
        """The last value that a run has set for `key`, or `default` if there is none.

        Raises NotFound if the run does not exist.
        """
        return self.internals.durable_for("get_value").waits.get_value(run_id, key, default)

    def set_value(self, key: str, value: Any) -> None:
        """Set a key of this run to a new value, which everybody sees at once.

        Raises ReplayMismatch if an earlier execution set another value here.
        """
        self.internals.durable_for("set_value").waits.set_value(key, value)

    def send(self, run_id: str, topic: str, payload: Any, key: str | None = None) -> None:
        """Send a message to a run once, when this step ends or waits next.

        Of messages with the same `key`, only the first is sent. If the run has ended by then, the
        message is dropped, and an event of this run says so. Raises NotFound if the run does not
        exist.
        """
        self.internals.check_open("send")
        outbox = self.internals.outbox
        if outbox is None:
            outbox = self.internals.make_outbox()
        outbox.send(run_id, topic, payload, key)

    def wait_any(
        self,
        *waits: Description[T],
        timeout: Duration | None = None,
        **named: Description[T],
    ) -> Answer[T]:
        """Wait for the first of several waits, in one suspension; returns which, and its value.

        The one that came first counts, whenever the step runs again. Another message stays for the
        next `receive`. Raises WaitTimeout if none came within `timeout` (a duration).
        """
        return self.internals.durable_for("wait_any").combined.any(waits, named, timeout)

    @overload
    def wait_all(
        self, first: Description[A], /, *, timeout: Duration | None = None
    ) -> tuple[A]: ...
    @overload
    def wait_all(
        self,
        first: Description[A],
        second: Description[B],
        /,
        *,
        timeout: Duration | None = None,
    ) -> tuple[A, B]: ...
    @overload
    def wait_all(
        self,
        first: Description[A],
        second: Description[B],
        third: Description[C],
        /,
        *,
        timeout: Duration | None = None,
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
        timeout: Duration | None = None,
    ) -> tuple[A, B, C, D]: ...
    @overload
    def wait_all(
        self, *waits: Description[T], timeout: Duration | None = None
    ) -> tuple[T, ...]: ...
    @overload
    def wait_all(
        self, *, timeout: Duration | None = None, **named: Description[Any]
    ) -> dict[str, Any]: ...
    def wait_all(
        self,
        *waits: Description[Any],
        timeout: Duration | None = None,
        **named: Description[Any],
    ) -> Any:
        """Wait for all of several waits, in one suspension: their values in order, or by name.

        Takes nothing before all have come. Raises WaitTimeout if one did not come within
        `timeout` (a duration); messages that did come stay.
        """
        return self.internals.durable_for("wait_all").combined.all(waits, named, timeout)


def _typed(text: str, of: PayloadType | None, step_id: str) -> Any:
    return decode(text) if of is None else of.read(text, f"dependency {step_id!r}")
