"""The client and the operator, and how they continue when their process dies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from stepwell.engine.errors import Conflict, NotFound, RefusedByState, StoreError
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.states import RunStatus, StepStatus
from stepwell.testing.simulator.fibers import Fiber
from stepwell.testing.simulator.script import Script, Start
from stepwell.testing.simulator.world import Process, World


class ClientActs:
    """What client and operator do; each act is repeated if their process dies during it."""

    def __init__(self, world: World, script: Script) -> None:
        self.world = world
        self.script = script
        self.unstarted = list(script.starts)
        self.is_sent = False
        self.is_acting = False
        self._unsent: list[Start] = []

    def is_over(self) -> bool:
        """Whether everything has been done, and every run has ended."""
        audit = self.world.audit
        done = not self.unstarted and self.is_sent and not self.is_acting
        return done and audit.open_runs == 0

    def start_runs(self, runtime: Runtime) -> None:
        """The client: starts each run, again if it does not know whether it succeeded."""
        world = self.world
        while self.unstarted:
            start = self.unstarted[0]
            world.nap(world.chance.random() * 2)
            try:
                runtime.start_run(
                    start.package, start.input, run_id=start.run_id, entrypoint=start.entrypoint
                )
            except Conflict:
                world.tell(f"run {start.run_id} is there")
            except StoreError:
                continue
            del self.unstarted[0]
        self._unsent = [start for start in self.script.starts if not self._send(runtime, start)]
        self.is_sent = True

    def _send(self, runtime: Runtime, start: Start) -> bool:
        """Send a run its messages; returns whether it took them: an ended run does not."""
        return all(
            self._insist(partial(runtime.send, start.run_id, topic, payload, key=f"send-{number}"))
            for number, (topic, payload) in enumerate(start.send, start=1)
        )

    def _insist(self, act: Callable[[], object]) -> bool:
        """Try again while the store fails; False if the state does not allow it."""
        while True:
            self.world.nap(self.world.chance.random())
            try:
                act()
            except StoreError:
                continue
            except (RefusedByState, NotFound, Conflict):
                return False
            return True

    def operate(self, runtime: Runtime) -> None:
        """The operator: pauses and resumes, holds and releases, retries and cancels."""
        world, chance = self.world, self.world.chance
        restless = chance.choice((False, True, True))
        while not self.is_over():
            world.nap(1 + 10 * chance.random())
            run = chance.choice(self.script.starts)
            if self.script.during is not None:
                self._insist(partial(self._attend, runtime, run.run_id))
            if restless and not world.healthy:
                self.is_acting = True  # its next act may reopen a run
                try:
                    self._act_on(runtime, run)
                finally:
                    self.is_acting = False

    def _attend(self, runtime: Runtime, run_id: str) -> None:
        assert self.script.during is not None
        if runtime.steps(run_id, status=StepStatus.WAITING):
            self.script.during(runtime, run_id)

    def _act_on(self, runtime: Runtime, start: Start) -> None:
        world, chance, run = self.world, self.world.chance, start.run_id
        acts = ["pause", "resume", "hold", "release"]
        acts += ["retry"] * self.script.retries + ["cancel"] * start.may_cancel
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

    def undo(self, runtime: Runtime) -> None:
        """Release and resume everything, even late, and send retried runs their messages."""
        while not self.is_over():
            self._unsent = [start for start in self._unsent if not self._send(runtime, start)]
            for run in runtime.runs(limit=1_000):
                if run.status is RunStatus.PAUSED:
                    self._insist(partial(runtime.resume_run, run.id))
                for step in runtime.steps(run.id):
                    if step.held or step.status is StepStatus.HELD:
                        self._insist(partial(runtime.release_step, run.id, step.id))
            self.world.nap(self.world.lease)


class Client:
    """A client with its own process, who starts from the beginning when it dies."""

    def __init__(
        self,
        name: str,
        act: Callable[[Runtime], object],
        process: Callable[[str], Process],
        open_runtime: Callable[[Process], Runtime],
    ) -> None:
        self._process = process
        self._open = open_runtime
        self._name = name
        self._act = act
        self._number = 0
        self._fiber: Fiber | None = None
        self.is_done = False
        self.error: BaseException | None = None

    def come(self) -> None:
        """Start the process, unless everything is done."""
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
        process = self._process(f"{self._name}.{self._number}")

        def act() -> None:
            self._act(self._open(process))
            self.is_done = True

        self._fiber = process.start("", act)
