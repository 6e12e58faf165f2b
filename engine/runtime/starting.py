"""Starts runs, and finds those that were started before."""

from __future__ import annotations

from typing import Any

from stepwell.engine.errors import Conflict
from stepwell.engine.exchange import NewRun
from stepwell.engine.ids import check_id, new_run_id
from stepwell.engine.model import Run
from stepwell.engine.runtime.closing import Closing
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.run_factory import RunFactory, StartOptions, labels_of, target_of


class Starting:
    """`Runtime` documents each method, which here returns the run instead of its handle."""

    def __init__(
        self, parts: RuntimeParts, factory: RunFactory, workers: LocalWorkers, closing: Closing
    ) -> None:
        self._store = parts.store
        self._clock = parts.clock
        self._factory = factory
        self._workers = workers
        self._closing = closing

    def start(self, package: Any, input: Any, options: StartOptions) -> Run:
        self._closing.check_open()
        labels = labels_of(options)
        run_id = options.get("run_id")
        if run_id is None:
            run_id = new_run_id(self._clock.micros())
        check_id(run_id, "run_id")
        name, entrypoint = target_of(package, options.get("entrypoint"))
        return self._create(self._factory.build(name, input, entrypoint, run_id, labels))

    def find(self, run_id: str, of: Any) -> Run:
        run = self._store.run(run_id)
        if of is not None and (run.package, run.entrypoint) != target_of(of, None):
            raise Conflict(
                f"run {run_id!r} is of {run.package}/{run.entrypoint}, not of {of.name!r}"
            )
        return run

    def _create(self, new: NewRun) -> Run:
        """Store a run. An idle worker here claims its steps at once; the others are woken."""
        workers = tuple(self._workers)
        run = next(filter(None, (worker.start_run(new) for worker in workers)), None)
        if run is None:
            run = self._store.create_run(new)
        elif len(workers) == 1:
            return run
        self._workers.acted(1)
        return run
