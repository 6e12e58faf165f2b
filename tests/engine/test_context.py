"""Everything an executor can see and do through its step."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell.engine.clock import to_datetime
from stepwell.engine.durable.durable import Durable
from stepwell.engine.durable.journal import Journal
from stepwell.engine.errors import (
    InvalidGraph,
    InvalidInput,
    InvalidPayload,
    NotFound,
    StepwellError,
)
from stepwell.engine.exchange import Edge
from stepwell.engine.model import StepHandle
from stepwell.engine.payloads.payload import decode, encode
from stepwell.engine.states import Condition
from stepwell.engine.step.context import StepContext
from stepwell.testing.builders import completed, failed, new_step, subtree, suspended
from tests.engine.execution_harness import ExecutionHarness


class Price(BaseModel):
    item: str
    cents: int


@pytest.fixture
def step(harness: ExecutionHarness) -> StepContext:
    harness.executor(lambda: None)
    return harness.context()


def refusal(act: Callable[[], Any], error: type[Exception] = InvalidInput) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


class TestWhatItIs:
    def test_run_step_and_lease(self, harness: ExecutionHarness) -> None:
        new = new_step(
            "s",
            kind="tried",
            input='{"n":1}',
            priority=4,
            timeout=2_000_000,
            metadata='{"k":1}',
            max_attempts=3,
            dedup_key="d",
            allow_failure=True,
        )
        claimed = harness.claim(step=new, name="nightly", metadata={"m": 1}, tags=["t"])

        step = harness.context(claimed)

        assert (step.run.id, step.run.package, step.run.name) == ("r", "tests", "nightly")
        assert (step.run.metadata, step.run.tags) == ({"m": 1}, ("t",))
        seen = step.step
        assert (seen.id, seen.run_id, seen.kind, seen.queue) == ("s", "r", "tried", "default")
        assert (seen.status, seen.priority, seen.input) == ("running", 4, {"n": 1})
        assert (seen.metadata, seen.max_attempts, seen.attempt) == ({"k": 1}, 3, 1)
        assert (seen.timeout, seen.worker) == (timedelta(seconds=2), "w1")
        assert (seen.dedup_key, seen.allow_failure) == ("d", True)
        assert seen == harness.bench.step("s")
        lease = step.lease
        assert (lease.run_id, lease.step_id, lease.worker_id) == ("r", "s", "w1")
        assert (lease.token, lease.expires_at) == (claimed.token, to_datetime(claimed.expires_at))
        assert step.now == to_datetime(harness.clock.micros())
        assert (step.raw_input, step.input) == ('{"n":1}', {"n": 1})
        assert (step.attempt, step.idempotency_key) == (1, "r/s")
        assert step.app == "the app"

    def test_logger_names_run_step_and_attempt(
        self, step: StepContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "stepwell.step"):
            step.logger.info("priced %s", "pen", extra={"more": 1})

        (record,) = caplog.records
        assert record.getMessage() == "[r/s#1] priced pen"
        fields = {name: getattr(record, name) for name in ("run_id", "step_id", "attempt", "more")}
        assert fields == {"run_id": "r", "step_id": "s", "attempt": 1, "more": 1}
        assert step.logger is step.logger

    @pytest.mark.parametrize("id", ["100%", "%s of %d", "%(name)s", "%%"])
    def test_logger_takes_a_percent_sign_in_an_id_for_what_it_is(
        self, harness: ExecutionHarness, caplog: pytest.LogCaptureFixture, id: str
    ) -> None:
        logger = harness.context(harness.claim(step=new_step(id, kind="tried"))).logger

        with caplog.at_level(logging.INFO, "stepwell.step"):
            logger.info("50% done")
            logger.info("priced %s at %d%%", "pen", 90)
            logger.info("named %(name)s", {"name": "pen"})

        said = [record.getMessage() for record in caplog.records]
        assert said == [
            f"[r/{id}#1] 50% done",
            f"[r/{id}#1] priced pen at 90%",
            f"[r/{id}#1] named pen",
        ]

    def test_logger_names_the_line_that_logged(
        self, step: StepContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        around = logging.LoggerAdapter(step.logger, {})

        with caplog.at_level(logging.INFO, "stepwell.step"):
            step.logger.warning("plain")
            step.logger.log(logging.INFO, "direct", extra=None)
            around.info("by another adapter")

        here = self.test_logger_names_the_line_that_logged.__name__
        assert [(record.filename, record.funcName) for record in caplog.records] == [
            ("test_context.py", here)
        ] * 3

    def test_cancelled_calls_back_once_and_late_ones_at_once(
        self, step: StepContext, caplog: pytest.LogCaptureFixture
    ) -> None:
        called: list[str] = []
        step.on_cancel(lambda: called.append("early"))
        step.on_cancel(lambda: 1 / 0)
        before = step.cancelled

        step.internals.cancel()
        step.internals.cancel()

        assert (before, step.cancelled) == (False, True)
        assert called == ["early"]
        assert "a callback of on_cancel failed" in caplog.text
        step.on_cancel(lambda: called.append("late"))
        assert called == ["early", "late"]


class TestDependencies:
    @pytest.fixture
    def after_three(self, harness: ExecutionHarness) -> StepContext:
        """A step after one that gave a price, one that failed, and a subtree of two."""
        harness.executor(lambda: None)
        harness.bench.create(
            new_step("price", kind="a"),
            new_step("bad", kind="b", allow_failure=True),
            new_step("tree", kind="c"),
            new_step(
                "s",
                "price",
                Edge("bad", Condition.FINISHED),
                subtree("tree"),
                kind="tried",
            ),
        )
        bench = harness.bench
        steps = bench.claim_by_id(kinds=("a", "b", "c"))
        bench.settle(completed(steps["price"], {"item": "pen", "cents": 7}), failed(steps["bad"]))
        bench.settle(completed(steps["tree"], "top", emitted=[new_step("leaf")]))
        bench.complete(bench.claim_one(), "leaf")
        return harness.context(bench.claim_one(kinds=("tried",)))

    def test_value_of_one(self, after_three: StepContext) -> None:
        assert after_three.dependency("price") == {"item": "pen", "cents": 7}
        assert after_three.dependency("price", Price) == Price(item="pen", cents=7)
        assert after_three.dependency("leaf", str) == "leaf"

    def test_values_of_all_that_left_one(self, after_three: StepContext) -> None:
        assert after_three.dependencies() == {
            "price": {"item": "pen", "cents": 7},
            "tree": "top",
            "leaf": "leaf",
        }

    def test_value_of_the_wrong_type_names_step_and_field(self, after_three: StepContext) -> None:
        assert refusal(lambda: after_three.dependency("leaf", Price), InvalidPayload).startswith(
            "dependency 'leaf': input should be an object"
        )
        assert "dependency 'price'" in refusal(
            lambda: after_three.dependencies(str), InvalidPayload
        )

    def test_no_dependency_of_that_name(self, after_three: StepContext) -> None:
        assert refusal(lambda: after_three.dependency("prize"), NotFound) == (
            "step 's' does not depend on 'prize'; did you mean 'price'?"
        )

    def test_dependency_without_a_result(self, after_three: StepContext) -> None:
        assert refusal(lambda: after_three.dependency("bad"), NotFound) == (
            "dependency 'bad' left no result: it failed"
        )

    def test_whole_result(self, after_three: StepContext) -> None:
        result = after_three.dependency_result("bad")

        assert result.error is not None
        assert (result.status, result.error.code) == ("failed", "broken")


class TestRecords:
    def test_last_one_of_a_key_counts(self, step: StepContext) -> None:
        step.record("prices", "pen", {"cents": 1})
        step.record("prices", "pen", Price(item="pen", cents=2))
        step.record("prices", "ink", 3)

        assert [(r.key, r.value) for r in step.internals.effects.records.values()] == [
            ("pen", '{"item":"pen","cents":2}'),
            ("ink", "3"),
        ]

    def test_refused(self, step: StepContext) -> None:
        assert "record.collection: must have" in refusal(lambda: step.record("", "k", 1))
        assert "record.key: must be a string, got int" in refusal(
            lambda: step.record("c", 7, 1)  # type: ignore[arg-type]  # that is the point
        )
        assert refusal(lambda: step.record("c", "k", {"x": {1}})) == (
            "record c/k.x: a set is not JSON; use a sorted list"
        )


class TestArtifacts:
    def test_small_ones_are_inline(self, step: StepContext) -> None:
        ref = step.artifact("a.txt", "ä", content_type="text/plain", metadata={"k": 1})

        assert (ref.name, ref.kind, ref.content_type) == ("a.txt", "file", "text/plain")
        assert (ref.size, ref.uri, ref.metadata) == (2, None, {"k": 1})
        assert ref.sha256 == hashlib.sha256("ä".encode()).hexdigest()
        (new,) = step.internals.effects.artifacts.values()
        assert (new.id, new.body) == (ref.id, "ä".encode())

    def test_large_ones_go_to_the_store(self) -> None:
        harness = ExecutionHarness(inline_limit=4)
        harness.executor(lambda: None)
        step = harness.context()

        small, large = step.artifact("small", b"1234"), step.artifact("large", b"12345")

        assert small.uri is None
        assert large.uri == f"memory://{large.sha256}"
        harness.close()

    @pytest.mark.parametrize(
        "data", [b"abc", "abc", bytearray(b"abc"), io.BytesIO(b"abc")], ids=lambda value: None
    )
    def test_stored_whatever_the_size(self, step: StepContext, data: Any) -> None:
        ref = step.store_artifact("x", data, id="mine", kind="table")

        assert (ref.id, ref.kind, ref.size) == ("mine", "table", 3)
        assert ref.sha256 == hashlib.sha256(b"abc").hexdigest()
        assert ref.uri is not None

    def test_a_text_that_cannot_be_written(self, step: StepContext) -> None:
        for put in (step.artifact, step.store_artifact):
            assert "character 1 of its text is a lone surrogate" in refusal(
                lambda put=put: put("x", "a\ud800")  # type: ignore[misc]  # a default
            )

    @pytest.mark.parametrize(
        "name", ["../x", "a/b", "/etc/passwd", "..", ".", "a\\b"], ids=lambda value: None
    )
    def test_names_that_look_like_paths(self, step: StepContext, name: str) -> None:
        for put in (step.artifact, step.store_artifact):
            assert "looks like a path; use a plain name" in refusal(
                lambda put=put: put(name, b"")  # type: ignore[misc]  # a default
            )

    @pytest.mark.parametrize(
        ("label", "message"),
        [
            ({"id": ""}, "artifact.id: must have"),
            ({"kind": 7}, "artifact.kind: must be a string, got int"),
            ({"content_type": "a\nb"}, "artifact.content_type: 'a\\nb' has the unprintable"),
            ({"contenttype": "x"}, "unknown option 'contenttype'; did you mean 'content_type'?"),
            ({"metadata": [1]}, "artifact 'x'.metadata: must be a mapping, got [1]"),
            ({"metadata": {"k": b""}}, "artifact 'x'.metadata.k: a bytes is not JSON"),
        ],
        ids=lambda value: None,
    )
    def test_labels_that_cannot_be(
        self, step: StepContext, label: dict[str, Any], message: str
    ) -> None:
        assert message in refusal(lambda: step.artifact("x", b"", **label))
        assert step.internals.effects.artifacts == {}

    def test_name_given_twice(self, step: StepContext) -> None:
        step.artifact("x", b"")

        assert "artifact.name: 'x' was given twice" in refusal(lambda: step.artifact("x", b""))
        assert "artifact.name: must be a string" in refusal(
            lambda: step.artifact(None, b"")  # type: ignore[arg-type]  # that is the point
        )

    @pytest.mark.parametrize("data", [7, None, [1, 2], io.BytesIO()], ids=lambda value: None)
    def test_what_is_neither_bytes_nor_text(self, step: StepContext, data: Any) -> None:
        assert "artifact 'x': must be bytes or text, got" in refusal(
            lambda: step.artifact("x", data)
        )


class TestProjections:
    def test_statements(self, step: StepContext) -> None:
        sales = step.projection("sales")

        sales.execute("CREATE TABLE sales (item TEXT, cents INTEGER)")
        assert sales.execute_many("INSERT INTO sales VALUES (?, ?)", [("pen", 1), ("ink", 2)]) == 2
        assert sales.query("SELECT sum(cents) AS total FROM sales") == [{"total": 3}]

    def test_once_per_step_and_key(self, harness: ExecutionHarness, step: StepContext) -> None:
        sales, calls = step.projection("sales"), []

        assert sales.once(lambda tx: calls.append("first"))
        assert not sales.once(lambda tx: calls.append("again"))
        assert sales.once(lambda tx: calls.append("other"), key="other")

        assert calls == ["first", "other"]


class TestEmissions:
    def test_handles_and_dependencies(self, step: StepContext) -> None:
        first = step.emit("work", {"n": 1})
        step.emit("tried", id="last", after=[first, "stored"], priority=2)

        _, _, (one, two), _ = step.internals.made()

        assert first == StepHandle("s/work:1")
        assert (one.id, one.input, one.package) == ("s/work:1", '{"n":1}', "tests")
        assert (two.id, two.priority) == ("last", 2)
        assert two.edges == (Edge("s/work:1"), Edge("stored"))

    def test_nothing_emitted(self, step: StepContext) -> None:
        assert step.internals.made() == ((), (), (), ())

    def test_cycle(self, step: StepContext) -> None:
        step.emit("work", id="a", after="b")
        step.emit("work", id="b", after="a")

        assert refusal(step.internals.made, InvalidGraph) == (
            "emit: the dependencies form a cycle: a → b → a"
        )

    def test_refused_at_once(self, step: StepContext) -> None:
        assert "there is no executor 'wrk'" in refusal(lambda: step.emit("wrk"), NotFound)
        assert "emit.step('a').queue" in refusal(
            lambda: step.emit("work", id="a", queue="nowhere"), InvalidGraph
        )


class TestChildRuns:
    def test_run_of_a_package(self, step: StepContext) -> None:
        run = step.internals.child_run("tests")

        assert (run.id, run.package, run.entrypoint) == ("r.s.1", "tests", "start")
        assert len(run.steps) == 1

    def test_id_stays_an_id_under_long_ones(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None)
        harness.bench.create(new_step("s" * 200, kind="tried"), id="r" * 200)
        step = harness.context(harness.bench.claim_one(kinds=("tried",)))

        assert len(step.internals.child_run("tests").id) <= 200

    def test_what_it_waited_for(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None)
        claimed = harness.claim()
        assert harness.context(claimed).internals.resumed_wait() is None
        harness.bench.settle(suspended(claimed, until=harness.clock.micros()))
        harness.store.reap(3)

        resumed = harness.context(harness.bench.claim_one(kinds=("tried",)))

        waited = resumed.internals.resumed_wait()
        assert waited is not None
        assert (waited["run_id"], waited["until"]) == (None, harness.clock.micros())
        assert resumed.internals.resumed_deadline() == harness.clock.micros()

    def test_status_of_other_runs(self, step: StepContext) -> None:
        assert step.internals.run_status("r") == "running"
        assert step.internals.run_status("other") is None


class TestParts:
    def test_nothing_durable_is_made_before_the_first_operation(self, step: StepContext) -> None:
        step.record("prices", "pen", 1)
        step.kv.get("key")
        step.send("r", "topic", 1)
        assert step.internals.durable is None

        step.do("one", int)

        assert step.internals.durable is not None

    def test_threads_share_what_the_first_of_them_made(self, step: StepContext) -> None:
        made: list[Journal] = []

        def make(*arguments: Any) -> Journal:
            if not made:  # meanwhile, another thread is faster
                made.append(journal := Journal(*arguments))
                step.internals.durable = Durable(step.internals, journal)
            return Journal(*arguments)

        step.internals.make_journal = make

        assert step.internals.durable_for("do").journal is made[0]

    def test_there_may_be_no_store_for_durable_operations(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None)
        services = dataclasses.replace(harness.services(), durable=None)
        step = StepContext(harness.claim(), "w1", services)

        for operation, act in {
            "do": lambda: step.do("one", int),
            "sleep": lambda: step.sleep(1),
            "kv": lambda: step.kv,
        }.items():
            assert refusal(act, StepwellError) == (
                f"step.{operation}: this execution has no store for durable operations"
            )


def test_result_is_kept(step: StepContext) -> None:
    step.result([1])

    assert step.internals.returned == [1]


@pytest.mark.parametrize(
    ("operation", "act"),
    [
        ("result", lambda step: step.result(1)),
        ("record", lambda step: step.record("c", "k", 1)),
        ("artifact", lambda step: step.artifact("x", b"")),
        ("store_artifact", lambda step: step.store_artifact("x", b"")),
        ("emit", lambda step: step.emit("work")),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_effects_are_refused_after_the_end(
    step: StepContext, operation: str, act: Callable[[StepContext], Any]
) -> None:
    step.internals.closed = True

    assert refusal(lambda: act(step), StepwellError) == (
        f"step.{operation}: the execution of step 's' has ended; "
        "effects can only be made until the executor returns"
    )
    assert decode(encode(step.input, "input")) is None
