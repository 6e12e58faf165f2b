"""How many steps one step may emit. What is settled together: `TestByHand` in test_by_hand.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepwell.composition import connect
from stepwell.engine.errors import InvalidGraph
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.package import Package
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.step.context import StepContext

PATIENCE = 20.0
LIMIT = 5


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/engine.db"


@pytest.fixture
def package() -> Package:
    package = Package("p")

    @package.entrypoint
    def start(run: RunBuilder, sizes: list[int]) -> None:
        for number, size in enumerate(sizes):
            run.step(planner, size, id=f"planner{number}")

    @package.executor("planner", pool="inline")
    def planner(step: StepContext, size: int) -> int:
        for _ in range(size):
            step.emit(leaf)
        return size

    @package.executor("leaf", pool="inline")
    def leaf() -> None: ...

    return package


def opened(store: str, package: Package) -> Runtime:
    return connect(store, packages=[package], settings={"emit_limit": LIMIT})


def test_a_step_that_emits_more_fails_alone_with_the_remedy(store: str, package: Package) -> None:
    with opened(store, package) as runtime:
        # given
        run = runtime.start_run("p", [2, LIMIT + 1, LIMIT])

        # when
        runtime.drain(run.id, timeout=PATIENCE)

        # then
        error = runtime.result(run.id, "planner1").error
        statuses = [str(step.status) for step in runtime.steps(run.id)]
    assert error is not None
    assert error.code == "invalid_graph"
    assert error.message == (
        "emit.step('planner1/leaf:6'): one step may emit 5 steps at most (the setting emit_limit); "
        "emit steps that emit a part each, or raise the setting"
    )
    assert statuses.count("failed") == 1
    # Nothing of what it emitted is there.
    assert statuses.count("succeeded") == 2 + 2 + LIMIT


def test_an_emission_of_just_so_many_is_stored_and_a_start_is_not_bounded(
    store: str, package: Package
) -> None:
    with opened(store, package) as runtime:
        run = runtime.start_run("p", [LIMIT, *[0] * LIMIT])
        runtime.drain(run.id, timeout=PATIENCE)

        assert runtime.run(run.id).status == "succeeded"
        assert len(runtime.steps(run.id)) == 1 + LIMIT + LIMIT


def test_a_body_sees_the_refusal_where_it_emits_too_much(store: str) -> None:
    # given: a body that makes do with what it may emit
    package = Package("p")
    refused: list[str] = []

    @package.executor("planner", pool="inline")
    def planner(step: StepContext) -> None:
        for number in range(LIMIT):
            step.emit("leaf", id=str(number), dedup_key=str(number))
        with pytest.raises(InvalidGraph, match="emit_limit"):
            step.emit("leaf", id="more", dedup_key="more")
        # A step that is there already is not emitted anew.
        assert step.emit("leaf", dedup_key="0").id == "0"
        refused.append(step.step.id)

    @package.executor("leaf", pool="inline")
    def leaf() -> None: ...

    @package.entrypoint
    def start(run: RunBuilder) -> None:
        run.step(planner)

    with opened(store, package) as runtime:
        run = runtime.start_run("p")
        runtime.drain(run.id, timeout=PATIENCE)

        assert refused
        assert runtime.run(run.id).status == "succeeded"
        assert len(runtime.steps(run.id)) == 1 + LIMIT
