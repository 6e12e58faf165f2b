"""`simulate()` passes a package that can be run again anywhere, and catches one that cannot."""

from __future__ import annotations

from typing import Any

import pytest

from stepwell import InvalidInput, Package, Retry, RunBuilder, StepContext, waits
from stepwell.testing.simulator import Faults, simulate

PACKAGE = Package("errands")
DONE: list[str] = []
LETHAL = Faults(crash=0.05, lost=0.05, switch=0.5, seconds=60.0)


@PACKAGE.entrypoint(name="start")
def start(run: RunBuilder, items: list[str]) -> None:
    lines = [run.step(buy, item, id=item) for item in items]
    run.step(count, id="count", after=lines)


@PACKAGE.executor("errands.buy", retry=Retry(max_attempts=2, initial=0.1))
async def buy(step: StepContext, item: str) -> int:
    step.record("bought", item, {"length": len(item)})
    if step.step.failures == 0:
        raise ValueError("out of stock, for now")
    return step.do("weigh", lambda: len(item))


@PACKAGE.executor("errands.count")
def count(step: StepContext) -> int:
    step.sleep(3)
    assert step.wait_for_approval().approved
    return sum(step.dependencies(int).values())


@PACKAGE.entrypoint(name="hasty")
def start_hasty(run: RunBuilder) -> None:
    run.step(hasty, id="hasty")


@PACKAGE.executor("errands.hasty")
def hasty(step: StepContext) -> int:
    DONE.append(step.idempotency_key)
    return 1


@PACKAGE.entrypoint(name="patient")
def start_patient(run: RunBuilder) -> None:
    for number in range(2):
        run.step(patient, number, id=f"p{number}")


@PACKAGE.executor("errands.patient", retry=Retry(max_attempts=3, initial=0.1))
def patient(step: StepContext, number: int) -> Any:
    first = step.wait_any(waits.Message(f"first {number}", int), waits.Sleep(100_000))
    every = step.wait_all(
        waits.Message(f"a {number}"), waits.Sleep(5), waits.Message(f"b {number}")
    )
    return [first.index, first.value, every]


def approve(runtime: Any, run: Any) -> None:
    if any(step.wait and step.wait.kind == "approval" for step in runtime.steps(run.id)):
        runtime.approve(run.id)


def test_waits_side_by_side_end_alike_under_every_seed() -> None:
    sent = [(f"{topic} {number}", number) for number in range(2) for topic in ("b", "first", "a")]

    survived = simulate(PACKAGE, entrypoint="patient", seeds=range(30), send=sent)

    ends = survived.end["run"]["steps"]
    assert [ends[f"p{n}"]["value"] for n in range(2)] == [[0, n, [n, None, n]] for n in range(2)]
    assert survived.crashes > 5


def test_a_careful_package_ends_alike_under_every_seed() -> None:
    survived = simulate(
        PACKAGE, ["pen", "ink"], entrypoint="start", seeds=range(20), during=approve
    )

    assert survived.seeds == 20
    assert survived.crashes > 5
    assert survived.end["run"]["steps"]["count"]["value"] == 6
    assert survived.end["run"]["steps"]["pen"]["records"] == {"bought/pen": {"length": 3}}


def test_an_effect_that_repeats_is_found_and_the_seed_is_named() -> None:
    with pytest.raises(AssertionError) as caught:
        simulate(
            PACKAGE,
            entrypoint="hasty",
            seeds=range(100, 200),
            faults=LETHAL,
            observe=lambda: list(DONE),
            reset=DONE.clear,
        )

    text = str(caught.value)
    assert "it ended differently" in text
    assert "observed: undisturbed ['run/hasty'], after the crash ['run/hasty', 'run/hasty'" in text
    seed = int(text.partition("seeds=[")[2].partition("]")[0])
    with pytest.raises(AssertionError) as again:
        simulate(
            PACKAGE,
            entrypoint="hasty",
            seeds=[seed],
            faults=LETHAL,
            observe=lambda: list(DONE),
            reset=DONE.clear,
        )
    assert str(again.value) == text


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown option 'fault'; did you mean 'faults'"):
        simulate(PACKAGE, fault=LETHAL)  # type: ignore[call-arg]


def test_a_run_that_nothing_ends_is_told_before_any_seed() -> None:
    with pytest.raises(AssertionError, match="undisturbed, the run did not end"):
        simulate(PACKAGE, ["pen"], entrypoint="start", seeds=range(1))
