"""Starts runs, and finds those that were started before."""

from __future__ import annotations

from typing import Any

from stepwell.engine.errors import Conflict, KeyMoved
from stepwell.engine.exchange import NewRun, StoredRun
from stepwell.engine.ids import check_id, new_run_id
from stepwell.engine.model import Run
from stepwell.engine.run_options import OnDuplicate, RunOptions, StartOptions, run_options
from stepwell.engine.runtime.closing import Closing
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.parts import RuntimeParts
from stepwell.engine.runtime.run_factory import RunFactory, RunLabels, labels_of, target_of

# How often a run is built again whose dedup key went to another run in the meantime.
MAX_MOVES = 100


class Starting:
    """`Runtime` documents each method, which here returns the run instead of its handle."""

    def __init__(
        self, parts: RuntimeParts, factory: RunFactory, workers: LocalWorkers, closing: Closing
    ) -> None:
        self._store = parts.store
        self._clock = parts.clock
        self._catalog = parts.catalog
        self._factory = factory
        self._workers = workers
        self._closing = closing

    def start(self, package: Any, input: Any, options: StartOptions) -> StoredRun:
        self._closing.check_open()
        now = self._clock.micros()
        chosen = run_options(options, now=now, queues=self._catalog.queue_names)
        labels = labels_of(options)
        run_id = options.get("run_id")
        if run_id is None:
            run_id = new_run_id(now)
        check_id(run_id, "run_id")
        name, entrypoint = target_of(package, options.get("entrypoint"))
        if chosen is not None and chosen.dedup_key is not None:
            return self._start_keyed(name, input, entrypoint, run_id, labels, chosen)
        return self._create(self._factory.build(name, input, entrypoint, run_id, labels, chosen))

    def find(self, run_id: str, of: Any) -> Run:
        run = self._store.run(run_id)
        if of is not None and (run.package, run.entrypoint) != target_of(of, None):
            raise Conflict(
                f"run {run_id!r} is of {run.package}/{run.entrypoint}, not of {of.name!r}"
            )
        return run

    def _start_keyed(  # what `build` takes
        self,
        package: Any,
        input: Any,
        entrypoint: str | None,
        run_id: str,
        labels: RunLabels,
        options: RunOptions,
    ) -> StoredRun:
        """Store a run with a dedup key, or find the one that has it.

        An entrypoint may use the id of its run. So the one that is to be replaced is looked up
        before the graph is built, and the store says if another one waits by then.
        """
        name, key = self._factory.package(package).name, options.dedup_key
        assert key is not None
        for tries in range(1, MAX_MOVES + 1):
            waiting = None
            if options.on_duplicate is OnDuplicate.REPLACE:
                waiting = self._store.waiting_run(name, key)
            new = self._factory.build(name, input, entrypoint, waiting or run_id, labels, options)
            try:
                stored = self._store.create_run(new)
            except KeyMoved:
                if tries == MAX_MOVES:
                    raise
            else:
                self._workers.acted(1)
                return stored
        raise AssertionError("unreachable")

    def _create(self, new: NewRun) -> StoredRun:
        """Store a run; an idle worker here claims of it at once, and the others are woken."""
        workers = tuple(self._workers)
        try:
            run = next(filter(None, (worker.start_run(new) for worker in workers)), None)
        except Conflict:  # the store tells whether it is the same run once more
            run = None
        if run is not None and len(workers) == 1:
            return StoredRun(run)
        stored = self._store.create_run(new) if run is None else StoredRun(run)
        self._workers.acted(1)
        return stored
