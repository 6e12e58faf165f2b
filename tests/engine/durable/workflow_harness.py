"""A place to run one workflow at: a store in memory, virtual time, and a note of what ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from stepwell import (
    Checkpoint,
    CheckpointUpdate,
    Operation,
    Package,
    RunHandle,
    Runtime,
    Step,
    VirtualClock,
    connect,
)
from stepwell.stores.checkpoints.memory import MemoryCheckpointer


class WorkflowHarness:
    """Executes `flow` whenever it is told to; `ran` counts what the operations' functions did."""

    def __init__(self, url: str = "memory://", **options: Any) -> None:
        self.clock = VirtualClock()
        self.ran: Counter[str] = Counter()
        self.url = url
        self.options = options
        self.runtime: Runtime | None = None
        self.handle: RunHandle[Any] | None = None

    def define(self, function: Callable[..., Any], **options: Any) -> Package:
        """A package with this workflow, called `flow`."""
        package = Package("harness")
        package.workflow(name="flow", **options)(function)
        return package

    def start(self, function: Callable[..., Any], input: Any = None, **options: Any) -> None:
        """Store a run of the function, and execute nothing."""
        package = self.define(function, **options)
        self.runtime = connect(self.url, packages=[package], clock=self.clock, **self.options)
        self.handle = self.runtime.start_run("harness", input)

    def replace(self, function: Callable[..., Any]) -> None:
        """Change the code of the workflow."""
        package = self.there.packages["harness"]
        executor: Any = package.executors["harness.flow"]
        executor.function = function
        executor.signature = self.define(function).executors["harness.flow"].signature  # type: ignore[attr-defined]

    @property
    def there(self) -> Runtime:
        assert self.runtime is not None
        return self.runtime

    @property
    def run_id(self) -> str:
        assert self.handle is not None
        return self.handle.id

    def execute(self) -> Step:
        """One execution, if the step is claimable; the step afterwards."""
        self.there.run_once()
        return self.step

    def go(self, function: Callable[..., Any], input: Any = None, **options: Any) -> Step:
        """Store a run of the function and execute it once."""
        self.start(function, input, **options)
        return self.execute()

    def pass_time(self, seconds: float) -> Step:
        """Let time pass, and execute what is due then."""
        self.clock.advance(timedelta(seconds=seconds))
        return self.execute()

    @property
    def step(self) -> Step:
        return self.there.step(self.run_id, "flow")

    @property
    def value(self) -> Any:
        step = self.step
        assert step.status == "succeeded", (step.status, step.error)
        return self.there.result(self.run_id, "flow").value

    @property
    def error(self) -> str:
        """`code: message` of what ended the attempt."""
        error = self.step.error
        assert error is not None, self.step.status
        return f"{error.code}: {error.message}"

    @property
    def checkpoint(self) -> Checkpoint:
        return self.there.checkpoint(self.run_id, "flow")

    @property
    def operations(self) -> dict[str, Operation]:
        return {operation.id: operation for operation in self.checkpoint.operations}

    def note(self, name: str, value: Any = None) -> Any:
        """What operations of tests do: be counted."""
        self.ran[name] += 1
        return value

    def close(self) -> None:
        if self.runtime is not None:
            self.runtime.close()


class Memory:
    """A checkpointer with the three methods alone."""

    def __init__(self) -> None:
        self._inner = MemoryCheckpointer()
        self.saves = 0

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self.saves += 1
        self._inner.save_checkpoint(checkpoint)

    def load_checkpoint(self, execution_id: str) -> Checkpoint:
        return self._inner.load_checkpoint(execution_id)

    def delete_checkpoint(self, execution_id: str) -> None:
        self._inner.delete_checkpoint(execution_id)


class AtomicMemory(Memory):
    """… and one with atomic updates."""

    def atomic_update(
        self, execution_id: str, change: Callable[[Checkpoint], object]
    ) -> Checkpoint:
        self.saves += 1
        return self._inner.atomic_update(execution_id, change)


class JournalingMemory(AtomicMemory):
    """… and one with all powers, which remembers how much it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[int] = []

    def record(self, update: CheckpointUpdate) -> bool:
        self.recorded.append(len(update.operations))
        return self._inner.record(update)
