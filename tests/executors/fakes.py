"""Hand-written stand-ins: a task without an engine, a step with one, and where outcomes arrive."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, cast

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import NotFound
from stepwell.engine.exchange import (
    ClaimedStep,
    Completed,
    Failed,
    NewArtifact,
    NewRun,
    Outcome,
    RunInfo,
)
from stepwell.engine.model import ArtifactRef, Blob, ExecutorOptions, Failure, StepResult
from stepwell.engine.package import ExecutorFunction
from stepwell.engine.payloads.payload import encode
from stepwell.engine.ports import Pool, ProjectionStore, Task
from stepwell.engine.services import Services
from stepwell.engine.settings import Settings
from stepwell.engine.step.around import NOTHING, Entered
from stepwell.engine.step.context_variables import Surroundings
from stepwell.engine.step.execution import Execution
from stepwell.engine.worker.pool_spec import PoolParts
from stepwell.executors.pools.registered import RegisteredPools
from stepwell.executors.registry import Registry

PATIENCE = 30.0
RUN = RunInfo(1, "run1", "pack", "main", "pack", {}, (), "null", 0)


def claimed(kind: str = "test", input: Any = None, **changes: Any) -> ClaimedStep:
    """A step as the store would hand it out."""
    fields: dict[str, Any] = {
        **dict.fromkeys(ClaimedStep.__dataclass_fields__, 0),
        **dict.fromkeys(("timeout", "retry", "metadata", "dedup_key", "parent", "wait", "wake_at")),
        "run": RUN,
        "id": "step1",
        "kind": kind,
        "queue": "default",
        "package": "pack",
        "token": 1,
        "attempt": 1,
        "max_attempts": 1,
        "allow_failure": False,
        "input": encode(input, "input"),
        **changes,
    }
    return ClaimedStep(**fields)


class Outbox:
    """Where a pool delivers; the test takes outcomes in the order they come."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Task, Outcome]] = SimpleQueue()

    def __call__(self, task: Task, outcome: Outcome) -> None:
        self._queue.put((task, outcome))

    def take(self) -> tuple[Task, Outcome]:
        return self._queue.get(timeout=PATIENCE)

    def outcome(self) -> Outcome:
        return self.take()[1]

    def value(self) -> str:
        outcome = self.outcome()
        assert isinstance(outcome, Completed), outcome
        return outcome.value

    def failure(self) -> Failure:
        outcome = self.outcome()
        assert isinstance(outcome, Failed), outcome
        return outcome.failure

    def is_empty(self) -> bool:
        try:
            self._queue.get_nowait()
        except Empty:
            return True
        return False


class FakeTask:
    """A task whose body is any function; it knows nothing of executors or contexts."""

    def __init__(self, body: Callable[[], Any] = lambda: None, *, breaks: bool = False) -> None:
        self.step = claimed()
        self.body = body
        self.breaks = breaks
        self.begun = False
        self.canceled = threading.Event()
        self.surroundings = Surroundings()

    @property
    def kind(self) -> str:
        return self.step.kind

    saves = False

    def fresh_variables(self) -> Context:
        return self.surroundings.fresh()

    def around(self) -> AbstractContextManager[object]:
        makers = self.surroundings.makers
        return Entered(makers, self) if makers else NOTHING

    def begin(self) -> bool:
        self.begun = not self.canceled.is_set()
        return self.begun

    def invoke(self) -> Any:
        return self.body()

    def completed(self, value: Any) -> Outcome:
        return Completed(self.step, encode(value, "result"))

    def failed(self, error: BaseException) -> Outcome:
        if self.breaks:
            raise RuntimeError("the failure itself fails")
        return Failed(self.step, Failure(type(error).__name__, ""))

    def cancel(self) -> None:
        self.canceled.set()


class FakeReads:
    """What steps may read, given beforehand."""

    def __init__(
        self,
        values: Sequence[tuple[str, str, str, str | None]] = (),
        statuses: dict[str, str] | None = None,
        results: dict[str, StepResult] | None = None,
    ) -> None:
        self.values = list(values)
        self.statuses = statuses or {}
        self.results = results or {}

    def dependency_values(self, step: ClaimedStep) -> list[tuple[str, str, str, str | None]]:
        return self.values

    def dependency_result(self, step: ClaimedStep, step_id: str) -> StepResult:
        return self.results[step_id]

    def run_status(self, run_id: str) -> str | None:
        return self.statuses.get(run_id)

    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        raise NotFound(f"there is no artifact {artifact_id!r}")


class FakeArtifacts:
    """An artifact store that remembers what it was given."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self.lock = threading.Lock()  # and so it cannot be handed to another process

    def put(self, data: bytes | BinaryIO) -> Blob:
        body = data if isinstance(data, bytes) else data.read()
        self.stored.append(body)
        return Blob("0" * 64, len(body), "fake:")

    def open(self, sha256: str) -> BinaryIO:
        raise NotImplementedError

    def stat(self, sha256: str) -> Blob:
        raise NotImplementedError

    def delete(self, sha256: str) -> bool:
        raise NotImplementedError


def no_run(package: str, input: Any, entrypoint: str | None, run_id: str) -> NewRun:
    """A child run without steps."""
    return NewRun(
        run_id, package, entrypoint or "main", package, encode(input, "i"), "{}", "[]", ()
    )


def services(
    registry: Registry | None = None,
    reads: FakeReads | None = None,
    artifacts: Any = None,
    **settings: Any,
) -> Services:
    """Services of fakes around a real registry."""
    return Services(
        catalog=registry or Registry(),
        reads=reads or FakeReads(),
        artifacts=artifacts or FakeArtifacts(),
        projections=cast(ProjectionStore, None),
        settings=Settings(**settings),
        build_run=no_run,
    )


def make_pool(name: str, size: int, deliver: Any, services: Services) -> Pool:
    """A built-in pool, as a worker makes it."""
    make = RegisteredPools().find(name).make
    assert callable(make)
    return make(PoolParts(size, deliver, services, "worker1", SystemClock()))


def artifacts_of(made: Execution, value: Any) -> dict[str, NewArtifact]:
    """What an execution that returned `value` would commit, by name."""
    outcome = made.completed(value)
    assert isinstance(outcome, Completed), outcome
    return {artifact.name: artifact for artifact in outcome.artifacts}


def execution(function: Callable[..., Any], input: Any = None, **changes: Any) -> Execution:
    """A real execution of one function."""
    registry = Registry()
    registry.register(ExecutorFunction("test", function, ExecutorOptions()))
    return Execution(claimed("test", input, **changes), "worker1", services(registry))
