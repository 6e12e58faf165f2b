"""Fibers: threads of which only one runs at a time, and which switch only at explicit points.

A seeded random source chooses the next one, so the same seed gives the same order. Time moves only
when no fiber is ready: to the moment at which the next sleeping fiber wakes.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from queue import Empty
from random import Random
from typing import Any, Protocol

from stepwell.engine.worker.outcome_queue import OutcomeQueue
from stepwell.testing.crash_points import Crashed


class Owner(Protocol):
    """The process a fiber belongs to."""

    dead: bool
    frozen_until: float


class Timeline(Protocol):
    """The time of all processes, in seconds since the start."""

    def elapsed(self) -> float: ...
    def move_to(self, elapsed: float) -> None: ...


# Real seconds after which a fiber that does not switch counts as hung.
LONGEST_TURN = 60.0


class Hung(Exception):
    """A fiber waits for something in real time, so that no fiber will ever continue."""


class Fiber:
    """One of the threads. It ends with its body, or with `Crashed` if its owner is dead."""

    __slots__ = ("body", "error", "hand", "name", "owner", "place", "ticket", "watches")

    def __init__(self, name: str, body: Callable[[], object], owner: Owner | None) -> None:
        self.name = name
        self.body = body
        self.owner = owner
        self.hand: _Hand | None = None
        self.error: BaseException | None = None
        self.place = "ready"  # ready | running | asleep | blocked | ended
        self.ticket = 0  # distinguishes a sleep that was cut short
        self.watches = False  # whether a commit of another process wakes it

    @property
    def is_doomed(self) -> bool:
        """Whether it must unwind because its process died."""
        return self.owner is not None and self.owner.dead


class Hands:
    """Operating-system threads, kept for reuse by later fibers."""

    def __init__(self) -> None:
        self.idle: list[_Hand] = []

    def take(self) -> _Hand:
        """A free thread, or a new one."""
        return self.idle.pop() if self.idle else _Hand(self)

    def dismiss(self) -> None:
        """End the free threads."""
        while self.idle:
            hand = self.idle.pop()
            hand.work = None
            hand.go.release()
            hand.thread.join()


class _Hand:
    """A thread that waits for `go`, then does `work`, which returns the next thread to run."""

    def __init__(self, hands: Hands | None) -> None:
        self.go = threading.Lock()
        self.go.acquire()
        self.work: Callable[[], _Hand] | None = None
        self.ident = threading.get_ident()
        self._hands = hands
        if hands is not None:
            self.thread = threading.Thread(target=self._serve, name="stepwell-fiber", daemon=True)
            self.thread.start()

    def _serve(self) -> None:
        self.ident = threading.get_ident()
        while True:
            self.go.acquire()
            if self.work is None:
                return
            following = self.work()
            assert self._hands is not None
            self._hands.idle.append(self)
            following.go.release()


class Fibers:
    """All fibers of one simulated world, and whose turn it is."""

    def __init__(self, hands: Hands, timeline: Timeline, chance: Random, most: int) -> None:
        self._hands = hands
        self._timeline = timeline
        self._chance = chance
        self._most = most
        self._ready: list[Fiber] = []
        self._asleep: list[tuple[float, int, int, Fiber]] = []
        self._all: list[Fiber] = []
        self._count = 0
        self._main = Fiber("main", lambda: None, None)
        self._main.hand = _Hand(None)
        self._stopped = False
        self._is_closing = False
        self.switches = 0
        self.current = self._main
        self.is_stuck = False

    # --- from outside ---------------------------------------------------------------------

    def start(self, name: str, body: Callable[[], object], owner: Owner | None) -> Fiber:
        """Start a new fiber, which is ready."""
        fiber = Fiber(name, body, owner)
        self._ready.append(fiber)
        self._all.append(fiber)
        return fiber

    def of(self, owner: Owner) -> list[Fiber]:
        """The fibers of a process that have not ended."""
        return [fiber for fiber in self._all if fiber.owner is owner]

    def run(self) -> None:
        """Run all fibers until one calls `stop`, none can continue, or it takes too long."""
        self._stopped = False
        self._main.place = "blocked"
        self._leave()

    def stop(self) -> None:
        """Make `run` return at the next switch."""
        self._stopped = not self._is_closing

    def finish(self) -> None:
        """Unwind all fibers that have not ended; their owners must be dead."""
        self._is_closing = True
        for fiber in self._all:
            self.wake(fiber)
        self._most = self.switches + 1_000 * (1 + len(self._ready))
        self.run()
        left = [fiber.name for fiber in self._all if fiber.place != "ended"]
        assert not left, f"fibers that do not end: {left}"

    # --- what fibers call -----------------------------------------------------------------

    def is_inside(self) -> bool:
        """Whether the caller is the running fiber, and not another thread."""
        hand = self.current.hand
        return hand is not None and hand.ident == threading.get_ident()

    def check(self) -> None:
        """Raise Crashed in a fiber whose process is dead."""
        closing = self._is_closing and self.current is not self._main
        if closing or self.current.is_doomed:
            raise Crashed("the process is dead")

    def pass_on(self) -> None:
        """Stay ready, and let the random source choose the next fiber."""
        me = self.current
        self.check()
        me.place = "ready"
        self._ready.append(me)
        self._leave()

    def sleep(self, seconds: float, *, watching: bool = False) -> None:
        """Sleep; with `watching`, at most until another process commits."""
        self.check()
        self._lie_down(self.current, self._timeline.elapsed() + seconds, watching)
        self._leave()

    def block(self) -> None:
        """Block until another fiber calls `wake`."""
        self.check()
        self.current.place = "blocked"
        self._leave()

    def wake(self, fiber: Fiber) -> None:
        """Make a fiber ready that sleeps or is blocked."""
        if fiber.place in ("asleep", "blocked"):
            fiber.place = "ready"
            fiber.ticket += 1
            self._ready.append(fiber)

    def committed(self, by: Owner | None) -> None:
        """Wake all fibers that watch for commits of others."""
        for _, _, ticket, fiber in sorted(self._asleep, key=lambda entry: entry[1]):
            if fiber.watches and fiber.ticket == ticket and fiber.owner is not by:
                self.wake(fiber)

    # --- whose turn it is -----------------------------------------------------------------

    def _lie_down(self, fiber: Fiber, until: float, watches: bool) -> None:
        fiber.place = "asleep"
        fiber.watches = watches
        fiber.ticket += 1
        self._count += 1
        heappush(self._asleep, (until, self._count, fiber.ticket, fiber))

    def _leave(self) -> None:
        """Switch to the next fiber, and continue when this one is chosen again."""
        me = self.current
        following = self._choose()
        if following is not me:
            hand = self._enter(following)
            assert me.hand is not None
            hand.go.release()
            if me is self._main:
                self._wait_for_turn(me.hand)
            else:
                me.hand.go.acquire()
        me.place = "running"
        self.check()

    def _wait_for_turn(self, hand: _Hand) -> None:
        """Wait in the main thread; a fiber that waits in real time would hang for ever."""
        seen = -1
        while not hand.go.acquire(timeout=LONGEST_TURN):
            if seen == self.switches:
                ident = None if self.current.hand is None else self.current.hand.ident
                frame = sys._current_frames().get(ident or 0)
                where = "".join(traceback.format_stack(frame, limit=8)) if frame else "?"
                raise Hung(
                    f"{self.current.name} waits for something that is not simulated:\n{where}"
                )
            seen = self.switches

    def _enter(self, fiber: Fiber) -> _Hand:
        """Make it the current fiber; returns the thread that runs it."""
        self.current = fiber
        if fiber.hand is None:
            fiber.hand = self._hands.take()
            fiber.hand.work = self._living(fiber)
        return fiber.hand

    def _living(self, fiber: Fiber) -> Callable[[], _Hand]:
        def live() -> _Hand:
            fiber.place = "running"
            try:
                self.check()
                fiber.body()
            except Crashed:
                pass
            except BaseException as error:
                fiber.error = error
            fiber.place = "ended"
            self._all.remove(fiber)
            fiber.hand = None
            return self._enter(self._choose())

        return live

    def _choose(self) -> Fiber:
        while True:
            self.switches += 1
            if self._stopped or self.switches > self._most:
                self.is_stuck = not self._stopped
                return self._main
            if not self._ready and not self._wake_next():
                self.is_stuck = bool(self._all)
                return self._main
            place = self._chance.randrange(len(self._ready)) if len(self._ready) > 1 else 0
            fiber = self._ready.pop(place)
            owner = fiber.owner
            if owner is None or owner.dead or owner.frozen_until <= self._timeline.elapsed() + 1e-6:
                return fiber
            self._lie_down(fiber, owner.frozen_until, watches=False)

    def _wake_next(self) -> bool:
        """Move the time to the next wake-up; False if no fiber sleeps."""
        while self._asleep:
            until, _, ticket, fiber = heappop(self._asleep)
            if fiber.place == "asleep" and fiber.ticket == ticket:
                self._timeline.move_to(max(until, self._timeline.elapsed()))
                self.wake(fiber)
                return True
        return False


class FiberLock:
    """A reentrant lock between fibers of one process: a fiber that waits for it lets others run."""

    def __init__(self, fibers: Fibers) -> None:
        self._fibers = fibers
        self._holder: Fiber | None = None
        self._depth = 0
        self._waiting: list[Fiber] = []

    def acquire(self, blocking: bool = True) -> bool:
        """Take the lock; without `blocking`, only if it is free. Returns whether it was taken."""
        fibers = self._fibers
        while self._holder not in (None, fibers.current):
            if not blocking:
                return False
            self._waiting.append(fibers.current)
            fibers.block()
        self._holder = fibers.current
        self._depth += 1
        return True

    def release(self) -> None:
        """Release the lock."""
        self._depth -= 1
        if self._depth:
            return
        self._holder = None
        waiting, self._waiting = self._waiting, []
        for fiber in waiting:
            self._fibers.wake(fiber)

    def __enter__(self) -> FiberLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class FiberOutcomeQueue(OutcomeQueue[Any]):
    """A worker's outcome queue: while it is empty, others run until an item or a commit comes.

    A wait may take longer than requested, as on a slow machine: longer and longer while nothing
    happens, up to `patience` seconds.
    """

    def __init__(self, fibers: Fibers, patience: float) -> None:
        self._fibers = fibers
        self._patience = patience
        self._idle = 0.0
        self._items: deque[Any] = deque()
        self._reader: Fiber | None = None

    def put(self, item: Any) -> None:
        """Add an item, and wake the fiber that waits for one."""
        self._items.append(item)
        if self._reader is not None:
            self._fibers.wake(self._reader)

    def empty(self) -> bool:
        return not self._items

    def get_nowait(self) -> Any:
        """The oldest item. Raises queue.Empty if there is none."""
        self._fibers.check()
        if not self._items:
            raise Empty
        self._idle = 0.0
        return self._items.popleft()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The oldest item; with `block`, waits for one, without a `timeout` for ever."""
        if block and not self._items:
            timeout = self._patience if timeout is None else timeout
            self._idle = min(max(timeout, 2 * self._idle), max(timeout, self._patience))
            self._reader = self._fibers.current
            try:
                self._fibers.sleep(self._idle, watching=True)
            finally:
                self._reader = None
        return self.get_nowait()
