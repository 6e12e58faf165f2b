"""Waits for the end of a run, whoever works on it."""

from __future__ import annotations

from collections.abc import Callable

from stepwell.engine.duration_checks import patience
from stepwell.engine.durations import Duration
from stepwell.engine.errors import WaitTimeout
from stepwell.engine.model import Run
from stepwell.engine.ports import RunStore
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.run_ends import RunEnds
from stepwell.engine.states import RunStatus

# How often the store is asked, in seconds: at first, and later on.
EAGER, IDLE = 0.001, 0.02
# At first, with a worker in this process, which tells of the runs that it ends.
TOLD = 0.005


class Waiting:
    """Safe for many threads. `Runtime` documents each method."""

    def __init__(
        self,
        store: RunStore,
        monotonic: Callable[[], float],
        workers: LocalWorkers,
        run_ends: RunEnds,
    ) -> None:
        self._store = store
        self._monotonic = monotonic
        self._workers = workers
        self._run_ends = run_ends

    def wait(self, run_id: str, timeout: Duration | None, poll: Duration | None) -> Run:
        monotonic, timeout = self._monotonic, patience(timeout)
        between = patience(poll, "poll")
        begun = monotonic()
        told = False
        while True:
            seen = self._run_ends.count
            status = None if told else self._store.run_status(run_id)
            if status is None or RunStatus(status).ended:
                run = self._store.run(run_id)
                if run.status.ended:  # else it was retried after its end was told
                    return run
            waited = monotonic() - begun
            # The longer it took so far, the less another moment matters.
            pause = between or max(TOLD if self._workers else EAGER, min(waited / 20, IDLE))
            if timeout is not None:
                if waited >= timeout:
                    raise WaitTimeout(f"run {run_id!r} did not end within {timeout:g} s")
                pause = min(pause, timeout - waited)
            told = self._run_ends.wait(run_id, seen, pause)
