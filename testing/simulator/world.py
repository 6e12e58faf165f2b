"""A simulated world: one machine with a clock and a database, and processes that live and die."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from stepwell.engine.ids import seeded
from stepwell.testing.crash_points import Crashed
from stepwell.testing.simulator.audit import Audit, AuditRow
from stepwell.testing.simulator.database import Blank, disk_error
from stepwell.testing.simulator.faults import Faults, drawn_delay, drawn_error, weight
from stepwell.testing.simulator.fibers import Fiber, Fibers, Hands
from stepwell.testing.simulator.timeline import MachineTime, ProcessClock

# What the gate of a transaction tells at the same moments.
_BY_THE_GATE = ("before the begin", "before the commit", "after the commit")
# Turns that a world may take; one that takes more does not come to rest.
MOST_TURNS = 30_000


@dataclass(slots=True)
class Shop:
    """What worlds are made with, and can share one after the other: threads and statements."""

    hands: Hands = field(default_factory=Hands)
    blank: Blank = field(default_factory=Blank)


class World:
    """Everything that happens under one seed."""

    def __init__(self, seed: int, shop: Shop, faults: Faults | None, lease: float) -> None:
        self.seed = seed
        self.chance: Random = seeded(seed)
        self.faults = Faults.drawn(self.chance) if faults is None else faults
        self.lease = lease
        self.time = MachineTime()
        self.fibers = Fibers(shop.hands, self.time, self.chance, MOST_TURNS)
        self.shop = shop
        self.connection = shop.blank.connection()
        self.audit = Audit({})
        self.trace: list[str] = []
        self.broken: list[str] = []
        self.healthy = False
        self._is_abandoned = False
        self.processes: list[Process] = []

    def tell(self, text: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.time.elapsed():.6f} {self.fibers.current.name}: {text}")

    def breach(self, text: str) -> None:
        """A rule was broken: nothing after this counts."""
        self.tell(f"BROKEN {text}")
        self.broken.append(text)
        self.fibers.stop()

    def happens(self, rate: float) -> bool:
        """Whether a fault with this rate strikes here and now."""
        return not self.healthy and rate > 0 and self.chance.random() < rate

    def nap(self, seconds: float) -> None:
        """Let the others go on for so long."""
        self.fibers.sleep(seconds)

    def process(self, name: str) -> Process:
        """A new process."""
        process = Process(self, name)
        self.processes.append(process)
        return process

    def at_point(self, point: str) -> None:
        """The hook of `engine.points`: the process whose turn it is got to a point."""
        process = self.fibers.current.owner
        if isinstance(process, Process) and self.fibers.is_inside():
            process.at_point(point)

    def abandon(self) -> None:
        """Its threads cannot be ended any more."""
        self._is_abandoned = True

    def close(self) -> None:
        """End everything that still lives."""
        if self._is_abandoned:
            return
        for process in self.processes:
            process.dead = True
        self.fibers.finish()
        self.connection.close()


class Process:
    """A process of the world; it is the owner of its fibers and the gate of its store."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.frozen_until = 0.0
        self.is_working = False
        self.settling: dict[int, int] = {}
        self._transaction = "a read"
        self.clock = ProcessClock(world.time, self)
        self._own_commits = 0
        self.store: Any = world.shop.blank.store(world.connection, self.clock, self, world.fibers)

    def start(self, name: str, body: Callable[[], object]) -> Fiber:
        """A thread of this process."""
        full = f"{self.name}.{name}" if name else self.name
        return self.world.fibers.start(full, body, self)

    def die(self, why: str) -> None:
        """Kill it: its threads unwind, and can write nothing any more."""
        if self.dead:
            return
        self.world.tell(f"{self.name} dies {why}")
        self.dead = True
        fibers = self.world.fibers
        for fiber in fibers.of(self):
            fibers.wake(fiber)
        fibers.check()

    def at_point(self, point: str) -> None:
        """A labelled point. Those of a transaction are told by the gate, which knows more."""
        what, _, moment = point.rpartition(": ")
        if moment in _BY_THE_GATE:
            self._transaction = what
        elif moment == "before the acknowledgement" or what in ("worker", "operation"):
            self._transaction = what
            self.reach(point)
            self._transaction = "a read"
        else:  # somebody holds a lock here, or is within a transaction: no place to give way
            self._trouble(point, 0.0, self.world.faults.crash)

    # --- points at which something can happen -------------------------------------------------

    def reach(self, point: str) -> None:
        """A point outside of the store: others may go on, this thread may be slow, or all die."""
        world = self.world
        if not world.fibers.is_inside():
            return
        world.fibers.check()
        part = weight(self._transaction)
        if world.happens(world.faults.crash * part):
            self.die(f"at {point}")
        if world.happens(world.faults.delay * part):
            seconds = drawn_delay(world.chance, world.lease)
            world.tell(f"is slow at {point}: {seconds:g} s")
            world.nap(seconds)
        elif world.chance.random() < world.faults.switch:
            world.fibers.pass_on()

    def before_begin(self) -> None:
        """A transaction is about to begin."""
        self._alive()
        self.reach(f"{self._transaction}: before the begin")

    def before_statement(self) -> None:
        """A statement of a transaction is about to run; nobody else can go on here."""
        self._alive()
        self._trouble(
            f"{self._transaction}: a statement",
            self.world.faults.error / 8,
            self.world.faults.crash / 8,
        )

    def before_commit(self) -> None:
        """All is written, and nothing is committed."""
        self._alive()
        point = f"{self._transaction}: before the commit"
        self._trouble(point, self.world.faults.error, self.world.faults.crash)

    def committed(self, rows: list[AuditRow]) -> None:
        """The commit is done."""
        world = self.world
        world.audit.commits += 1
        self._own_commits += 1
        broken = world.audit.follow(rows, self.settling, world.time.micros())
        for line in world.audit.lines(rows):
            world.tell(line)
        for rule in broken:
            world.breach(rule)
        if rows:
            world.fibers.committed(self)

    def after_commit(self) -> None:
        """The commit is done, and its caller does not know yet."""
        world = self.world
        if world.happens(world.faults.lost * weight(self._transaction)):
            world.tell("loses the acknowledgement")
            raise disk_error(*drawn_error(world.chance))
        self.reach(f"{self._transaction}: after the commit")
        self._transaction = "a read"

    def commits_of_others(self) -> int:
        """A number that changes when another process commits."""
        self._alive()
        self._trouble("a look at the version", self.world.faults.error / 8, 0.0)
        return self.world.audit.commits - self._own_commits

    def _alive(self) -> None:
        if self.dead:
            raise Crashed("the process is dead")

    def _trouble(self, where: str, error: float, crash: float) -> None:
        world = self.world
        if not world.fibers.is_inside():
            return
        part = weight(self._transaction)
        if world.happens(error * part):
            code, text = drawn_error(world.chance)
            world.tell(f"fails at {where}: {text}")
            raise disk_error(code, text)
        if world.happens(crash * part):
            self.die(f"at {where}")


def outcome_tokens(outcomes: Sequence[Any]) -> dict[int, int]:
    """The tokens of outcomes, by the keys of their steps."""
    return {outcome.step.key: outcome.step.token for outcome in outcomes}
