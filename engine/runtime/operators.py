"""What operators may do to runs and steps. Each act is stored with who did it and why."""

from __future__ import annotations

from stepwell.engine.errors import InvalidInput
from stepwell.engine.exchange import SAME, Reopening
from stepwell.engine.ids import check_id
from stepwell.engine.model import Operator
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.ports import RunStore
from stepwell.engine.run_options import RetryOptions, retry_options
from stepwell.engine.runtime.local_workers import LocalWorkers
from stepwell.engine.runtime.run_ends import RunEnds


class Operating:
    """The acts that take more than one line. `Runtime` documents each method."""

    def __init__(self, store: RunStore, workers: LocalWorkers, run_ends: RunEnds) -> None:
        self._store = store
        self._workers = workers
        self._run_ends = run_ends

    def cancel_run(self, run_id: str, by: Operator) -> int:
        canceled = self._workers.acted(self._store.cancel_run(run_id, by))
        self._run_ends.tell([run_id])
        return canceled

    def decide(self, run_id: str, step_id: str | None, approved: bool, by: Operator) -> str:
        decided = self._store.decide(run_id, step_id, approved, by)
        self._workers.acted(1)
        return decided


def reopening(anew: RetryOptions) -> Reopening:
    """What a retry gives a run that has ended. Raises InvalidInput."""
    return Reopening(**retry_options(anew)) if anew else SAME


def operator(by: str, reason: str, field: str = "reason") -> Operator:
    """An operator as it is stored: who acts, and why. Raises InvalidInput."""
    check_id(by, "by")
    if not isinstance(reason, str) or len(reason) > 2_000:
        raise InvalidInput(f"{field}: must be text of at most 2000 characters")
    return Operator(by, decode(encode(reason, field)))
