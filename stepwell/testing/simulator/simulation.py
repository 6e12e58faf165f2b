"""One seed: workers, clients and an operator at work, first among faults, then in health."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stepwell.engine.errors import Conflict, NotFound, RefusedByState, StoreError
from stepwell.engine.ids import repeatable
from stepwell.engine.package import Package
from stepwell.engine.settings import Settings
from stepwell.engine.states import RunStatus, StepStatus
from stepwell.stores.artifacts.memory import MemoryArtifactStore
from stepwell.stores.projections import SqliteProjectionStore
from stepwell.testing.simulator.audit import Audit
from stepwell.testing.simulator.faults import Faults, drawn_delay
from stepwell.testing.simulator.fibers import Fiber
from stepwell.testing.simulator.processes import Places, SimulatedRuntime, open_runtime
from stepwell.testing.simulator.standing import standing
from stepwell.testing.simulator.world import Process, Shop, World

# How long everything may take to end once there are no faults any more, in seconds.
PATIENCE = 7_200.0
LEASES = (3.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Start:
    """A run to be started, and messages to send it: (topic, payload)."""

    package: Any
    input: Any
    run_id: str
    entrypoint: str | None = None
    send: Sequence[tuple[str, Any]] = ()
    may_cancel: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """What happens in a world besides faults.

    `check(runtime)` is called when all has ended, and raises AssertionError. `during(runtime,
    run_id)` is called now and then for each run in which a step waits. With `retries` the
    operator retries failed runs, too.
    """

    packages: Sequence[Package]
    starts: Sequence[Start]
    settings: Mapping[str, Any] = field(default_factory=dict)
    app: Any = None
    check: Callable[[SimulatedRuntime], object] | None = None
    during: Callable[[SimulatedRuntime, str], object] | None = None
    retries: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a seed: the trace, the rules that were broken, and some numbers."""

    seed: int
    trace: str
    broken: tuple[str, ...]
    crashes: int
    claims: int
    commits: int


