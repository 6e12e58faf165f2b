"""One seed: workers, clients and an operator at work, first with faults, then without."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import stepwell.engine.crash_points as points
from stepwell.engine.errors import StoreError
from stepwell.engine.ids import repeatable
from stepwell.engine.package import Package
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.settings import Settings
from stepwell.stores.artifacts.memory import MemoryArtifactStore
from stepwell.stores.projections.sqlite import SqliteProjectionStore
from stepwell.testing.simulator.audit import Audit
from stepwell.testing.simulator.clients import Client, ClientActs
from stepwell.testing.simulator.faults import Faults, drawn_delay
from stepwell.testing.simulator.fibers import Fiber, Hung
from stepwell.testing.simulator.invariants import invariants
from stepwell.testing.simulator.processes import Places, SimulatedRuntime, open_runtime
from stepwell.testing.simulator.script import Script
from stepwell.testing.simulator.world import Process, Shop, World

# How long everything may take to end after the last fault, in seconds.
PATIENCE = 7_200.0
LEASES = (5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Played:
    """The result of a seed: its trace, the broken rules, and some counts."""

    seed: int
    trace: str
    broken: tuple[str, ...]
    crashes: int
    claims: int
    commits: int


class _Seat:
    """The place of one worker: when its process dies or stops, another one follows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.process: Process | None = None
        self.fiber: Fiber | None = None
        self.runtime: SimulatedRuntime | None = None

    @property
    def is_empty(self) -> bool:
        return self.fiber is None or self.fiber.place == "ended"


