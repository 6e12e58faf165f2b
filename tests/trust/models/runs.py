"""Whatever is done to a run store, it answers and holds what a plain model does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stepwell.engine.clock import duration_micros
from stepwell.engine.errors import RefusedByState
from stepwell.engine.exchange import ClaimedStep, Edge, NewStep, Outcome
from stepwell.engine.model import StepFilter
from stepwell.engine.ports import RunStore
from stepwell.engine.states import Condition
from stepwell.testing.builders import (
    LEASE,
    claim_request,
    completed,
    failed,
    new_record,
    new_run,
    new_step,
    released,
    suspended,
)
from stepwell.testing.run_store.case import OPERATOR, Bench, WallClock, check_counts
from tests.trust.models.model import NARROW, StepModel, StoreModel

MOST_LOST = 3
SECONDS = timedelta(seconds=1)
ENDS = ("completed", "completed", "emits", "failed", "retried", "released", "suspended")


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to five steps, each after some of those before it."""
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 5))):
        before = [step["id"] for step in steps]
        targets = draw(st.lists(st.sampled_from(before), unique=True, max_size=2)) if before else []
        catches = draw(st.booleans())
        conditions = [Condition.FAILED if catches else Condition.SUCCEEDED, Condition.FINISHED]
        steps.append(
            {
                "id": f"s{number}",
                "edges": tuple(Edge(t, c) for t, c in zip(targets, conditions, strict=False)),
                "queue": draw(st.sampled_from(["default", "default", NARROW])),
                "priority": draw(st.sampled_from([0, 0, -1, 2])),
            }
        )
    return steps


