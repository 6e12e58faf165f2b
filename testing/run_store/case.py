"""The common base of the suite's tests: a store on a virtual clock, and a `Bench` to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from stepwell.engine.clock import VirtualClock, duration_micros
from stepwell.engine.errors import RuntimeClosed
from stepwell.engine.exchange import ClaimedStep, Completed, Exchange, NewStep, Outcome
from stepwell.engine.model import DEFAULT_QUEUE, EdgeRow, Operator, Queue, Run, Step, StepFilter
from stepwell.engine.ports import RunStore
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import LEASE, claim_request, completed, failed, new_run

# Opens the store under test with the clock that it must use. Called again, it returns another store
# object, over the same data if the data outlives the object.
OpenStore = Callable[[VirtualClock], RunStore]

SECOND = timedelta(seconds=1)
OPERATOR = Operator("ann", "because")


class WallClock(VirtualClock):
    """A virtual clock that can be set back, as a machine's wall clock can."""

    def set_back(self, delta: timedelta) -> None:
        """Show an earlier time from now on."""
        self._micros -= duration_micros(delta)


class Bench:
    """Shortcuts for using a store. The run is `r` unless a test says otherwise."""

    def __init__(self, store: RunStore, clock: VirtualClock) -> None:
        self.store = store
        self.clock = clock

    # --- moving it on ---------------------------------------------------------------------

    def create(self, *steps: NewStep, id: str = "r", **fields: Any) -> Run:
        """Store a run of these steps."""
        return self.store.create_run(new_run(id, *steps, **fields)).run

    def exchange(self, *outcomes: Outcome, **claim: Any) -> Exchange:
        """Settle, and claim in the same transaction."""
        return self.store.exchange(outcomes, claim_request(**claim))

    def claim(self, limit: int = 100, **request: Any) -> list[ClaimedStep]:
        """Claim up to `limit` steps."""
        return self.store.exchange((), claim_request(limit, **request)).claimed

    def claim_one(self, **request: Any) -> ClaimedStep:
        """Claim the only step that is ready."""
        (step,) = self.claim(**request)
        return step

    def claim_by_id(self, **request: Any) -> dict[str, ClaimedStep]:
        """Claim everything that is ready."""
        return {step.id: step for step in self.claim(**request)}

    def settle(self, *outcomes: Outcome) -> Exchange:
        """Settle and claim nothing."""
        return self.store.exchange(outcomes, None)

    def complete(self, step: ClaimedStep, value: Any = None, **made: Any) -> None:
        """Settle a success, which must not be lost or refused."""
        exchange = self.settle(completed(step, value, **made))
        assert (exchange.lost, exchange.refused) == ([], [])

    def fail(self, step: ClaimedStep, code: str = "broken") -> None:
        """Settle a failure without a retry, which must not be lost or refused."""
        exchange = self.settle(failed(step, code))
        assert (exchange.lost, exchange.refused) == ([], [])

    def work_off(self, *failing: str) -> list[str]:
        """Claim and settle until nothing is ready; returns the ids in order of claiming.

        The steps named in `failing` fail, all others succeed.
        """
        done: list[str] = []
        while claimed := self.claim():
            done += [step.id for step in claimed]
            outcomes = [failed(step) if step.id in failing else completed(step) for step in claimed]
            exchange = self.settle(*outcomes)
            assert (exchange.lost, exchange.refused) == ([], [])
        return done

    def lapse(self, lease: timedelta = LEASE, max_lost_leases: int = 3) -> int:
        """Let all leases run out and take the steps back."""
        self.clock.advance(lease)
        return self.store.reap(max_lost_leases)

    def emit(self, step: ClaimedStep, *steps: NewStep) -> Completed:
        """The outcome of an execution that emitted these steps."""
        return completed(step, emitted=steps)

    # --- looking at it --------------------------------------------------------------------

    def step(self, id: str, run: str = "r") -> Step:
        """One step as it is now."""
        return self.store.step(run, id)

    def steps(self, run: str = "r") -> list[Step]:
        """All steps as they are now."""
        return self.store.steps(run, StepFilter())

    def statuses(self, run: str = "r") -> dict[str, str]:
        """Each step's status."""
        return {step.id: str(step.status) for step in self.steps(run)}

    def pending(self, run: str = "r") -> dict[str, int]:
        """Each step's number of unmet dependencies."""
        return {step.id: step.pending for step in self.steps(run)}

    def edges(self, run: str = "r") -> set[tuple[str, str]]:
        """Each dependency as (step, target)."""
        return {(row.step, row.target) for row in self.edge_rows(run)}

    def edge_rows(self, run: str = "r") -> Sequence[EdgeRow]:
        """Each dependency."""
        return self.store.edges(run)

    def run_status(self, run: str = "r") -> RunStatus:
        """The run's status."""
        return self.store.run(run).status

    def event_types(self, run: str = "r", step: str | None = None) -> list[str]:
        """The types of the run's events, or of one of its steps."""
        return [
            str(event.type)
            for event in self.store.events(run)
            if step is None or event.step_id == step
        ]

    def error_code(self, id: str, run: str = "r") -> str | None:
        """The code of a step's error."""
        error = self.step(id, run).error
        return None if error is None else error.code


class RunStoreCase:
    """Base of the suite's topics. A backend's test provides the fixture `open_store`."""

    @pytest.fixture
    def clock(self) -> WallClock:
        return WallClock()

    @pytest.fixture
    def store(self, open_store: OpenStore, clock: VirtualClock) -> Iterator[RunStore]:
        store = open_store(clock)
        store.define_queues([Queue(DEFAULT_QUEUE)])
        yield store
        with suppress(RuntimeClosed):  # the test may have closed it
            check_verifies(store)
        store.close()

    @pytest.fixture
    def bench(self, store: RunStore, clock: VirtualClock) -> Bench:
        return Bench(store, clock)


def check_verifies(store: RunStore) -> None:
    """Assert that the store finds nothing wrong with what it stores."""
    found = store.verify(20)
    assert found.ok, "\n".join(map(str, found.violations))


def check_counts(bench: Bench, run: str = "r") -> None:
    """Assert that the store's counters equal a recount of its steps and edges."""
    steps = bench.steps(run)
    statuses = [str(step.status) for step in steps]
    open_steps = sum(not step.status.ended for step in steps)
    progress, stored = bench.store.progress(run), bench.store.run(run)
    assert (stored.total_steps, stored.open_steps) == (len(steps), open_steps)
    assert (progress.total, progress.open) == (len(steps), open_steps)
    assert {
        name: getattr(progress, name) for name in ("succeeded", "failed", "canceled", "skipped")
    } == {name: statuses.count(name) for name in ("succeeded", "failed", "canceled", "skipped")}
    assert sorted(progress.running) == sorted(step.id for step in steps if step.status == "running")
    assert progress.status == stored.status
    by_id = {step.id: step for step in steps}
    waits = {step.id: 0 for step in steps}
    for edge in bench.edge_rows(run):
        waits[edge.step] += not by_id[edge.target].status.ended
    assert {step.id: step.pending for step in steps if not step.status.ended} == {
        id: count for id, count in waits.items() if not by_id[id].status.ended
    }
