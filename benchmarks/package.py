"""The steps that are measured: as little work as a step can be."""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel

from stepwell import Package, RunBuilder, StepContext, StepHandle

bench = Package("bench", title="Benchmarks")

DIAMOND = 5


@bench.executor("bench.noop")
def noop(number: int) -> int:
    return number


@bench.executor("bench.join")
def join(step: StepContext) -> int:
    return sum(step.dependencies(int).values())


@bench.entrypoint(name="fan")
def fan(run: RunBuilder, count: int) -> None:
    """A root, `count` steps after it, and one that adds them all up."""
    root = run.step(noop, 0, id="root")
    leaves = [run.step(noop, number, after=[root]) for number in range(count)]
    run.step(join, id="join", after=leaves)


@bench.entrypoint(name="chain")
def chain(run: RunBuilder, count: int) -> None:
    """`count` steps, each after the one before it."""
    last = run.step(noop, 0)
    for number in range(1, count):
        last = run.step(noop, number, after=[last])


@bench.entrypoint(name="single")
def single(run: RunBuilder) -> None:
    """One step."""
    run.step(noop, 1, id="only")


@bench.entrypoint(name="diamond")
def diamond(run: RunBuilder) -> None:
    """One step, three after it, and one after those."""
    top = run.step(noop, 0)
    run.step(join, after=[run.step(noop, number, after=[top]) for number in range(3)])


@bench.entrypoint(name="loose")
def loose(run: RunBuilder, count: int) -> None:
    """`count` steps that are ready at once."""
    for number in range(count):
        run.step(noop, number)


class Chunks(BaseModel):
    chunks: int
    size: int


@bench.executor("bench.chunk")
def chunk(step: StepContext, size: int) -> int:
    """Emit `size` steps."""
    for number in range(size):
        step.emit(noop, number)
    return size


@bench.entrypoint(name="emission")
def emission(run: RunBuilder, given: Chunks) -> None:
    """Steps that each emit a chunk, and one after all of that. No chunk waits for another."""
    emitters = [run.step(chunk, given.size) for _ in range(given.chunks)]
    run.step(noop, 0, id="end", after_subtree=emitters)


class Waits(BaseModel):
    count: int
    seconds: float


@bench.executor("bench.wait", pool="asyncio")
async def wait(seconds: float) -> None:
    await asyncio.sleep(seconds)


@bench.entrypoint(name="waits")
def waits(run: RunBuilder, given: Waits) -> None:
    """Asyncio steps that each wait, all ready at once."""
    for _ in range(given.count):
        run.step(wait, given.seconds)


class TracedTask(BaseModel):
    id: str
    seconds: float
    parents: list[str]
    priority: int


class Traced(BaseModel):
    tasks: list[TracedTask]


@bench.executor("bench.sleep")
def sleep(seconds: float) -> None:
    time.sleep(seconds)


@bench.entrypoint(name="trace")
def trace(run: RunBuilder, given: Traced) -> None:
    """The tasks of a workflow, each after its parents; they come in such an order."""
    steps: dict[str, StepHandle[None]] = {}
    for number, task in enumerate(given.tasks):
        steps[task.id] = run.step(
            sleep,
            task.seconds,
            id=f"task-{number}",
            after=[steps[parent] for parent in task.parents],
            priority=task.priority,
        )


@bench.executor("bench.operations")
def operations(step: StepContext, count: int) -> float:
    """The seconds that `count` durable operations take."""
    begun = time.perf_counter()
    for number in range(count):
        step.do("work", abs, number)
    return time.perf_counter() - begun


@bench.entrypoint(name="operations")
def many_operations(run: RunBuilder, count: int) -> None:
    """One step of `count` durable operations."""
    run.step(operations, count, id="operations")


class Sleepers(BaseModel):
    count: int
    until: str


@bench.entrypoint(name="sleepers")
def sleepers(run: RunBuilder, given: Sleepers) -> None:
    """Steps that all wait for the same moment."""
    for _ in range(given.count):
        run.step("wait.sleep", {"until": given.until})