class Simulation:
    """Plays a script under a seed. The same seed gives the same trace, byte for byte."""

    def __init__(self, seed: int, script: Script, shop: Shop, faults: Faults | None = None) -> None:
        self._script = script
        lease = float(script.settings.get("lease", LEASES[seed % len(LEASES)]))
        self._world = World(seed, shop, faults, lease)
        chance = self._world.chance
        slots = chance.choice((1, 2, 3))
        drawn: dict[str, Any] = {
            "poll_interval": 20.0,
            "threads": slots,
            "tasks": slots,
            "processes": slots,
        }
        # A step that loses many leases fails, as it should; but here that would change the end.
        drawn |= {"max_lost_leases": 1_000, "claim_limit": chance.choice((1, 3, 1_024))}
        self._settings = Settings.of({**drawn, **script.settings, "lease": lease})
        self._world.audit = Audit(_limits(script.packages))
        self._seats = [
            _Seat(f"w{number + 1}") for number in range(chance.choice((1, 2, 2, 2, 2, 3)))
        ]
        self._places = Places(
            MemoryArtifactStore(), SqliteProjectionStore(None, clock=_RealTime(self._world))
        )
        self._deeds = ClientActs(self._world, script)

    def play(self) -> Played:
        """Play the script."""
        world = self._world
        with repeatable(world.seed), points.armed(world.at_point):
            try:
                world.fibers.start("director", self._direct, None)
                world.fibers.run()
                if world.fibers.is_stuck:
                    world.broken.append("it comes to no rest: nothing moves, or too much does")
            except Hung:
                world.abandon()
                raise
            finally:
                world.close()
                self._places.projections.close()
        return Played(
            seed=world.seed,
            trace="\n".join(world.trace) + "\n",
            broken=tuple(world.broken),
            crashes=sum(" dies " in line for line in world.trace),
            claims=world.audit.claims,
            commits=world.audit.commits,
        )

    # --- the director -----------------------------------------------------------------------

    def _direct(self) -> None:
        world = self._world
        world.tell(f"seed {world.seed}: {world.faults}, lease {world.lease:g} s")
        try:
            for seat in self._seats:
                self._sit(seat)
            deeds = self._deeds
            people = [self._person("client", deeds.start_runs), self._person("boss", deeds.operate)]
            self._faults(people)
            self._health(people)
            self._judge()
        except AssertionError as error:
            world.breach(str(error))
        except Exception as error:
            world.breach(f"the director failed: {error!r}")
        finally:
            world.fibers.stop()

    def _faults(self, people: Sequence[Client]) -> None:
        world = self._world
        strike = world.faults.strike
        while world.time.elapsed() < world.faults.seconds and not self._deeds.is_over():
            world.nap(2 * world.chance.random() * (1.0 if strike is None else strike))
            for person in people:
                person.come()
            for seat in self._seats:
                self._look_after(seat, chance=0.5)
            if strike is not None:
                self._strike()

    def _health(self, people: Sequence[Client]) -> None:
        """End the faults, so that everything must end."""
        world = self._world
        world.healthy = True
        world.tell("the faults are over")
        for process in world.processes:
            process.frozen_until = 0.0
        begun, pause = world.time.elapsed(), 0.25
        self._person("healer", self._deeds.undo).come()
        while not self._deeds.is_over():
            for person in people:
                person.come()
            for seat in self._seats:
                self._look_after(seat, chance=1.0)
            world.nap(pause)
            pause = min(pause * 1.2, world.lease)
            if world.time.elapsed() - begun > PATIENCE:
                left = {run: str(s) for run, s in world.audit.run_statuses().items() if not s.ended}
                missing = [start.run_id for start in self._deeds.unstarted]
                raise AssertionError(f"it does not end without faults: {left}, missing {missing}")

    def _judge(self) -> None:
        """Check that workers stop when told to, and that the database is as it should be."""
        world = self._world
        waited = 0
        while any(not seat.is_empty for seat in self._seats):
            for seat in self._seats:
                if seat.runtime is not None and not seat.is_empty:
                    seat.runtime.stop_workers()
            world.nap(1.0)
            waited += 1
            if waited > 600:
                raise AssertionError("a worker does not stop though it was told to")
        for seat in self._seats:
            self._read_error(seat)
        for rule in invariants(world.connection, world.audit):
            raise AssertionError(rule)
        if self._script.check is not None:
            judge = self._person("judge", self._script.check)
            while not judge.is_done:
                judge.come()
                world.nap(1.0)
                if judge.error is not None:
                    raise AssertionError(str(judge.error)) from judge.error

    def _person(self, name: str, act: Callable[[Runtime], object]) -> Client:
        return Client(name, act, self._world.process, self._open)

    # --- workers ----------------------------------------------------------------------------

    def _sit(self, seat: _Seat) -> None:
        """Start a new worker in this place."""
        seat.number += 1
        seat.process = process = self._world.process(f"{seat.name}.{seat.number}")
        seat.runtime = None

        def work() -> None:
            seat.runtime = self._open(process)
            seat.runtime.start_workers(stop=threading.Event())

        self._world.tell(f"{process.name} starts")
        seat.fiber = process.start("", work)

    def _look_after(self, seat: _Seat, chance: float) -> None:
        if seat.is_empty and self._world.chance.random() < chance:
            self._read_error(seat)
            self._sit(seat)

    def _read_error(self, seat: _Seat) -> None:
        """A worker may fail if it cannot start; one that has started waits for its store."""
        error = None if seat.fiber is None else seat.fiber.error
        began = seat.process is not None and seat.process.is_working
        if error is not None and (began or not isinstance(error, StoreError)):
            raise AssertionError(f"worker {seat.name} ended with {error!r}") from error

    def _open(self, process: Process) -> SimulatedRuntime:
        script = self._script
        return open_runtime(process, script.packages, self._places, self._settings, script.app)

    # --- blows from outside -----------------------------------------------------------------

    def _strike(self) -> None:
        world, chance = self._world, self._world.chance
        living = [seat for seat in self._seats if not seat.is_empty]
        if not living:
            return
        seat = chance.choice(living)
        assert seat.process is not None
        blow = chance.choice(("kill", "freeze", "clock", "stop"))
        if blow == "kill":
            seat.process.die("by a signal")
        elif blow == "freeze":
            seconds = drawn_delay(chance, world.lease)
            world.tell(f"{seat.process.name} is frozen for {seconds:g} s")
            seat.process.frozen_until = world.time.elapsed() + seconds
        elif blow == "clock":
            by = chance.choice((-2 * world.lease, -1.0, 1.0, 2 * world.lease, 600.0))
            world.tell(f"the wall clock is set by {by:g} s")
            world.time.set_wall_clock(by)
        elif seat.runtime is not None:
            grace = chance.choice((0.0, 1.0, 30.0))
            world.tell(f"{seat.process.name} is told to stop within {grace:g} s")
            seat.runtime.stop_workers(grace)


class _RealTime:
    """The world's time, for what all processes share."""

    def __init__(self, world: World) -> None:
        self._world = world

    def micros(self) -> int:
        return self._world.time.micros()

    def monotonic(self) -> float:
        return self._world.time.elapsed()


def _limits(packages: Sequence[Package]) -> dict[str, int]:
    """The queues with a limit of running steps."""
    return {
        queue.name: queue.max_in_flight
        for package in packages
        for queue in package.queues
        if queue.max_in_flight is not None
    }
