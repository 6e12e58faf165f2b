"""`simulate()`: runs a package under many seeds, all of which must end the same way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack

from stepwell.engine.errors import InvalidInput, StepwellError, nearest
from stepwell.engine.package import Package, Workflow
from stepwell.engine.runtime.run_handle import RunHandle
from stepwell.engine.runtime.runtime import Runtime
from stepwell.testing.end_state import PlayOptions, differences, end_state
from stepwell.testing.simulator.faults import Faults
from stepwell.testing.simulator.script import Script, Start
from stepwell.testing.simulator.simulation import Played, Simulation
from stepwell.testing.simulator.world import Shop
from stepwell.testing.virtual import virtual_runtime

RUN_ID = "run"
# How many lines of a trace are shown with an error.
LAST_LINES = 25


class SimulateOptions(PlayOptions, total=False):
    """What `simulate` takes besides package, input and seeds: `PlayOptions`, and these.

    `during(runtime, run)`: called now and then while a step waits, for example to approve it.
    `faults`: used instead of those drawn from the seed.
    """

    during: Callable[[Runtime, RunHandle[Any]], object]
    faults: Faults


@dataclass(frozen=True, slots=True)
class Simulated:
    """How many seeds were played, what happened in them, and their common end."""

    seeds: int
    crashes: int
    claims: int
    commits: int
    end: dict[str, Any]


def simulate(
    package: Package | Workflow[Any, Any],
    input: Any = None,
    *,
    seeds: Iterable[int] = range(100),
    **options: Unpack[SimulateOptions],
) -> Simulated:
    """Run a package under seeds, each with its own faults, and check that it always ends the same.

    One to three workers, a client and an operator share a store in memory. The seed decides which
    of them runs next, which dies, is slow or frozen, which commits fail, which acknowledgements are
    lost, and how the clock is set. After the faults, everything must end as it does undisturbed.
    Each transaction is checked against Stepwell's promises. A seed always does the same.

    Raises:
        AssertionError: naming the seed and what went wrong, with the end of its trace.
        InvalidInput: for an invalid option.
    """
    unknown = options.keys() - SimulateOptions.__annotations__.keys()
    if unknown:
        name = min(unknown)
        close = nearest(name, SimulateOptions.__annotations__)
        raise InvalidInput(f"simulate: unknown option {name!r}{close}")
    if isinstance(options.get("ignore"), str):
        raise InvalidInput("simulate.ignore: must be a list of patterns")
    trial = _Trial(package, input, options)
    end = trial.undisturbed()
    shop = Shop()
    played: list[Played] = []
    try:
        for seed in seeds:
            played.append(trial.play(seed, shop, end))
    finally:
        shop.hands.dismiss()
    return Simulated(
        seeds=len(played),
        crashes=sum(one.crashes for one in played),
        claims=sum(one.claims for one in played),
        commits=sum(one.commits for one in played),
        end=end,
    )


def report(played: Played, command: str) -> str:
    """What went wrong under a seed, how to repeat it, and the end of its trace."""
    lines = played.trace.splitlines()
    shown = "\n  ".join(lines[-LAST_LINES:])
    wrong = "\n  ".join(played.broken)
    return (
        f"seed {played.seed}: {wrong}\n  repeat it: {command}\n"
        f"  the last of {len(lines)} lines of its trace:\n  {shown}"
    )


class _Trial:
    """One package under test, with everything that a seed needs."""

    def __init__(self, package: Any, input: Any, options: SimulateOptions) -> None:
        own = [package] if isinstance(package, Package) else []
        self._package = package
        self._packages = [*own, *options.get("packages", ())]
        self._input = input
        self._options = options
        self._send = tuple(options.get("send", ()))

    def undisturbed(self) -> dict[str, Any]:
        """How it ends without faults."""
        during = self._options.get("during")
        self._reset()
        runtime = virtual_runtime(
            *self._packages, app=self._options.get("app"), settings=self._options.get("settings")
        )
        try:
            run = runtime.start_run(
                self._package,
                self._input,
                run_id=RUN_ID,
                entrypoint=self._options.get("entrypoint"),
            )
            for number, (topic, payload) in enumerate(self._send, start=1):
                runtime.send(RUN_ID, topic, payload, key=f"send-{number}")
            runtime.drain(RUN_ID, during=None if during is None else lambda: during(runtime, run))
            return self._end(runtime)
        except StepwellError as error:
            raise AssertionError(f"undisturbed, the run did not end: {error}") from error
        finally:
            runtime.close()

    def play(self, seed: int, shop: Shop, end: dict[str, Any]) -> Played:
        """Play a seed. Raises AssertionError if anything is wrong."""
        self._reset()
        during = self._options.get("during")

        def attend(runtime: Runtime, run_id: str) -> None:
            assert during is not None
            during(runtime, RunHandle[Any](runtime, runtime.run(run_id)))

        start = Start(
            self._package, self._input, RUN_ID, self._options.get("entrypoint"), self._send
        )
        script = Script(
            self._packages,
            [start],
            settings=self._options.get("settings") or {},
            app=self._options.get("app"),
            check=partial(self._compare, end),
            during=None if during is None else attend,
        )
        played = Simulation(seed, script, shop, self._options.get("faults")).play()
        if played.broken:
            raise AssertionError(report(played, f"simulate(…, seeds=[{seed}])"))
        return played

    def _compare(self, end: dict[str, Any], runtime: Runtime) -> None:
        ignore = tuple(self._options.get("ignore", ()))
        changed = differences(end, self._end(runtime), ignore)
        assert not changed, "it ended differently\n  " + "\n  ".join(changed)

    def _end(self, runtime: Runtime) -> dict[str, Any]:
        observe = self._options.get("observe")
        observed = None if observe is None else copy.deepcopy(observe())
        return {**end_state(runtime, RUN_ID), "observed": observed}

    def _reset(self) -> None:
        reset = self._options.get("reset")
        if reset is not None:
            reset()
