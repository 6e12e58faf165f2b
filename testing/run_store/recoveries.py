"""Dead letters, steps with their own number of recoveries, and many waits due at once."""

from __future__ import annotations

from stepwell.engine.clock import VirtualClock
from stepwell.engine.exchange import ClaimedStep
from stepwell.engine.model import RunFilter
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import new_step, suspended
from stepwell.testing.run_store.case import OPERATOR, SECOND, Bench, RunStoreCase, check_counts

# More than a store wakes in one transaction.
SLEEPERS = 5_001


class DeadLetterTests(RunStoreCase):
    """`RunFilter.dead` and `NewStep.max_recoveries`."""

    def test_only_runs_that_failed_by_lost_leases_are_dead(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="broken")
        bench.work_off("a")
        bench.create(new_step("a"), id="fine")
        bench.work_off()
        bench.create(new_step("a"), id="dead")
        bench.create(new_step("b"), id="open")
        bench.claim()
        bench.lapse(max_lost_leases=1)
        bench.store.retry_run("open", OPERATOR)

        dead = bench.store.runs(RunFilter(dead=True))

        assert [run.id for run in dead] == ["dead"]
        assert bench.store.runs(RunFilter(dead=True, package="other")) == []

    def test_dead_run_is_retried(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.claim()
        bench.lapse(max_lost_leases=1)
        assert bench.error_code("a") == "lease_lost"

        bench.store.retry_run("r", OPERATOR)

        assert bench.work_off() == ["a"]
        assert bench.store.runs(RunFilter(dead=True)) == []

    def test_step_is_recovered_as_often_as_it_says(self, bench: Bench) -> None:
        bench.create(
            new_step("never", max_recoveries=0),
            new_step("often", max_recoveries=4),
            new_step("usual"),
        )
        rounds = []
        while claimed := [step.id for step in _claim_all(bench)]:
            rounds.append(sorted(claimed))
            bench.lapse(max_lost_leases=3)

        assert rounds == [
            ["never", "often", "usual"],
            ["often", "usual"],
            ["often", "usual"],
            ["often"],
            ["often"],
        ]
        errors = {step.id: step.error for step in bench.steps()}
        for id, times in (("never", 1), ("usual", 3), ("often", 5)):
            error = errors[id]
            assert error is not None
            assert (error.code, f"lost its lease {times} time" in error.message) == (
                "lease_lost",
                True,
            )
        assert bench.run_status() is RunStatus.FAILED
        check_counts(bench)

    def test_emitted_step_has_recoveries_of_its_own_too(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.complete(bench.claim_one(), emitted=[new_step("b", max_recoveries=0)])
        bench.claim_one()

        bench.lapse(max_lost_leases=3)

        assert bench.error_code("b") == "lease_lost"


class ManySleepersTests(RunStoreCase):
    """Any number of due waits ends together."""

    def test_all_due_sleepers_are_woken_in_one_reap(
        self, bench: Bench, clock: VirtualClock
    ) -> None:
        bench.create(*(new_step(f"s{number}") for number in range(SLEEPERS)))
        until = clock.micros() + 1_000_000
        steps = bench.claim(SLEEPERS)
        bench.settle(*(suspended(step, until=until) for step in steps[1:]))
        bench.settle(suspended(steps[0], until=until + 1))
        clock.advance(SECOND)

        assert bench.store.reap(3) == SLEEPERS - 1

        assert bench.statuses()["s0"] == "waiting"
        assert bench.store.next_due(bench.clock.micros()) == until + 1
        assert bench.store.reap(3) == 0
        check_counts(bench)


def _claim_all(bench: Bench) -> list[ClaimedStep]:
    """Claim everything, including suspects, which are claimed one at a time."""
    claimed: list[ClaimedStep] = []
    while more := bench.claim():
        claimed += more
    return claimed
