"""The handle of a started run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import stepwell.engine as engine
from stepwell.engine.durations import Duration
from stepwell.engine.errors import InvalidInput, StepError
from stepwell.engine.model import EdgeRow, Failure, Run, Step, StepResult
from stepwell.engine.payloads.payload import encode
from stepwell.engine.payloads.types import PayloadType
from stepwell.engine.run_options import Start
from stepwell.engine.states import RunStatus, StepStatus

if TYPE_CHECKING:
    from stepwell.engine.runtime.aio_bridge import Bridge
    from stepwell.engine.runtime.aio_handle import AioHandle

R = TypeVar("R")


class HasBridge(Protocol):
    """The runtime for asyncio."""

    @property
    def bridge(self) -> Bridge: ...


class Watcher(Protocol):
    """What a handle needs of its runtime."""

    def run(self, run_id: str) -> Run: ...
    def wait(
        self, run_id: str, timeout: Duration | None = None, *, poll: Duration | None = None
    ) -> Run: ...
    def cancel_run(self, run_id: str, *, by: str = "operator", reason: str = "") -> int: ...
    def step(self, run_id: str, step_id: str) -> Step: ...
    def steps(self, run_id: str, *, status: StepStatus | str | None = None) -> list[Step]: ...
    def edges(self, run_id: str) -> list[EdgeRow]: ...
    def result(self, run_id: str, step_id: str) -> StepResult: ...

    @property
    def aio(self) -> HasBridge: ...


class RunHandle(Generic[R]):
    """A started run. `wait()` blocks until it ends, whoever does the work.

    `R` is the type of its result, where the run is a workflow's. `started` says whether this call
    stored the run; else it was there. `replaced`: it was, and got the input of this call.
    """

    def __init__(
        self,
        runtime: Watcher,
        run: Run,
        step: str | None = None,
        result_type: PayloadType | None = None,
        start: Start = Start.RETURNED,
    ) -> None:
        self._runtime = runtime
        self._step = step
        self._type = result_type
        self.id = run.id
        self.package = run.package
        self.name = run.name
        self.started = start is Start.STARTED
        self.replaced = start is Start.REPLACED

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.package}>"

    def status(self) -> RunStatus:
        """The run's status now."""
        return self._runtime.run(self.id).status

    def wait(self, timeout: Duration | None = None, *, poll: Duration | None = None) -> Run:
        """Wait until the run has ended; returns it.

        Raises WaitTimeout after `timeout` (None: never). `poll`: see `Runtime.wait`.
        """
        return self._runtime.wait(self.id, timeout, poll=poll)

    def result(self, timeout: Duration | None = None, *, poll: Duration | None = None) -> R:
        """The result of the workflow, or of the run's only last step, once the run has ended.

        `poll`: see `Runtime.wait`.

        Raises:
            WaitTimeout: after `timeout` (None: never).
            StepError: the run failed, with the code of the step that failed, or was canceled.
            InvalidInput: the run has several last steps; `runtime.result` gives the result of each.
        """
        run = self.wait(timeout, poll=poll)
        if run.status is not RunStatus.SUCCEEDED:
            raise self._failure(run)
        found = self._runtime.result(self.id, self._step or self._last_step())
        value = found.value
        if found.error is not None:  # the run succeeded without this step
            raise self._described(found.step_id, found.error)
        if self._type is not None:
            text = encode(value, "result", limit=1 << 40)
            value = self._type.read(text, f"result of run {self.id!r}")
        typed: R = value
        return typed

    @property
    def aio(self) -> AioHandle[R]:
        """The same for asyncio: `await handle.aio.result()`. A wait takes no thread."""
        made: AioHandle[R] = engine.aio_handle.AioHandle(self, self._runtime.aio.bridge)
        return made

    def cancel(self, *, by: str = "operator", reason: str = "") -> int:
        """Cancel the run; returns how many steps were canceled."""
        return self._runtime.cancel_run(self.id, by=by, reason=reason)

    def _last_step(self) -> str:
        """The id of the only step on which no other depends."""
        needed = {edge.target for edge in self._runtime.edges(self.id)}
        last = [step.id for step in self._runtime.steps(self.id) if step.id not in needed]
        if len(last) != 1:
            raise InvalidInput(
                f"run {self.id!r} has {len(last)} last steps ({', '.join(map(repr, last[:5]))}"
                f"{', …' if len(last) > 5 else ''}) and so no one result; "
                "ask for that of a step: runtime.result(run_id, step_id)"
            )
        return last[0]

    def _failure(self, run: Run) -> StepError:
        error = run.error if run.status is RunStatus.FAILED else None
        if error is not None and error.step is None:
            return StepError(error.code, f"run {self.id!r} failed: {error.message}")
        if error is not None:
            return self._described(str(error.step), error)
        failed = self._runtime.steps(self.id, status=StepStatus.FAILED)
        errors = [(step.id, step.error) for step in failed if step.error and not step.allow_failure]
        if run.status is RunStatus.CANCELED or not errors:
            return StepError(f"run_{run.status}", f"run {self.id!r} was {run.status}")
        return self._described(*errors[0])

    def _described(self, step_id: str, error: Failure) -> StepError:
        message = f"run {self.id!r} failed: step {step_id!r}: {error.message}"
        return StepError(error.code, message, details=error.details)