class StoreMachine(RuleBasedStateMachine):
    """A store that many examples share, each with runs of its own, and a plain model of them."""

    store: RunStore
    clock: WallClock
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1
        self._prefix = f"example-{type(self).examples}-run-"
        self._model = StoreModel()
        self._held: list[ClaimedStep] = []
        self._bench = Bench(self.store, self.clock)
        self._records: dict[str, int] = {}

    def teardown(self) -> None:
        for run in self._model.open_runs():
            self.store.cancel_run(run, OPERATOR)

    def _now(self) -> int:
        return self.store.now()

    # --- rules ------------------------------------------------------------------------------

    @precondition(lambda self: len(self._model.runs) < 4)
    @rule(graph=graphs())
    def create(self, graph: list[dict[str, Any]]) -> None:
        run = f"{self._prefix}{len(self._model.runs)}"
        steps = [NewStep(kind="work", input="null", package="tests", **fields) for fields in graph]
        self.store.create_run(new_run(run, *steps))
        self._model.create(run, [StepModel(run, **fields) for fields in graph], self._now())

    @rule(worker=st.sampled_from(["w1", "w2"]), limit=st.sampled_from([1, 2, 100]))
    def claim(self, worker: str, limit: int) -> None:
        request = replace(claim_request(limit, worker=worker), suspect_from=1_000)
        exchanged = self.store.exchange((), request)
        ready = {step.name: step for step in self._model.claimable(exchanged.now)}
        room = self._model.room()
        narrow = sum(step.queue == NARROW for step in ready.values())
        possible = len(ready) - max(0, narrow - max(0, room))
        taken = [ready.pop((step.run.id, step.id)) for step in exchanged.claimed]
        assert len(taken) == min(limit, possible)
        assert sum(step.queue == NARROW for step in taken) <= max(0, room)
        left = [step.priority for step in ready.values() if step.queue != NARROW]
        assert all(step.priority <= min(left, default=99) for step in taken)
        for step, claimed in zip(taken, exchanged.claimed, strict=True):
            self._model.claim(step, worker, exchanged.now + duration_micros(LEASE))
            assert (claimed.token, claimed.attempt) == (step.token, step.attempt)
            assert (claimed.failures, claimed.lost_leases) == (step.failures, step.lost)
        self._held += exchanged.claimed

    @precondition(lambda self: self._held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        chosen = data.draw(
            st.lists(
                st.sampled_from(range(len(self._held))), min_size=1, max_size=4, unique=True
            ).map(sorted)
        )
        steps = {self._held[place].key: self._held[place] for place in chosen}
        ends = [(step, data.draw(st.sampled_from(ENDS))) for step in steps.values()]
        now = self._now()
        outcomes = [self._outcome(step, end, now) for step, end in ends]
        exchanged = self.store.exchange(outcomes, None)
        assert exchanged.refused == []
        lost = {id(one.step) for one in exchanged.lost}
        for step, end in ends:
            model = self._model.runs[step.run.id].steps[step.id]
            held = self._model.holds(model, step.token)
            assert (id(step) in lost) == (not held), f"{step.id} {end}: held is {held}"
            if held:
                self._take_in(step, model, end, now)
        kept = {id(step) for step, _ in ends}
        self._held = [step for step in self._held if id(step) not in kept or step.token % 2]

    def _outcome(self, step: ClaimedStep, end: str, now: int) -> Outcome:
        if end in ("completed", "emits"):
            record = new_record(self._prefix, f"{step.run.id}/{step.id}", step.token)
            child = new_step(self._child(step))
            return completed(
                step, step.token, records=[record], emitted=[child] if end == "emits" else []
            )
        if end == "failed":
            return failed(step)
        if end == "retried":
            return failed(step, retry_in=5 * SECONDS)
        if end == "released":
            return released(step)
        return suspended(step, until=now + 5_000_000)

    def _child(self, step: ClaimedStep) -> str:
        return f"{step.id}.{step.token}"

    def _take_in(self, step: ClaimedStep, model: StepModel, end: str, now: int) -> None:
        if end in ("completed", "emits"):
            child = StepModel(step.run.id, self._child(step), (), "default", 0)
            self._model.end(model, "succeeded", now, [child] if end == "emits" else [])
            self._records[f"{step.run.id}/{step.id}"] = step.token
        elif end == "failed":
            self._model.end(model, "failed", now, [])
        elif end == "retried":
            self._model.back(model, now + 5_000_000, failed=True)
        elif end == "released":
            self._model.back(model, model.due, charged=False)
        else:
            self._model.suspend(model, now + 5_000_000)

    @precondition(lambda self: self._held)
    @rule(worker=st.sampled_from(["w1", "w2"]))
    def renew(self, worker: str) -> None:
        lease = duration_micros(LEASE)
        gone = {id(one.step) for one in self.store.renew(worker, self._held, lease)}
        now = self._now()
        for step in self._held:
            model = self._model.runs[step.run.id].steps[step.id]
            ours = self._model.holds(model, step.token) and model.worker == worker
            assert (id(step) in gone) == (not ours)
            if ours:
                model.expires = now + lease

    @rule(seconds=st.sampled_from([1, 5, 31]))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds * SECONDS)

    @rule()
    def reap(self) -> None:
        moved = self.store.reap(MOST_LOST)
        assert moved == self._model.reap(self._now(), MOST_LOST)

    @precondition(lambda self: self._model.runs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(sorted(self._model.runs)))
        status = self._model.runs[run].status
        try:
            ended = self.store.cancel_run(run, OPERATOR)
        except RefusedByState:
            assert status in ("succeeded", "failed")
            return
        assert status not in ("succeeded", "failed")
        assert ended == self._model.cancel(run)

    # --- what holds at any time ---------------------------------------------------------------

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        for run in self._model.runs.values():
            stored = {step.id: step for step in self.store.steps(run.id, StepFilter())}
            assert {id: str(step.status) for id, step in stored.items()} == {
                id: step.status for id, step in run.steps.items()
            }
            for id, step in run.steps.items():
                assert (stored[id].attempt, stored[id].failures) == (step.attempt, step.failures)
            assert str(self.store.run(run.id).status) == run.status
            check_counts(self._bench, run.id)

    @invariant()
    def records_are_those_of_steps_that_succeeded(self) -> None:
        records = self.store.records("tests", self._prefix)
        assert {record.key: record.value for record in records} == self._records
