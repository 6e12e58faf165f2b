"""Makes executions of claimed steps, and hands them to their pools."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stepwell.engine.clock import to_datetime
from stepwell.engine.events import Event, EventType
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.ids import jitter
from stepwell.engine.step.batched_reads import BatchedReads
from stepwell.engine.step.context_variables import Surroundings
from stepwell.engine.step.execution import Execution, fail
from stepwell.engine.worker.parts import WorkerParts
from stepwell.engine.worker.workload import Workload


class Dispatcher:
    """All bodies begin with the context variables of the thread that makes this."""

    def __init__(self, worker_id: str, parts: WorkerParts, workload: Workload) -> None:
        self._worker_id = worker_id
        self._store = parts.store
        self._services = parts.services
        self._observers = parts.observers
        self._monotonic = parts.clock.monotonic
        self._make_lock = parts.synchronization.make_read_lock
        self._workload = workload
        self._surroundings = Surroundings(parts.services.around)

    def dispatch(self, claimed: Sequence[ClaimedStep]) -> None:
        """Make executions of the claimed steps and hand them to their pools."""
        for kind, executions in self._by_kind(claimed).items():
            self._workload.in_flight.add(executions)
            if len(executions) > 1:
                steps = [execution.step for execution in executions]
                together = BatchedReads(self._store, steps, self._make_lock())
                for execution in executions:
                    execution.claimed_with = together
            self._workload.windows.submit(kind, executions)

    def _by_kind(self, claimed: Sequence[ClaimedStep]) -> dict[str, list[Execution]]:
        observed = self._observers.wanted(EventType.STEP_STARTED)
        workload, of = self._workload, self._workload.in_flight.of
        services, worker_id, surroundings = self._services, self._worker_id, self._surroundings
        by_kind: dict[str, list[Execution]] = {}
        for step in claimed:
            before = of(step.key)
            if before is not None:  # its lease lapsed, and it came back to this worker
                workload.drop(before)
            try:
                on_begin: Callable[[Execution], None] | None
                on_begin = self._on_begin if observed or step.timeout else None
                execution = Execution(step, worker_id, services, on_begin, jitter, surroundings)
            except Exception as error:  # e.g. what its executor needs cannot be imported
                workload.add(fail(step, error, None))
                continue
            executions = by_kind.get(step.kind)
            if executions is None:
                by_kind[step.kind] = [execution]
            else:
                executions.append(execution)
        return by_kind

    def _on_begin(self, execution: Execution) -> None:
        """Called in the pool's thread, right before the body."""
        step = execution.step
        if step.timeout is not None:
            execution.deadline = self._monotonic() + step.timeout / 1e6
            self._workload.in_flight.watch_time(execution)
        if self._observers.wanted(EventType.STEP_STARTED):
            self._observers.publish(
                Event(
                    EventType.STEP_STARTED,
                    to_datetime(step.started_at),
                    step.run.id,
                    step.id,
                    step.attempt,
                    self._worker_id,
                )
            )
