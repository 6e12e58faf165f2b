"""What people may do to runs and steps. Each act is stored with who did it and why."""

from __future__ import annotations

from stepwell.engine.errors import InvalidInput
from stepwell.engine.ids import check_id
from stepwell.engine.model import Operator
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.ports import RunStore
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.run_ends import RunEnds


class Operating:
    """The acting part of a runtime."""

    def __init__(self, store: RunStore, workers: LocalWorkers, run_ends: RunEnds) -> None:
        self._store = store
        self._workers = workers
        self._run_ends = run_ends

    def retry_step(
        self, run_id: str, step_id: str, *, by: str = "operator", reason: str = ""
    ) -> int:
        """Run a failed or canceled step again, with what its end canceled; returns how many."""
        return self._workers.acted(self._store.retry_step(run_id, step_id, operator(by, reason)))

    def retry_run(self, run_id: str, *, by: str = "operator", reason: str = "") -> int:
        """Run a run's failed steps and what they canceled again; returns how many."""
        return self._workers.acted(self._store.retry_run(run_id, operator(by, reason)))

    def cancel_run(self, run_id: str, *, by: str = "operator", reason: str = "") -> int:
        """Cancel a run and the runs it started; returns how many steps that ended.

        Running steps see `step.cancelled`; what they still produce is refused.
        """
        canceled = self._workers.acted(self._store.cancel_run(run_id, operator(by, reason)))
        self._run_ends.tell([run_id])
        return canceled

    def pause_run(self, run_id: str, *, by: str = "operator", reason: str = "") -> int:
        """Claim no more steps of a run, and freeze its waits; returns how many steps are held.

        Running steps end as they would.
        """
        return self._workers.acted(self._store.pause_run(run_id, operator(by, reason)))

    def resume_run(self, run_id: str, *, by: str = "operator", reason: str = "") -> int:
        """Undo `pause_run`; waits go on with the time they had left. Returns how many are ready."""
        return self._workers.acted(self._store.resume_run(run_id, operator(by, reason)))

    def hold_step(
        self, run_id: str, step_id: str, *, by: str = "operator", reason: str = ""
    ) -> None:
        """As `pause_run`, for one step that is pending, ready or waiting."""
        self._store.hold_step(run_id, step_id, operator(by, reason))
        self._workers.acted(1)

    def release_step(
        self, run_id: str, step_id: str, *, by: str = "operator", reason: str = ""
    ) -> None:
        """Undo `hold_step`."""
        self._store.release_step(run_id, step_id, operator(by, reason))
        self._workers.acted(1)

    def approve(
        self, run_id: str, step_id: str | None = None, *, by: str = "operator", comment: str = ""
    ) -> str:
        """Approve what a step waits for; returns its id. Without one, the only one that waits.

        Raises Conflict when it was answered before, RefusedByState when none waits, and
        InvalidInput when several do.
        """
        return self._decided(run_id, step_id, True, operator(by, comment, "comment"))

    def reject(
        self, run_id: str, step_id: str | None = None, *, by: str = "operator", comment: str = ""
    ) -> str:
        """Reject what a step waits for; otherwise as `approve`."""
        return self._decided(run_id, step_id, False, operator(by, comment, "comment"))

    def _decided(self, run_id: str, step_id: str | None, approved: bool, by: Operator) -> str:
        decided = self._store.decide(run_id, step_id, approved, by)
        self._workers.acted(1)
        return decided


def operator(by: str, reason: str, field: str = "reason") -> Operator:
    """Who acts and why. Raises InvalidInput."""
    check_id(by, "by")
    if not isinstance(reason, str) or len(reason) > 2_000:
        raise InvalidInput(f"{field}: must be text of at most 2000 characters")
    return Operator(by, decode(encode(reason, field)))
