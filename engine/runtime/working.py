"""Works on steps in this process: in the calling thread, or in one in the background."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from stepwell.engine.duration_checks import patience
from stepwell.engine.durations import Duration
from stepwell.engine.errors import RuntimeClosed, StoreError, WaitTimeout
from stepwell.engine.ids import new_worker_id
from stepwell.engine.runtime.closing import Closing
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.run_ends import RunEnds
from stepwell.engine.services import Services
from stepwell.engine.settings import Settings
from stepwell.engine.states import RunStatus
from stepwell.engine.worker.parts import WorkerParts
from stepwell.engine.worker.worker import Worker

# How often `drain` asks the store whether its run has ended elsewhere, in seconds.
LOOK = 0.02


class Working:
    """Makes workers. `Runtime` documents what is not documented here."""

    def __init__(
        self,
        parts: RuntimeParts,
        services: Services,
        workers: LocalWorkers,
        run_ends: RunEnds,
        closing: Closing,
    ) -> None:
        self._parts = parts
        self._services = services
        self._workers = workers
        self._run_ends = run_ends
        self._closing = closing

    @contextmanager
    def worker(
        self,
        queues: Sequence[str] | None = None,
        labels: Sequence[str] = (),
        poll_interval: Duration | None = None,
    ) -> Iterator[Worker]:
        """A worker for the time of the `with` block, in which the caller runs it."""
        self._closing.check_open()
        parts = self._parts
        with suppress(StoreError):  # a patient worker waits for its store; others fail later
            parts.store.check_queues(queues)
        worker = parts.make_worker(
            new_worker_id(),
            self._worker_parts(poll_interval),
            None if queues is None else tuple(queues),
            tuple(labels),
        )
        self._workers.append(worker)
        try:
            yield worker
        finally:
            self._workers.remove(worker)

    def _worker_parts(self, poll_interval: Duration | None) -> WorkerParts:
        parts, settings = self._parts, self._parts.settings
        if poll_interval is not None:
            settings = Settings.of({**settings.as_dict(), "poll_interval": poll_interval})
        return WorkerParts(
            store=parts.store,
            services=self._services,
            settings=settings,
            clock=parts.clock,
            observers=parts.observers,
            find_pool=parts.find_pool,
            on_ended=self._run_ends.tell,
            duties=parts.duties,
            version=parts.version,
        )

    def drain(self, run_id: str | None, timeout: Duration | None) -> None:
        store, timeout = self._parts.store, patience(timeout)
        if run_id is not None:
            store.run(run_id)
        monotonic = self._parts.clock.monotonic
        deadline = None if timeout is None else monotonic() + timeout
        timed_out = False
        with self.worker() as worker:
            seen, looked_at = -1, 0.0

            def until() -> bool:
                nonlocal seen, looked_at, timed_out
                now = monotonic()
                timed_out = deadline is not None and now >= deadline
                if run_id is None:
                    return timed_out or worker.is_idle()
                # Workers here tell when a run ends; for those of other processes, ask the store.
                if seen != self._run_ends.count or now - looked_at >= LOOK:
                    seen, looked_at = self._run_ends.count, now
                    if RunStatus(store.run_status(run_id) or "failed").ended:
                        return True
                return timed_out

            worker.run(until)
        if timed_out and (run_id is None or not store.run(run_id).status.ended):
            what = "the work" if run_id is None else f"run {run_id!r}"
            raise WaitTimeout(f"{what} did not end within {timeout:g} s")

    @contextmanager
    def in_background(
        self, queues: Sequence[str] | None, grace: Duration | None, labels: Sequence[str]
    ) -> Iterator[Worker]:
        grace = patience(grace, "grace")
        failures: list[BaseException] = []
        with self.worker(queues, labels) as worker:

            def work() -> None:
                try:
                    worker.run(patient=True)
                except RuntimeClosed as error:
                    if not self._closing.is_closed:  # after close(), this is how it stops
                        failures.append(error)
                except BaseException as error:
                    failures.append(error)

            thread = threading.Thread(target=work, name="stepwell-worker", daemon=True)
            thread.start()
            try:
                yield worker
            finally:
                worker.stop(grace)
                thread.join()
        if failures:
            raise failures[0]