class _Seat:
    """A worker's place: the process in it dies, stops, and is followed by another one."""

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
            "poll_interval": 5.0,
            "threads": slots,
            "tasks": slots,
            "processes": slots,
        }
        # A step that loses many leases fails, and that is how it has to be; here it is a fault.
        drawn |= {"max_lost_leases": 1_000, "claim_limit": chance.choice((1, 3, 1_024))}
        self._settings = Settings.of({**drawn, **script.settings, "lease": lease})
        self._world.audit = Audit(_limits(script.packages))
        self._seats = [_Seat(f"w{number + 1}") for number in range(chance.choice((1, 2, 2, 2, 3)))]
        self._places = Places(
            MemoryArtifactStore(), SqliteProjectionStore(None, clock=_RealTime(self._world))
        )
        self._unstarted = list(script.starts)
        self._is_sent = False

    def play(self) -> Played:
        """Let it happen."""
        world = self._world
        with repeatable(world.seed):
            try:
                world.fibers.start("director", self._direct, None)
                world.fibers.run()
                if world.fibers.is_stuck:
                    world.broken.append("it comes to no rest: nothing moves, or too much does")
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
            people = [_Person(self, "client", self._start_runs), _Person(self, "boss", self._boss)]
            self._faults(people)
            self._health(people)
            self._judge()
        except AssertionError as error:
            world.breach(str(error))
        except Exception as error:
            world.breach(f"the director failed: {error!r}")
        finally:
            world.fibers.stop()

    def _faults(self, people: Sequence[_Person]) -> None:
        world = self._world
        strike = world.faults.strike
        while world.time.elapsed() < world.faults.seconds and not self._is_over():
            world.nap(2 * world.chance.random() * (1.0 if strike is None else strike))
            for person in people:
                person.return_()
            for seat in self._seats:
                self._look_after(seat, chance=0.5)
            if strike is not None:
                self._strike()

    def _health(self, people: Sequence[_Person]) -> None:
        """From here on nothing goes wrong any more, so everything has to end."""
        world = self._world
        world.healthy = True
        world.tell("the faults are over")
        for process in world.processes:
            process.frozen_until = 0.0
        begun, pause = world.time.elapsed(), 0.25
        _Person(self, "healer", self._undo).return_()
        while not self._is_over():
            for person in people:
                person.return_()
            for seat in self._seats:
                self._look_after(seat, chance=1.0)
            world.nap(pause)
            pause = min(pause * 1.2, world.lease)
            if world.time.elapsed() - begun > PATIENCE:
                left = {run: str(s) for run, s in world.audit.run_statuses().items() if not s.ended}
                missing = [start.run_id for start in self._unstarted]
                raise AssertionError(f"it does not end without faults: {left}, missing {missing}")

    def _is_over(self) -> bool:
        over = not self._unstarted and self._is_sent and self._world.audit.open_runs == 0
        return over and bool(self._world.audit.run_statuses())

    def _judge(self) -> None:
        """Workers stop when told to, and what they left behind is as it should be."""
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
        for rule in standing(world.connection, world.audit):
            raise AssertionError(rule)
        if self._script.check is not None:
            judge = _Person(self, "judge", self._script.check)
            while not judge.is_done:
                judge.return_()
                world.nap(1.0)
                if judge.error is not None:
                    raise AssertionError(str(judge.error)) from judge.error

    # --- workers ----------------------------------------------------------------------------

    def _sit(self, seat: _Seat) -> None:
        """A new worker takes the seat."""
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
        """A worker may fail when it cannot begin; one that has begun waits for its store."""
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

    # --- people -----------------------------------------------------------------------------

    def _start_runs(self, runtime: SimulatedRuntime) -> None:
        """The client: starts each run, and again when it does not know whether it did."""
        world = self._world
        while self._unstarted:
            start = self._unstarted[0]
            world.nap(world.chance.random() * 2)
            try:
                runtime.start_run(
                    start.package, start.input, run_id=start.run_id, entrypoint=start.entrypoint
                )
            except Conflict:
                world.tell(f"run {start.run_id} is there")
            except StoreError:
                continue
            del self._unstarted[0]
        for start in self._script.starts:
            for number, (topic, payload) in enumerate(start.send, start=1):
                key = f"send-{number}"
                self._insist(partial(runtime.send, start.run_id, topic, payload, key=key))
        self._is_sent = True

    def _insist(self, act: Callable[[], object]) -> bool:
        """Try again as long as the store fails; False when the state refuses it."""
        while True:
            self._world.nap(self._world.chance.random())
            try:
                act()
            except StoreError:
                continue
            except (RefusedByState, NotFound, Conflict):
                return False
            return True

    def _boss(self, runtime: SimulatedRuntime) -> None:
        """The operator: pauses and resumes, holds and releases, retries and cancels."""
        world, chance = self._world, self._world.chance
        restless = chance.choice((False, True, True))
        while not self._is_over():
            world.nap(1 + 10 * chance.random())
            run = chance.choice(self._script.starts)
            if self._script.during is not None:
                self._insist(partial(self._attend, runtime, run.run_id))
            if restless and not world.healthy:
                self._act_on(runtime, run)

    def _attend(self, runtime: SimulatedRuntime, run_id: str) -> None:
        assert self._script.during is not None
        if runtime.steps(run_id, status=StepStatus.WAITING):
            self._script.during(runtime, run_id)

    def _act_on(self, runtime: SimulatedRuntime, start: Start) -> None:
        world, chance, run = self._world, self._world.chance, start.run_id
        acts = ["pause", "resume", "hold", "release"]
        acts += ["retry"] * self._script.retries + ["cancel"] * start.may_cancel
        act = chance.choice(acts)
        steps: list[str] = []

        def look() -> None:
            steps[:] = [step.id for step in runtime.steps(run)]

        if act in ("hold", "release") and not (self._insist(look) and steps):
            return
        deed: Callable[[], object] = {
            "pause": lambda: runtime.pause_run(run),
            "resume": lambda: runtime.resume_run(run),
            "retry": lambda: runtime.retry_run(run),
            "cancel": lambda: runtime.cancel_run(run),
            "hold": lambda: runtime.hold_step(run, chance.choice(steps)),
            "release": lambda: runtime.release_step(run, chance.choice(steps)),
        }[act]
        world.tell(f"{act} {run}")
        self._insist(deed)

    def _undo(self, runtime: SimulatedRuntime) -> None:
        """What was held back goes on, even if it was held back late."""
        while not self._is_over():
            for run in runtime.runs(limit=1_000):
                if run.status is RunStatus.PAUSED:
                    self._insist(partial(runtime.resume_run, run.id))
                for step in runtime.steps(run.id):
                    if step.held or step.status is StepStatus.HELD:
                        self._insist(partial(runtime.release_step, run.id, step.id))
            self._world.nap(self._world.lease)


class _Person:
    """Somebody with a process of their own, who starts again from the top when it dies."""

    def __init__(
        self, simulation: Simulation, name: str, act: Callable[[SimulatedRuntime], object]
    ) -> None:
        self._simulation = simulation
        self._name = name
        self._act = act
        self._number = 0
        self._fiber: Fiber | None = None
        self.is_done = False
        self.error: BaseException | None = None

    def return_(self) -> None:
        """Be there, unless all is done."""
        if self._fiber is not None and self._fiber.place != "ended":
            return
        error = None if self._fiber is None else self._fiber.error
        if error is not None and not isinstance(error, StoreError):
            self.error = error
            if not isinstance(error, AssertionError):
                raise AssertionError(f"{self._name} failed: {error!r}") from error
        if self.is_done or self.error is not None:
            return
        self._number += 1
        process = self._simulation._world.process(f"{self._name}.{self._number}")

        def act() -> None:
            self._act(self._simulation._open(process))
            self.is_done = True

        self._fiber = process.start("", act)


class _RealTime:
    """The world's time for what all processes share."""

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
