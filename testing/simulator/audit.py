"""What every transaction really did, recorded by triggers, and the rules that it must keep.

The triggers write in the transaction that they observe, so that a rollback removes their rows too.
Nothing here reads a counter or flag of the engine; the rules are the promises of the docs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stepwell.engine.states import (
    STEP_ENDED,
    STEP_TRANSITIONS,
    Condition,
    RunStatus,
    StepStatus,
    Verdict,
    verdict,
)

AuditRow = tuple[Any, ...]

TABLE = """CREATE TABLE simulator_audit (
    seq INTEGER PRIMARY KEY, what TEXT NOT NULL, a, b, c, d, e, f, g, h
)"""
_ADD = "INSERT INTO simulator_audit (what, a, b, c, d, e, f, g, h) VALUES"
_MOVED = "old.status <> new.status OR old.token <> new.token OR old.attempt <> new.attempt"
TRIGGERS = (
    f"""CREATE TRIGGER simulator_run AFTER INSERT ON runs BEGIN
        {_ADD} ('run', new.id, new.run_id, new.status, NULL, NULL, NULL, NULL, NULL); END""",
    f"""CREATE TRIGGER simulator_run_moved AFTER UPDATE OF status ON runs
        WHEN old.status <> new.status BEGIN
        {_ADD} ('run moved', new.id, old.status, new.status, NULL, NULL, NULL, NULL, NULL); END""",
    f"""CREATE TRIGGER simulator_step AFTER INSERT ON steps BEGIN
        {_ADD} ('step', new.id, new.run_key, new.step_id, new.status, new.token, new.queue,
        new.parent, NULL); END""",
    f"""CREATE TRIGGER simulator_step_moved AFTER UPDATE ON steps WHEN {_MOVED} BEGIN
        {_ADD} ('moved', new.id, old.status, new.status, old.token, new.token,
        new.attempt - old.attempt, new.worker,
        CASE WHEN old.status = 'running' THEN old.expires_at ELSE old.ready_at END); END""",
    f"""CREATE TRIGGER simulator_edge AFTER INSERT ON dependencies BEGIN
        {_ADD} ('edge', new.step, new.needs, new.condition, NULL, NULL, NULL, NULL, NULL); END""",
    f"""CREATE TRIGGER simulator_edge_moved AFTER UPDATE ON dependencies BEGIN
        {_ADD} ('edge', new.step, new.needs, new.condition, NULL, NULL, NULL, NULL, NULL); END""",
    f"""CREATE TRIGGER simulator_result AFTER INSERT ON results BEGIN
        {_ADD} ('result', new.step, NULL, NULL, NULL, NULL, NULL, NULL, NULL); END""",
    f"""CREATE TRIGGER simulator_result_moved AFTER UPDATE ON results BEGIN
        {_ADD} ('result', new.step, NULL, NULL, NULL, NULL, NULL, NULL, NULL); END""",
    f"""CREATE TRIGGER simulator_record AFTER INSERT ON records BEGIN
        {_ADD} ('record', new.step, new.collection, new.key, NULL, NULL, NULL, NULL, NULL); END""",
    f"""CREATE TRIGGER simulator_record_moved AFTER UPDATE ON records BEGIN
        {_ADD} ('record', new.step, new.collection, new.key, NULL, NULL, NULL, NULL, NULL); END""",
    *(
        f"""CREATE TRIGGER simulator_{table}_gone AFTER DELETE ON {table} BEGIN
        {_ADD} ('gone', '{table}', NULL, NULL, NULL, NULL, NULL, NULL, NULL); END"""
        for table in ("runs", "steps", "results", "records", "events")
    ),
)

_ALLOWED = {(source, target) for sources, target in STEP_TRANSITIONS.values() for source in sources}
# A hand-off: the step becomes ready and is claimed in one statement.
_ALLOWED.add((StepStatus.PENDING, StepStatus.RUNNING))
_CLOSED = {RunStatus.PAUSED, RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED}


class _Step:
    """A step after the transactions so far."""

    def __init__(self, name: str, run: int, status: StepStatus, token: int, queue: str) -> None:
        self.name = name
        self.run = run
        self.status = status
        self.token = token
        self.queue = queue
        self.needs: dict[int, Condition] = {}
        self.claims = 0
        self.given_back = 0
        self.ends = 0
        self.reopened = 0
        self.began = False


@dataclass(slots=True)
class _Move:
    """A change of a step's row. `due`: when its lease lapses, or when it may be claimed."""

    key: int
    before: StepStatus
    after: StepStatus
    old_token: int
    token: int
    attempts: int
    worker: str | None
    due: int


