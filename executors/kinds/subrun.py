"""The kind `run.start`: starts a run of any package and waits, without a slot, for its end."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stepwell.engine.errors import StepError, Suspend
from stepwell.engine.exchange import Wait
from stepwell.engine.package import ExecutorFunction
from stepwell.engine.step.context import StepContext
from stepwell.executors.kinds import BUILT_IN

_ENDED_BADLY = ("failed", "canceled")


class StartRun(BaseModel):
    """Which run to start. `entrypoint` may be omitted if the package has only one."""

    model_config = ConfigDict(extra="forbid")

    package: str = Field(min_length=1)
    input: Any = None
    entrypoint: str | None = None


def start_run(step: StepContext, request: StartRun) -> dict[str, Any]:
    """Start the run and suspend; when it has ended, succeed or fail as it did."""
    waited = step.internals.resumed_wait()
    run_id = waited.get("run_id") if waited else None
    if run_id is None:
        child = step.internals.child_run(request.package, request.input, request.entrypoint)
        raise Suspend(Wait(run_id=child.id, start=child))
    status = step.internals.run_status(run_id)
    if status is None:
        raise StepError("child_missing", f"run {run_id!r} is gone", details={"run_id": run_id})
    if status in _ENDED_BADLY:
        raise StepError(
            f"child_{status}",
            f"run {run_id!r} of package {request.package!r} {_was(status)}",
            details={"run_id": run_id, "status": str(status)},
        )
    if status != "succeeded":
        raise Suspend(Wait(run_id=run_id))
    return {"run_id": run_id, "status": "succeeded"}


def _was(status: str) -> str:
    return "was canceled" if status == "canceled" else status


start = ExecutorFunction("run.start", start_run, BUILT_IN["run.start"].options)
