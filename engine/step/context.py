"""What an executor sees of its step, and through which it makes its effects.

Results, records, artifacts and emitted steps are kept here until the body returns; then they are
committed together with the step's end, or not at all. Projections commit by themselves, with
`once()` at most once per step.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, BinaryIO, TypeVar, Unpack, overload

from stepwell.engine.clock import to_datetime
from stepwell.engine.durable.operation import INSIDE
from stepwell.engine.durable.several import DurableSeveral
from stepwell.engine.errors import (
    Canceled,
    LeaseLost,
    NotFound,
    StepwellError,
    nearest,
)
from stepwell.engine.exchange import ClaimedStep, NewArtifact, NewRecord, NewRun, RunInfo
from stepwell.engine.graph.builder import Typed
from stepwell.engine.graph.graph import Graph, StepOptions
from stepwell.engine.ids import execution_id
from stepwell.engine.model import ArtifactRef, Lease, Step, StepHandle, StepResult
from stepwell.engine.payloads.payload import decode
from stepwell.engine.payloads.types import PayloadType, payload_type
from stepwell.engine.ports import Executor
from stepwell.engine.services import Services
from stepwell.engine.signature import signature_of
from stepwell.engine.states import StepStatus
from stepwell.engine.step.artifact_reads import ArtifactReads
from stepwell.engine.step.batched_reads import BatchedReads
from stepwell.engine.step.effects import ArtifactLabel, Effects
from stepwell.engine.step.step_views import StepLogger, StepProjection

T = TypeVar("T")

_log = logging.getLogger("stepwell.step")

# Results of dependencies are kept as text, to be asked for again, up to so many characters.
KEPT_TEXT = 1 << 20


class StepContext(ArtifactReads, DurableSeveral):
    """One execution of one step.

    `run` and `step` are as they were when the step was claimed; `now` is when that was, by the
    store's clock; `attempt` counts from 1. Everything may be used from the body only, until it
    returns.
    """

    # What most executions leave as it is, so that making one costs little.
    _cancelled = False
    _closed = False
    _graph: Graph | None = None
    _dependencies: dict[str, tuple[str, str, str | None]] | None = None
    _logger: StepLogger | None = None
    _effects: Effects | None = None
    _on_cancel: list[Callable[[], object]] | None = None
    claimed_with: BatchedReads | None = None
    returned: Any = None

    def __init__(self, claimed: ClaimedStep, worker_id: str, services: Services) -> None:
        self._claimed = claimed
        self._worker_id = worker_id
        self._services = services

    # --- what it is -----------------------------------------------------------------------

    @property
    def run(self) -> RunInfo:
        """The run: id, package, entrypoint, name, metadata, tags."""
        return self._claimed.run

    @property
    def step(self) -> Step:
        """The step as it was claimed."""
        claimed = self._claimed
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
            worker=self._worker_id,
            error=None,
            created_at=to_datetime(claimed.created_at),
            ready_at=to_datetime(claimed.ready_at),
            started_at=to_datetime(claimed.started_at),
            ended_at=None,
        )

    @property
    def lease(self) -> Lease:
        """The lease this execution works under."""
        claimed = self._claimed
        return Lease(
            claimed.run.id,
            claimed.id,
            self._worker_id,
            claimed.token,
            to_datetime(claimed.expires_at),
        )

    @property
    def attempt(self) -> int:
        return self._claimed.attempt

    @property
    def now(self) -> datetime:
        """When this execution was claimed, by the store's clock (aware, UTC)."""
        return to_datetime(self._claimed.started_at)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this step: hand it to services that take one."""
        return execution_id(self._claimed.run.id, self._claimed.id)

    @property
    def raw_input(self) -> str:
        """The input as JSON text."""
        return self._claimed.input

    @property
    def input(self) -> Any:
        """The input as plain JSON values; the typed one is the executor's parameter."""
        return decode(self._claimed.input)

    @property
    def app(self) -> Any:
        """The host application's object, given to `connect(app=…)`."""
        return self._services.app

    @property
    def cancelled(self) -> bool:
        """True once the step should stop: canceled, timed out, or its lease is gone."""
        return self._cancelled

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Call `callback` when `cancelled` becomes true: at once if it is, else in some thread."""
        waiting = self._on_cancel
        if waiting is None:  # of two threads, both use the first one's
            waiting = vars(self).setdefault("_on_cancel", [])
        waiting.append(callback)
        if self.cancelled:
            self.cancel()

    @property
    def logger(self) -> StepLogger:
        """Logs with run id, step id and attempt."""
        if self._logger is None:
            claimed = self._claimed
            extra = {"run_id": claimed.run.id, "step_id": claimed.id, "attempt": claimed.attempt}
            self._logger = StepLogger(_log, extra)
        return self._logger

    # --- what it depends on ----------------------------------------------------------------

    @overload
    def dependency(self, step_id: str, type: type[T]) -> T: ...
    @overload
    def dependency(self, step_id: str, type: None = None) -> Any: ...
    def dependency(self, step_id: str, type: Any = None) -> Any:
        """The result value of one dependency, validated to `type` when one is given.

        Raises NotFound when the step does not depend on it, or it left no result.
        """
        values = self._load_dependencies()
        if step_id not in values:
            raise NotFound(
                f"step {self._claimed.id!r} does not depend on {step_id!r}"
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

        `of` is the type they are validated to, or an executor: then only the steps of its kind
        are given, as its result type. Dependencies that left no result (they failed, or were
        canceled or skipped) are not in it.
        """
        rows = self._load_dependencies()
        kind = getattr(of, "kind", None) if not isinstance(of, type) else None
        signature = signature_of(of)
        if signature is not None:
            read = signature.result
        else:
            read = None if of is None or kind is not None else payload_type(of)
        if sum(len(text) for _, _, text in rows.values() if text) > KEPT_TEXT:
            # Read again if they are asked for again; else both, text and values, would be held.
            rows, self._dependencies = rows.copy(), None
        found: dict[str, Any] = {}
        for step_id in list(rows):
            row = rows[step_id] if self._dependencies is not None else rows.pop(step_id)
            if row[2] is not None and kind in (None, row[0]):
                found[step_id] = _typed(row[2], read, step_id)
        return found

    def dependency_result(self, step_id: str) -> StepResult:
        """The whole result of a step of this run that ended: value, error, records, artifacts."""
        return self._services.reads.dependency_result(self._claimed, step_id)

    def _load_dependencies(self) -> dict[str, tuple[str, str, str | None]]:
        if self._dependencies is None:
            reads = self.claimed_with or self._services.reads
            rows = reads.dependency_values(self._claimed)
            self._dependencies = {row[0]: row[1:] for row in rows}
        return self._dependencies

    # --- what it makes ---------------------------------------------------------------------

    def result(self, value: Any) -> None:
        """Set the result; the same as returning it."""
        self._check_open("result")
        self.returned = value

    def record(self, collection: str, key: str, value: Any) -> None:
        """Upsert a JSON document into a collection of the package, with this step's commit."""
        self._check_open("record")
        self.effects.record(collection, key, value)

    def artifact(self, name: str, data: bytes | str, **label: Unpack[ArtifactLabel]) -> ArtifactRef:
        """Keep bytes (text is written as UTF-8): inline when small, else in the artifact store.

        `name` is unique among the step's artifacts; it is a label and never a path. See
        `ArtifactLabel` for the rest.
        """
        self._check_open("artifact")
        return self.effects.artifact(name, data, label)

    def store_artifact(
        self, name: str, data: bytes | str | BinaryIO, **label: Unpack[ArtifactLabel]
    ) -> ArtifactRef:
        """Keep bytes, text or a binary stream in the artifact store, whatever the size."""
        self._check_open("store_artifact")
        return self.effects.stored_artifact(name, data, label)

    def projection(self, name: str) -> StepProjection:
        """The package's read-model database of this name."""
        projection = self._services.projections.projection(name)
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
        self._check_open("emit")
        if self._graph is None:
            settings = self._services.settings
            self._graph = Graph(
                self._services.catalog,
                "emit",
                limit=settings.payload_limit,
                package=self._claimed.package,
                parent=self._claimed.id,
                most=settings.emit_limit,
            )
        return self._graph.add(executor, input, options)

    def child_run(self, package: str, input: Any = None, entrypoint: str | None = None) -> NewRun:
        """A run for this step to start and wait for; the kind `run.start` is made of it."""
        run_id = f"{self.run.id}.{self._claimed.id}.{self._claimed.token}"
        if len(run_id.encode()) > 200:
            digest = hashlib.sha256(run_id.encode()).hexdigest()[:24]
            run_id = f"{self.run.id[:100]}.{digest}"
        return self._services.build_run(package, input, entrypoint, run_id)

    def resumed_wait(self) -> dict[str, Any] | None:
        """What this step waited for before this execution, or None on a first one."""
        return decode(self._claimed.wait) if self._claimed.wait else None

    def resumed_deadline(self) -> int | None:
        """When that wait is over by time (epoch µs), moved by pauses; None for never."""
        return self._claimed.wake_at

    def take_message(self, topic: str, operation: str) -> str | None:
        """The message for this operation as JSON text, or None; for kinds without a checkpoint."""
        services = self._services_for("take_message")
        try:
            return services.messages.receive(self._claimed, topic, operation)
        except LeaseLost as error:
            raise Canceled("the step lost its lease", lost=error) from error

    def run_status(self, run_id: str) -> str | None:
        """The status of another run, or None without one."""
        return self._services.reads.run_status(run_id)

    # --- for the engine --------------------------------------------------------------------

    @property
    def effects(self) -> Effects:
        """Its records and artifacts, made with the first of them, by whichever thread."""
        if self._effects is None:
            services = self._services
            made = Effects(self._claimed, services.artifacts, services.settings)
            return vars(self).setdefault("_effects", made)  # type: ignore[no-any-return]  # ours
        return self._effects

    @property
    def kept(self) -> tuple[Sequence[NewRecord], Sequence[NewArtifact]]:
        """The records and artifacts there are."""
        made = self._effects
        if made is None:
            return (), ()
        return tuple(made.records.values()), tuple(made.artifacts.values())

    def finish_emitted(self) -> Sequence[Any]:
        """The emitted steps, checked; targets outside the emission are left to the store."""
        return () if self._graph is None else self._graph.finish(known=None)

    def cancel(self) -> None:
        """Set `cancelled` and call each callback that waits for it once."""
        self._cancelled = True
        while self._on_cancel:
            try:
                self._on_cancel.pop()()
            except IndexError:  # another thread took it
                return
            except BaseException:
                self.logger.exception("a callback of on_cancel failed")

    def close(self) -> None:
        """Refuse effects from now on."""
        self._closed = True

    def _check_open(self, operation: str, *, inside: bool = False) -> None:
        calling = INSIDE.get()
        if calling is not None and calling[0] is self and not inside:
            raise StepwellError(
                f"step.{operation}: called inside the operation {calling[1]!r}; it would be lost "
                "when the operation is replayed: call it before or after"
            )
        if self._closed:
            raise StepwellError(
                f"step.{operation}: the execution of step {self._claimed.id!r} has ended; "
                "effects can only be made until the executor returns"
            )


def _typed(text: str, of: PayloadType | None, step_id: str) -> Any:
    return decode(text) if of is None else of.read(text, f"dependency {step_id!r}")
