"""A run store as a plain dict would be: what each call has to answer, and what is there then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stepwell.engine.exchange import Edge
from stepwell.engine.states import Condition

ENDED = ("succeeded", "failed", "canceled", "skipped")
NARROW = "narrow"


@dataclass
class StepModel:
    """A step."""

    run: str
    id: str
    edges: tuple[Edge, ...]
    queue: str
    priority: int
    status: str = "pending"
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    token: int = 0
    worker: str = ""
    expires: int = 0
    due: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """Its place in the model."""
        return self.run, self.id


@dataclass
class RunModel:
    """A run."""

    id: str
    status: str = "pending"
    steps: dict[str, StepModel] = field(default_factory=dict)


class StoreModel:
    """All runs. Graphs have no step that could be canceled as well as skipped."""

    def __init__(self) -> None:
        self.runs: dict[str, RunModel] = {}

    def steps(self) -> list[StepModel]:
        """All steps."""
        return [step for run in self.runs.values() for step in run.steps.values()]

    def open_runs(self) -> list[str]:
        """The runs that have not ended."""
        return [run.id for run in self.runs.values() if run.status not in ENDED]

    # --- calls ------------------------------------------------------------------------------

    def create(self, run: str, steps: Iterable[StepModel], now: int) -> None:
        """A new run."""
        self.runs[run] = RunModel(run)
        self._add(run, steps, now)

    def _add(self, run: str, steps: Iterable[StepModel], now: int) -> None:
        for step in steps:
            self.runs[run].steps[step.id] = step
        self._spread(run, now)

    def claimable(self, now: int) -> list[StepModel]:
        """What is ready and due, the best priority first."""
        ready = [step for step in self.steps() if step.status == "ready" and step.due <= now]
        return sorted(ready, key=lambda step: step.priority)

    def room(self) -> int:
        """How many more steps of the narrow queue may run."""
        running = [s for s in self.steps() if s.status == "running" and s.queue == NARROW]
        return 1 - len(running)

    def claim(self, step: StepModel, worker: str, until: int) -> None:
        """A worker takes a step."""
        step.status, step.worker, step.expires = "running", worker, until
        step.attempt += 1
        step.token += 1
        if self.runs[step.run].status == "pending":
            self.runs[step.run].status = "running"

    def holds(self, step: StepModel, token: int) -> bool:
        """Whether who claimed the step with this token still has it."""
        return step.status == "running" and step.token == token

    def end(self, step: StepModel, status: str, now: int, emitted: Sequence[StepModel]) -> None:
        """A step ended."""
        step.status = status
        step.failures += status == "failed"
        self._add(step.run, emitted, now)

    def back(
        self, step: StepModel, due: int, *, failed: bool = False, charged: bool = True
    ) -> None:
        """A step is ready again."""
        step.status, step.due = "ready", due
        step.failures += failed
        step.attempt -= not charged

    def suspend(self, step: StepModel, until: int) -> None:
        """A step waits; that attempt does not count."""
        step.status, step.due = "waiting", until
        step.attempt -= 1

    def reap(self, now: int, most: int) -> int:
        """Lapsed leases and due waits; returns how many steps moved."""
        lapsed = [s for s in self.steps() if s.status == "running" and s.expires <= now]
        waking = [s for s in self.steps() if s.status == "waiting" and s.due <= now]
        for step in lapsed:
            step.lost += 1
            step.status, step.due = ("failed" if step.lost >= most else "ready"), now
        for step in waking:
            step.status = "ready"
        for run in {step.run for step in lapsed}:
            self._spread(run, now)
        return len(lapsed) + len(waking)

    def cancel(self, run: str) -> int:
        """An operator cancels; returns how many steps that ended."""
        left = [step for step in self.runs[run].steps.values() if step.status not in ENDED]
        for step in left:
            step.status = "canceled"
        self.runs[run].status = "canceled"
        return len(left)

    # --- what follows from the end of steps ---------------------------------------------------

    def _spread(self, run_id: str, now: int) -> None:
        run = self.runs[run_id]
        moved = True
        while moved:
            moved = False
            pending = [step for step in run.steps.values() if step.status == "pending"]
            rulings = [(step, self._rulings(step, run)) for step in pending]
            for step, found in rulings:
                if "canceled" in found or "skipped" in found:
                    step.status = "canceled" if "canceled" in found else "skipped"
                    moved = True
                elif "wait" not in found:
                    step.status, step.due = "ready", now
                    moved = True
        if run.status not in ENDED and all(s.status in ENDED for s in run.steps.values()):
            caught = {
                edge.target
                for step in run.steps.values()
                for edge in step.edges
                if edge.condition is Condition.FAILED
            }
            failed = {step.id for step in run.steps.values() if step.status == "failed"}
            run.status = "failed" if failed - caught else "succeeded"

    def _rulings(self, step: StepModel, run: RunModel) -> set[str]:
        """What the steps it depends on mean for it."""
        found = {"met"}
        for edge in step.edges:
            status = run.steps[edge.target].status
            if status not in ENDED:
                found.add("wait")
            elif edge.condition is Condition.FINISHED or edge.condition == status:
                found.add("met")
            elif edge.condition is Condition.FAILED or status == "skipped":
                found.add("skipped")
            else:
                found.add("canceled")
        return found
