"""What a settle stores: retries, records, artifacts and events, each only once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stepwell.engine.clock import VirtualClock, to_datetime
from stepwell.engine.errors import NotFound
from stepwell.engine.events import EventType
from stepwell.engine.exchange import Failed
from stepwell.engine.model import Failure
from stepwell.engine.states import RunStatus
from stepwell.testing.builders import (
    completed,
    failed,
    finished,
    new_artifact,
    new_record,
    new_step,
    on_failure,
    released,
)
from stepwell.testing.run_store.case import (
    OPERATOR,
    SECOND,
    Bench,
    RunStoreCase,
    check_counts,
)


class RetryTests(RunStoreCase):
    """Failed attempts."""

    def test_retried_attempt_is_ready_again_later(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a", max_attempts=3), new_step("b", "a"))

        bench.settle(failed(bench.claim_one(), "flaky", retry_in=5 * SECOND))

        step = bench.step("a")
        assert (step.status, step.attempt, step.failures) == ("ready", 1, 1)
        assert step.ready_at == to_datetime(clock.micros() + 5_000_000)
        assert bench.error_code("a") == "flaky"
        assert bench.statuses()["b"] == "pending"
        assert bench.claim() == []
        check_counts(bench)

    def test_failures_are_counted_and_told_to_the_next_attempt(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        seen = []

        for _ in range(3):
            step = bench.claim_one()
            seen.append((step.attempt, step.failures))
            bench.settle(failed(step, retry_in=timedelta(0)))

        assert seen == [(1, 0), (2, 1), (3, 2)]

    def test_success_after_failures_clears_the_error(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(failed(bench.claim_one(), retry_in=timedelta(0)))

        bench.complete(bench.claim_one(), "at last")

        assert bench.step("a").error is None
        assert bench.store.result("r", "a").value == "at last"
        assert bench.run_status() is RunStatus.SUCCEEDED

    def test_failure_is_kept_whole(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        failure = Failure("code", "Nachricht ☃", False, {"k": [1]}, "Traceback…", None)

        bench.settle(Failed(bench.claim_one(), failure))

        assert bench.step("a").error == failure

    def test_release_keeps_the_failures(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.settle(failed(bench.claim_one(), retry_in=timedelta(0)))

        bench.settle(released(bench.claim_one()))

        step = bench.step("a")
        assert (step.attempt, step.failures) == (1, 1)


class RecordTests(RunStoreCase):
    """Keyed documents, upserted with the commit."""

    def test_record_is_read_as_written(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))

        bench.complete(bench.claim_one(), records=[new_record("prices", "pen", {"cents": 1})])

        (record,) = bench.store.records("tests", "prices")
        assert (record.package, record.collection, record.key) == ("tests", "prices", "pen")
        assert (record.value, record.run_id, record.step_id) == ({"cents": 1}, "r", "a")
        assert record.updated_at == to_datetime(clock.micros())
        (ref,) = bench.store.result("r", "a").records
        assert (ref.collection, ref.key) == ("prices", "pen")

    def test_last_commit_wins(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        bench.complete(b, records=[new_record("c", "k", "b")])
        bench.complete(a, records=[new_record("c", "k", "a")])

        (record,) = bench.store.records("tests", "c")
        assert (record.value, record.step_id) == ("a", "a")

    def test_last_of_one_exchange_wins(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()

        bench.settle(
            completed(b, records=[new_record("c", "k", "b")]),
            completed(a, records=[new_record("c", "k", "a")]),
        )

        assert bench.store.records("tests", "c")[0].value == "a"

    def test_records_come_by_key_and_can_be_read_alone(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.complete(
            bench.claim_one(), records=[new_record("c", key, key) for key in ("z", "ä", "a")]
        )

        assert [record.key for record in bench.store.records("tests", "c")] == ["a", "z", "ä"]
        assert [record.key for record in bench.store.records("tests", "c", "z")] == ["z"]
        assert bench.store.records("tests", "c", "y") == []

    def test_collections_and_packages_are_apart(self, bench: Bench) -> None:
        bench.create(new_step("a"), id="r1", package="p")
        bench.create(new_step("a"), id="r2", package="q")
        first, second = bench.claim()

        bench.complete(first, records=[new_record("c", "k", 1), new_record("d", "k", 2)])
        bench.complete(second, records=[new_record("c", "k", 3)])

        assert bench.store.collections("p") == {"c": 1, "d": 1}
        assert bench.store.collections("none") == {}

        values = {
            name: [record.value for record in bench.store.records(*name)]
            for name in (("p", "c"), ("p", "d"), ("q", "c"), ("q", "d"))
        }
        assert values == {("p", "c"): [1], ("p", "d"): [2], ("q", "c"): [3], ("q", "d"): []}

    def test_failed_attempt_leaves_no_record(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        bench.fail(bench.claim_one())

        assert bench.store.records("tests", "c") == []


class ArtifactTests(RunStoreCase):
    """Bytes in the store, or their place."""

    def test_inline_artifact(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"))
        new = new_artifact("id1", b"\0\xff", name="out.bin", metadata={"k": 1})

        bench.complete(bench.claim_one(), artifacts=[new])

        ref, body = bench.store.artifact("id1")
        assert body == b"\0\xff"
        assert (ref.id, ref.run_id, ref.step_id, ref.name) == ("id1", "r", "a", "out.bin")
        assert (ref.kind, ref.content_type, ref.size) == ("file", "text/plain", 2)
        assert (ref.sha256, ref.uri, ref.metadata) == (new.sha256, None, {"k": 1})
        assert ref.created_at == to_datetime(clock.micros())
        assert bench.store.result("r", "a").artifacts == (ref,)

    def test_empty_inline_artifact(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        bench.complete(bench.claim_one(), artifacts=[new_artifact("id1", b"")])

        assert bench.store.artifact("id1")[1] == b""

    def test_artifact_elsewhere(self, bench: Bench) -> None:
        bench.create(new_step("a"))

        bench.complete(bench.claim_one(), artifacts=[new_artifact("id1", uri="file:///x")])

        ref, body = bench.store.artifact("id1")
        assert (ref.uri, body) == ("file:///x", None)

    def test_artifacts_of_a_run_and_of_a_step_in_order(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()
        bench.complete(b, artifacts=[new_artifact("z"), new_artifact("y")])
        bench.complete(a, artifacts=[new_artifact("x")])

        assert [ref.id for ref in bench.store.artifacts("r")] == ["z", "y", "x"]
        assert [ref.id for ref in bench.store.artifacts("r", "a")] == ["x"]

    def test_unknown_artifact(self, bench: Bench) -> None:
        with pytest.raises(NotFound, match="no artifact 'nope'"):
            bench.store.artifact("nope")

    def test_taken_artifact_id_is_refused_and_its_neighbours_settled(self, bench: Bench) -> None:
        bench.create(*(new_step(name) for name in "abcd"))
        a, b, c, d = bench.claim()
        bench.complete(a, artifacts=[new_artifact("id1")])

        exchange = bench.settle(
            completed(b, 1),
            completed(c, 2, artifacts=[new_artifact("id1")], records=[new_record("c", "k", 1)]),
            completed(d, 3, artifacts=[new_artifact("id2")]),
        )

        assert [refusal.step for refusal in exchange.refused] == [c]
        assert exchange.lost == []
        assert bench.statuses() == {
            "a": "succeeded",
            "b": "succeeded",
            "c": "running",
            "d": "succeeded",
        }
        assert bench.store.records("tests", "c") == []
        check_counts(bench)
        assert bench.settle(failed(c)).ended_runs == ["r"]


class DependencyReadTests(RunStoreCase):
    """What a running step may read of the steps it depends on."""

    def test_values_in_order_of_creation_with_status(self, bench: Bench) -> None:
        bench.create(
            new_step("ok"),
            new_step("bad", allow_failure=True),
            new_step("skipped", on_failure("ok")),
            new_step("last", finished("bad"), finished("skipped"), "ok"),
        )
        steps = bench.claim_by_id()
        bench.settle(completed(steps["ok"], {"v": 1}), failed(steps["bad"]))

        values = bench.store.dependency_values(bench.claim_one())

        assert values == [
            ("ok", "work", "succeeded", '{"v":1}'),
            ("bad", "work", "failed", None),
            ("skipped", "work", "skipped", None),
        ]

    def test_whole_result_of_an_ended_step(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"))
        bench.complete(bench.claim_one(), 7, records=[new_record("c", "k", 1)])
        step = bench.claim_one()

        assert bench.store.dependency_result(step, "a") == bench.store.result("r", "a")
        with pytest.raises(NotFound, match="no step 'x'"):
            bench.store.dependency_result(step, "x")


class EventTests(RunStoreCase):
    """Events: documented types, numbers without gaps, one end for each run."""

    def test_events_of_a_life(self, bench: Bench, clock: VirtualClock) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", on_failure("a")))
        step = bench.claim_one()
        bench.settle(failed(step, retry_in=SECOND))
        clock.advance(SECOND)
        bench.complete(bench.claim_one())
        bench.fail(bench.claim_one(), "no_ink")

        assert [(e.type.value, e.step_id) for e in bench.store.events("r")] == [
            ("run.created", None),
            ("run.started", None),
            ("step.retrying", "a"),
            ("step.succeeded", "a"),
            ("step.skipped", "c"),
            ("step.failed", "b"),
            ("run.failed", None),
        ]

    def test_numbers_have_no_gaps_and_types_are_documented(self, bench: Bench) -> None:
        bench.create(*(new_step(name) for name in "abc"), new_step("d", "a"))
        bench.create(new_step("other"), id="r2")
        bench.settle(*(released(step) for step in bench.claim()))
        bench.claim()
        bench.lapse()
        bench.work_off("a")
        bench.store.retry_run("r", OPERATOR)
        bench.store.cancel_run("r", OPERATOR)

        for run in ("r", "r2"):
            events = bench.store.events(run)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert all(event.type in EventType and event.run_id == run for event in events)

    def test_refused_groups_leave_no_gap(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b"))
        a, b = bench.claim()
        bench.complete(a, artifacts=[new_artifact("id")])
        bench.settle(completed(b, artifacts=[new_artifact("id")]))
        bench.settle(bench.emit(b, new_step("x", "nowhere")))
        bench.complete(b)

        events = bench.store.events("r")
        assert [event.seq for event in events] == list(range(1, len(events) + 1))

    def test_events_after_a_number_and_up_to_a_limit(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.work_off()

        def numbers(after: int = 0, limit: int | None = None) -> list[int | None]:
            return [event.seq for event in bench.store.events("r", after, limit)]

        assert numbers() == [1, 2, 3, 4]
        assert numbers(after=2) == [3, 4]
        assert numbers(limit=2) == [1, 2]
        assert numbers(after=1, limit=1) == [2]
        assert numbers(after=4) == []

    def test_failure_event_says_code_and_message(self, bench: Bench) -> None:
        bench.create(new_step("a"))
        bench.fail(bench.claim_one(), "no_ink")

        (event,) = [e for e in bench.store.events("r") if e.type == "step.failed"]

        assert (event.step_id, event.attempt) == ("a", 1)
        assert event.data["code"] == "no_ink"
        assert event.data["message"] == "it is no_ink"

    def test_a_run_ends_exactly_once(self, bench: Bench) -> None:
        bench.create(new_step("a"), new_step("b", "a"), new_step("c", "b"))
        step = bench.claim_one()
        bench.fail(step)
        bench.settle(completed(step))
        bench.store.reap(3)

        ends = [kind for kind in bench.event_types() if kind in ("run.failed", "run.succeeded")]
        assert ends == ["run.failed"]