class Audit:
    """Follows all transactions of a world. `limits` are the queues' `max_in_flight`."""

    def __init__(self, limits: dict[str, int]) -> None:
        self._limits = limits
        self._steps: dict[int, _Step] = {}
        self._runs: dict[int, str] = {}
        self._run_status: dict[int, RunStatus] = {}
        self._open: Counter[int] = Counter()
        self._running: Counter[str] = Counter()
        self._now = 0
        self._settling: dict[int, int] = {}
        self.claims = 0
        self.commits = 0

    @property
    def open_runs(self) -> int:
        """How many runs have not ended."""
        return sum(not status.ended for status in self._run_status.values())

    def run_statuses(self) -> dict[str, RunStatus]:
        """The status of each run by its id."""
        return {self._runs[key]: status for key, status in self._run_status.items()}

    def lines(self, rows: Sequence[AuditRow]) -> Iterator[str]:
        """What a transaction did, for the trace. Call it after `follow`."""
        for _, what, a, b, c, d, e, f, g, h in rows:
            if what == "moved":
                step = self._steps[a]
                yield f"{step.name} {b} -> {c} token {d} -> {e} attempt {f:+d} {g}"
            elif what == "run moved":
                yield f"{self._runs[a]} {b} -> {c}"
            else:
                yield " ".join(
                    str(part) for part in (what, a, b, c, d, e, f, g, h) if part is not None
                )

    def follow(self, rows: Sequence[AuditRow], settling: dict[int, int], now: int) -> list[str]:
        """Process a transaction, made at `now` (epoch µs); returns the rules it broke.

        `settling` has the tokens, by step, of the outcomes that its process is settling.
        """
        self._now = now
        self._settling = settling
        broken: list[str] = []
        moved: dict[int, list[tuple[str, str]]] = defaultdict(list)
        results: set[int] = set()
        written: set[int] = set()
        born: list[tuple[int, int]] = []
        for _, what, a, b, c, d, e, f, g, h in rows:
            if what == "moved":
                broken += self._move(_Move(a, StepStatus(b), StepStatus(c), d, e, f, g, h))
                moved[a].append((b, c))
            elif what == "step":
                self._add(a, b, c, d, e, f)
                if g is not None:
                    born.append((a, g))
            elif what == "edge":
                self._steps[a].needs[b] = Condition(c)
            elif what == "run":
                self._runs[a], self._run_status[a] = b, RunStatus(c)
            elif what == "run moved":
                self._run_status[a] = RunStatus(c)
            elif what == "result":
                results.add(a)
            elif what == "record":
                written.add(a)
            else:
                broken.append(f"a row of {a} was deleted")
        return [*broken, *self._whole(moved, results, written, born)]

    def _add(self, key: int, run: int, name: str, status: str, token: int, queue: str) -> None:
        full = f"{self._runs[run]}/{name}"
        self._steps[key] = _Step(full, run, StepStatus(status), token, queue)
        self._open[run] += 1

    def _move(self, move: _Move) -> Iterator[str]:
        """A step's row changed."""
        step = self._steps[move.key]
        before, after = move.before, move.after
        where = f"step {step.name}: {before} -> {after}"
        if before is not after and (before, after) not in _ALLOWED:
            yield f"{where} is no transition there is"
        if after is StepStatus.RUNNING:
            yield from self._claim(step, where, move)
        elif move.old_token != move.token:
            yield f"{where} changed its token from {move.old_token} to {move.token}, unclaimed"
        if before is StepStatus.RUNNING and after is not StepStatus.RUNNING:
            yield from self._let_go(step, where, move)
        if after in STEP_ENDED and before not in STEP_ENDED:
            step.ends += 1
            self._open[step.run] -= 1
        elif before in STEP_ENDED and after not in STEP_ENDED:
            step.reopened += 1
            self._open[step.run] += 1
        step.began = step.began and after is not StepStatus.PENDING
        step.status = after
        if step.ends > 1 + step.reopened:
            yield f"{where}: it ended {step.ends} times and was reopened {step.reopened} times"

    def _claim(self, step: _Step, where: str, move: _Move) -> Iterator[str]:
        """A worker claimed the step."""
        self.claims += 1
        step.claims += 1
        if move.token <= step.token:
            yield f"{where} with token {move.token}, after {step.token}"
        step.token = max(step.token, move.token)
        if move.attempts != 1:
            yield f"{where} counted {move.attempts} attempts"
        if not move.worker:
            yield f"{where} by no worker"
        # One that is handed on becomes ready as it is claimed: its time was no time before.
        if move.before is not StepStatus.PENDING and move.due > self._now:
            yield f"{where} {(move.due - self._now) / 1e6:g} s before it was due"
        for needed, condition in step.needs.items():
            target = self._steps[needed]
            # A step that has begun continues even if an operator reopens a dependency.
            began = step.began and target.reopened > 0
            if verdict(condition, target.status) is not Verdict.MET and not began:
                yield f"{where} while {target.name}, which must be {condition}, {target.status}"
        step.began = True
        if self._run_status[step.run] in _CLOSED:
            yield f"{where} in a run that is {self._run_status[step.run]}"
        self._running[step.queue] += 1
        limit = self._limits.get(step.queue)
        if limit is not None and self._running[step.queue] > limit:
            yield f"{where}: {self._running[step.queue]} of queue {step.queue!r} run, of {limit}"

    def _let_go(self, step: _Step, where: str, move: _Move) -> Iterator[str]:
        """The lease ended: the step was settled, released, canceled, or its lease lapsed."""
        self._running[step.queue] -= 1
        settled = move.after in (StepStatus.SUCCEEDED, StepStatus.WAITING)
        if settled or move.key in self._settling:
            holder = self._settling.get(move.key)
            if holder != move.token:
                yield f"{where} under token {move.token}, by the holder of {holder}"
        elif move.attempts == 0 and move.after is not StepStatus.CANCELED and move.due > self._now:
            yield f"{where} {(move.due - self._now) / 1e6:g} s before its lease lapsed"
        if move.attempts == -1:
            step.given_back += 1
        elif move.attempts:
            yield f"{where} changed its attempt by {move.attempts}"

    def _whole(
        self,
        moved: dict[int, list[tuple[str, str]]],
        results: set[int],
        written: set[int],
        born: list[tuple[int, int]],
    ) -> Iterator[str]:
        """A transaction is over: everything in it must be complete."""
        done = {key for key, moves in moved.items() if any(new == "succeeded" for _, new in moves)}
        for key in sorted(done - results):
            yield f"step {self._steps[key].name} succeeded without a result"
        for key in sorted(results - done):
            yield f"step {self._steps[key].name} has a result and did not succeed"
        for key in sorted(written - done):
            yield f"step {self._steps[key].name} wrote a record and did not succeed"
        for key, parent in born:
            if parent not in done:
                yield f"step {self._steps[key].name} was emitted by one that did not succeed"
        for run in sorted({self._steps[key].run for key in moved}):
            status = self._run_status[run]
            if status is RunStatus.PENDING and any(
                new == "running"
                for key in moved
                for _, new in moved[key]
                if self._steps[key].run == run
            ):
                yield f"run {self._runs[run]} is {status} and a step of it was claimed"
            if status.ended != (self._open[run] == 0):
                yield f"run {self._runs[run]} is {status} with {self._open[run]} open steps"

    def attempts(self) -> dict[int, tuple[str, int]]:
        """By step key, the step's name and how many of its claims were charged."""
        return {
            key: (step.name, step.claims - step.given_back) for key, step in self._steps.items()
        }
