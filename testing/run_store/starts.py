"""Starting runs with options: when they begin, and what their dedup keys do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from stepwell.engine.errors import Conflict, KeyMoved
from stepwell.engine.exchange import NewRun, Reopening
from stepwell.engine.model import Operator, RunFilter
from stepwell.engine.ports import RunStore
from stepwell.engine.run_options import OnDuplicate, RunOptions, Start
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import completed, failed, new_run, new_step
from stepwell.testing.run_store.case import Bench, RunStoreCase

BY = Operator("ann", "")
SECOND = 1_000_000


def keyed(id: str, *, key: str = "k", on: str = "return", **fields: Any) -> NewRun:
    """A run of one step with a dedup key; options and fields of the run are told apart by name."""
    about = {name: fields.pop(name) for name in ("input", "package", "tags") if name in fields}
    options = RunOptions(dedup_key=key, on_duplicate=OnDuplicate(on), **fields)
    return new_run(id, new_step("a"), options=options, **about)


class RunOptionTests(RunStoreCase):
    """Options that say when and where a run begins."""

    def test_options_are_read_as_they_were_given(self, store: RunStore, bench: Bench) -> None:
        options = RunOptions(
            queue="default",
            priority=3,
            partition_key="tenant",
            version="7",
            dedup_key="k",
            dedup_for=60 * SECOND,
            delay=5 * SECOND,
            start_within=50 * SECOND,
            timeout=70 * SECOND,
            deadline=bench.clock.micros() + 90 * SECOND,
        )

        made, _ = store.create_run(new_run("r", new_step("a"), summary="one", options=options))

        assert made == store.run("r")
        assert (made.queue, made.priority, made.partition_key) == ("default", 3, "tenant")
        assert (made.version, made.summary, made.dedup_key) == ("7", "one", "k")
        assert (made.dedup_for, made.timeout) == (timedelta(seconds=60), timedelta(seconds=70))
        assert made.start_at == made.created_at + timedelta(seconds=5)
        assert made.start_by == made.created_at + timedelta(seconds=50)
        assert made.deadline == made.created_at + timedelta(seconds=90)

    def test_executions_know_queue_and_priority_of_their_run(self, bench: Bench) -> None:
        bench.create(new_step("a"), options=RunOptions(queue="default", priority=3))

        step = bench.claim_one()

        assert (step.run.queue, step.run.priority) == ("default", 3)

    def test_delayed_run_is_claimed_when_its_time_has_come(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), options=RunOptions(delay=5 * SECOND))
        before = bench.clock.micros()

        assert bench.claim() == []
        assert bench.store.next_due(before) == before + 5 * SECOND
        bench.clock.advance(5)
        step = bench.claim_one()
        assert step.id == "a"
        # what comes after it waits for nothing more
        assert [each.id for each in bench.exchange(completed(step)).claimed] == ["b"]

    def test_start_in_the_past_is_now(self, bench: Bench) -> None:
        bench.create(new_step("a"), options=RunOptions(start_at=bench.clock.micros() - SECOND))

        assert bench.claim_one().id == "a"


class SameRunTests(RunStoreCase):
    """A run that is started again under its own id."""

    def test_the_same_run_once_more_is_returned(self, store: RunStore) -> None:
        first, _ = store.create_run(new_run("r", new_step("a"), input={"n": 1, "m": 2}))

        again, start = store.create_run(new_run("r", new_step("a"), input={"m": 2, "n": 1}))

        assert (again, start) == (first, Start.RETURNED)

    @pytest.mark.parametrize(
        "other", [{"input": 2}, {"input": 1, "package": "b"}, {"input": 1, "entrypoint": "b"}]
    )
    def test_another_run_with_the_same_id_is_refused(
        self, store: RunStore, other: dict[str, Any]
    ) -> None:
        store.create_run(new_run("r", new_step("a"), input=1))

        with pytest.raises(Conflict, match="'r' exists already"):
            store.create_run(new_run("r", new_step("a"), **other))


class DedupKeyTests(RunStoreCase):
    """One open run of a package for each dedup key."""

    def test_open_run_is_returned(self, store: RunStore, bench: Bench) -> None:
        store.create_run(keyed("r"))
        bench.claim_one()

        found, start = store.create_run(keyed("s", input=2))

        assert (found.id, start) == ("r", Start.RETURNED)
        assert [run.id for run in store.runs(RunFilter())] == ["r"]

    def test_open_run_refuses_another_one(self, store: RunStore) -> None:
        store.create_run(keyed("r"))

        with pytest.raises(Conflict, match="'r' of package 'tests' holds the dedup key 'k'"):
            store.create_run(keyed("s", on="refuse"))

        assert [run.id for run in store.runs(RunFilter())] == ["r"]

    def test_another_package_has_keys_of_its_own(self, store: RunStore) -> None:
        store.create_run(keyed("r"))

        assert store.create_run(keyed("s", package="other")).start is Start.STARTED

    @pytest.mark.parametrize("end", ["success", "failure", "cancel"])
    def test_the_end_of_a_run_frees_its_key(self, store: RunStore, bench: Bench, end: str) -> None:
        # given
        store.create_run(keyed("r"))

        # when
        if end == "cancel":
            store.cancel_run("r", BY)
        else:
            step = bench.claim_one()
            bench.exchange(completed(step) if end == "success" else failed(step))

        # then
        assert store.create_run(keyed("s")).start is Start.STARTED

    def test_success_holds_the_key_for_a_while(self, store: RunStore, bench: Bench) -> None:
        store.create_run(keyed("r", dedup_for=60 * SECOND))
        bench.exchange(completed(bench.claim_one()))

        bench.clock.advance(59)
        assert store.create_run(keyed("s")).run.id == "r"
        bench.clock.advance(2)
        assert store.create_run(keyed("s")).start is Start.STARTED

    def test_failure_does_not_hold_the_key(self, store: RunStore, bench: Bench) -> None:
        store.create_run(keyed("r", dedup_for=60 * SECOND))
        bench.exchange(failed(bench.claim_one()))

        assert store.create_run(keyed("s")).start is Start.STARTED

    def test_waiting_run_is_replaced_whole(self, store: RunStore, bench: Bench) -> None:
        # given: one with a graph of three steps
        options = RunOptions(dedup_key="k", on_duplicate=OnDuplicate.REPLACE, delay=5 * SECOND)
        steps = (new_step("a"), new_step("b", "a"), new_step("c", "b"))
        first, _ = store.create_run(new_run("r", *steps, options=options, tags=["x"]))
        bench.clock.advance(4)
        assert store.waiting_run("tests", "k") == "r"

        # when
        new = keyed("r", on="replace", input=2, tags=["y"], delay=5 * SECOND, priority=9)
        found, start = store.create_run(new)

        # then
        assert start is Start.REPLACED
        assert found == store.run("r")
        assert (found.created_at, found.replaced) == (first.created_at, 1)
        assert (found.input, found.tags, found.priority) == (2, ("y",), 9)
        assert (found.total_steps, found.open_steps) == (1, 1)
        assert [step.id for step in bench.steps()] == ["a"]
        bench.clock.advance(4)
        assert bench.claim() == []
        bench.clock.advance(1)
        assert bench.claim_one().run.raw_input == "2"

    def test_longest_delay_counts_from_the_first_start(self, store: RunStore, bench: Bench) -> None:
        delays: dict[str, Any] = {"delay": 5 * SECOND, "max_delay": 8 * SECOND}
        store.create_run(keyed("r", on="replace", **delays))
        bench.clock.advance(4)

        store.create_run(keyed("r", on="replace", **delays))

        bench.clock.advance(4)
        assert bench.claim_one().id == "a"

    def test_run_that_has_begun_is_left_alone(self, store: RunStore, bench: Bench) -> None:
        store.create_run(keyed("r", on="replace", input=1))
        step = bench.claim_one()

        second, start = store.create_run(keyed("s", on="replace", input=2))
        third, again = store.create_run(keyed("s", on="replace", input=3))

        assert (second.id, start) == ("s", Start.STARTED)
        assert (third.id, third.input, again) == ("s", 3, Start.REPLACED)
        assert step.run.raw_input == "1"
        assert store.run("r").input == 1

    def test_key_that_went_to_another_run_is_told(self, store: RunStore, bench: Bench) -> None:
        store.create_run(keyed("r", on="replace"))

        with pytest.raises(KeyMoved):  # the new one was built for another run
            store.create_run(keyed("s", on="replace"))
        bench.claim_one()
        with pytest.raises(KeyMoved):  # the one it was built for has begun
            store.create_run(keyed("r", on="replace"))

        assert [run.id for run in store.runs(RunFilter())] == ["r"]

    def test_held_and_paused_runs_are_replaced_and_stay_so(
        self, store: RunStore, bench: Bench
    ) -> None:
        # given
        store.create_run(keyed("r", on="replace"))
        store.hold_step("r", "a", BY)
        store.pause_run("r", BY)

        # when
        store.create_run(keyed("r", on="replace", input=2))

        # then: the run is paused, its new step is not held
        assert store.run("r").status is RunStatus.PAUSED
        assert bench.claim() == []
        store.resume_run("r", BY)
        assert bench.claim_one().run.raw_input == "2"

    @pytest.mark.parametrize("of", ["run", "step"])
    def test_retry_against_a_key_that_is_taken_is_refused(
        self, store: RunStore, bench: Bench, of: str
    ) -> None:
        # given
        store.create_run(keyed("r"))
        bench.exchange(failed(bench.claim_one()))
        store.create_run(keyed("s"))

        def retry(*anew: Reopening) -> int:
            if of == "run":
                return store.retry_run("r", BY, *anew)
            return store.retry_step("r", "a", BY, *anew)

        # when
        with pytest.raises(Conflict, match="run 's' holds the dedup key 'k' of run 'r'"):
            retry()

        # then: nothing was changed, and without the key it goes on
        assert store.run("r").status is RunStatus.FAILED
        assert retry(Reopening(rekeyed=True)) == 1
        assert store.run("r").dedup_key is None
