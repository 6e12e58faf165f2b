"""One seed of random graphs: what is started under it, and what has to come of it."""

from __future__ import annotations

from random import Random

from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.states import RunStatus
from stepwell.testing.simulator.faults import Faults
from stepwell.testing.simulator.script import Script, Start
from stepwell.testing.simulator.simulation import Played, Simulation
from stepwell.testing.simulator.world import Shop
from tests.trust.simulator.graphs import PACKAGE, Spec, drawn, end_of, messages


def play(seed: int, shop: Shop, faults: Faults | None = None) -> Played:
    """Play one to three random graphs under a seed."""
    return Simulation(seed, script_of(seed), shop, faults).play()


def script_of(seed: int) -> Script:
    """What is started under this seed."""
    chance = Random(seed)
    specs = [drawn(chance, f"r{number}") for number in range(chance.choice((1, 1, 1, 2, 2, 3)))]
    cancels = chance.random() < 0.3
    starts = [
        Start(PACKAGE, spec, spec["name"], send=messages(spec), may_cancel=cancels and place > 0)
        for place, spec in enumerate(specs)
    ]

    def check(runtime: Runtime) -> None:
        for spec, start in zip(specs, starts, strict=True):
            check_run(runtime, spec, may_be_canceled=start.may_cancel)

    return Script([PACKAGE], starts, check=check, retries=chance.random() < 0.5)


def check_run(runtime: Runtime, spec: Spec, *, may_be_canceled: bool) -> None:
    """Assert that a run ended as the model says."""
    name, end = spec["name"], end_of(spec)
    run = runtime.run(name)
    steps = {step.id: str(step.status) for step in runtime.steps(name)}
    values = {
        id: runtime.result(name, id).value for id, status in steps.items() if status == "succeeded"
    }
    records = runtime.records("graphs", "notes")
    written = {key: value for key, value in records.items() if key.startswith(f"{name}/")}
    if may_be_canceled and run.status is RunStatus.CANCELED:
        unlike = {id: value for id, value in values.items() if end.steps[id][1] != value}
        assert not unlike, f"run {name} was canceled; its results {unlike}, the model's {end.steps}"
        assert written.items() <= end.records.items(), f"run {name}: records {written}"
        return
    assert steps == {id: status for id, (status, _) in end.steps.items()}, (
        f"run {name}: its steps {steps}, the model's {end.steps}"
    )
    wanted = {id: value for id, (status, value) in end.steps.items() if status == "succeeded"}
    assert values == wanted, f"run {name}: its results {values}, the model's {wanted}"
    assert written == end.records, f"run {name}: its records {written}, the model's {end.records}"
    assert str(run.status) == end.status, f"run {name}: {run.status}, the model says {end.status}"
