"""The steps that are measured: as little work as a step can be."""

from __future__ import annotations

import time

from pydantic import BaseModel

from stepwell import Package, RunBuilder, StepContext

bench = Package("bench", title="Benchmarks")


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
