"""The steps that are measured: as little work as a step can be."""

from __future__ import annotations

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
