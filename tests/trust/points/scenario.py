"""A scenario: what is played while a process dies, and the steps that scenarios have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from stepwell import (
    Conflict,
    Package,
    RefusedByState,
    Runtime,
)
from stepwell.engine.crash_points import Point, Write
from tests.trust.points.scenario_run import ScenarioRun

MOMENTS = ("before_begin", "before_commit", "after_commit", "before_acknowledgement")


def points(*of: Write | Point) -> frozenset[str]:
    """These points, and all four of each kind of write."""
    found: set[str] = set()
    for item in of:
        found |= {item} if isinstance(item, Point) else {getattr(item, name) for name in MOMENTS}
    return frozenset(found)


def _no_trouble(point: str) -> None:
    """Nothing happens."""


@dataclass(frozen=True)
class Scenario:
    """`points`: where its process is killed, at so many of the `times` it gets there.

    `observe`: what to compare besides the store. `empty`: it begins without a schema.

    `trouble` is called at each point, too, and may raise what a store in trouble would.
    """

    play: Callable[[ScenarioRun], None]
    points: frozenset[str]
    packages: tuple[Package, ...] = ()
    options: Callable[[ScenarioRun], dict[str, Any]] = lambda _: {}
    observe: Callable[[ScenarioRun, Runtime], Any] = lambda *_: None
    trouble: Callable[[], Callable[[str], None]] = lambda: _no_trouble
    empty: bool = False
    times: int = 2
    on: frozenset[str] = field(default_factory=lambda: frozenset({"sqlite"}))

    @contextmanager
    def opened(self, scenario: ScenarioRun) -> Iterator[Runtime]:
        """A runtime as the scenario uses it."""
        with scenario.opened(*self.packages, **self.options(scenario)) as runtime:
            yield runtime


BOTH = frozenset({"sqlite", "postgres"})


def start(
    scenario: ScenarioRun, runtime: Runtime, package: Package, run_id: str, input: Any = None
) -> None:
    """Start a run, unless that was done, and be told so."""
    with suppress(Conflict):
        runtime.start_run(package, input, run_id=run_id)
    scenario.told("run", run_id)


def finish(scenario: ScenarioRun, runtime: Runtime, run_id: str, *may_end: str) -> None:
    """Work until the run has ended as it may, and be told its results."""
    runtime.drain(run_id, timeout=30)
    status = runtime.run(run_id).status
    assert status in (may_end or ("succeeded",)), f"run {run_id!r} {status}"
    for step in runtime.steps(run_id):
        if step.status == "succeeded":
            scenario.told("result", run_id, step.id, runtime.result(run_id, step.id).value)


def do(scenario: ScenarioRun, act: Callable[[], object], run_id: str, event: str) -> None:
    """An operator's act; one that is refused was done before."""
    with suppress(RefusedByState):
        act()
        scenario.told("event", run_id, event)
