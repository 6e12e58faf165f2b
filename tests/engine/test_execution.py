"""An execution ends in an outcome, whatever its body does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, model_serializer

from stepwell.engine.errors import (
    Canceled,
    NotFound,
    Permanent,
    Retryable,
    RetryAfter,
    StepError,
    Suspend,
)
from stepwell.engine.exchange import Completed, Failed, Outcome, Suspended, Wait
from stepwell.engine.failures import MAX_CAUSE, MAX_MESSAGE
from stepwell.engine.retry import Retry
from stepwell.engine.step.context import StepContext
from stepwell.engine.step.execution import fail
from stepwell.testing.builders import new_step
from tests.engine.execution_harness import ExecutionHarness


class Mute(Exception):
    """Cannot be described."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Fatal(Exception):
    """Describing it ends the program."""

    def __str__(self) -> str:
        raise SystemExit(3)


def raiser(error: BaseException) -> Any:
    def body() -> None:
        raise error

    return body


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed)
    return outcome


class TestSuccess:
    def test_value_and_everything_made(self, harness: ExecutionHarness) -> None:
        def body(step: StepContext, value: Any) -> Any:
            step.record("c", "k", 1)
            step.artifact("x", b"abc")
            step.emit("work", id="child")
            return {"value": value}

        outcome = harness.outcome(body)

        assert isinstance(outcome, Completed)
        assert outcome.value == '{"value":null}'
        assert [record.key for record in outcome.records] == ["k"]
        assert [artifact.name for artifact in outcome.artifacts] == ["x"]
        assert [step.id for step in outcome.emitted] == ["child"]

    def test_result_set_through_the_context(self, harness: ExecutionHarness) -> None:
        outcome = harness.outcome(lambda step: step.result({"a": 1}))

        assert isinstance(outcome, Completed)
        assert outcome.value == '{"a":1}'

    def test_coroutine(self, harness: ExecutionHarness) -> None:
        async def body(value: Any) -> str:
            return "async"

        outcome = harness.outcome(body)

        assert isinstance(outcome, Completed)
        assert outcome.value == '"async"'

    def test_context_is_closed_afterwards(self, harness: ExecutionHarness) -> None:
        kept: list[Any] = []

        def body(step: StepContext) -> None:
            kept.append(step)

        harness.outcome(body)

        with pytest.raises(Exception, match="has ended"):
            kept[0].record("c", "k", 1)


class TestWhatCannotBeStored:
    @pytest.mark.parametrize(
        ("value", "code", "message"),
        [
            ({1}, "invalid_payload", "result: a set is not JSON; use a sorted list"),
            ({"a": [float("nan")]}, "invalid_payload", "result.a[0]: nan is not JSON"),
            (object(), "invalid_payload", "result: an object is not JSON"),
            ("x" * 2**20, "invalid_payload", "are over the limit of 1,048,576"),
        ],
        ids=lambda value: None,
    )
    def test_result(self, harness: ExecutionHarness, value: Any, code: str, message: str) -> None:
        failure = failed(harness.outcome(lambda: value)).failure

        assert failure.code == code
        assert message in failure.message

    def test_result_set_and_returned(self, harness: ExecutionHarness) -> None:
        def body(step: StepContext) -> int:
            step.result(1)
            return 2

        failure = failed(harness.outcome(body)).failure

        assert failure.message == "result: set by step.result() and returned, too"

    def test_emission_with_a_cycle(self, harness: ExecutionHarness) -> None:
        def body(step: StepContext) -> None:
            step.emit("work", id="a", after="b")
            step.emit("work", id="b", after="a")

        assert failed(harness.outcome(body)).failure.code == "invalid_graph"

    def test_model_that_fails_when_it_is_written(self, harness: ExecutionHarness) -> None:
        class Bad(BaseModel):
            a: int

            @model_serializer
            def write(self) -> Any:
                raise SystemExit(1)

        assert failed(harness.outcome(lambda: Bad(a=1))).failure.code == "invalid_payload"


class TestRaises:
    @pytest.mark.parametrize(
        ("error", "code", "message"),
        [
            (ValueError("no such pen"), "ValueError", "no such pen"),
            (KeyError("pen"), "KeyError", "'pen'"),
            (SystemExit(3), "SystemExit", "3"),
            (KeyboardInterrupt(), "KeyboardInterrupt", ""),
            (RecursionError("deep"), "RecursionError", "deep"),
            (MemoryError(), "MemoryError", ""),
            (GeneratorExit(), "GeneratorExit", ""),
            (StepError("no_ink", "the ink is out"), "no_ink", "the ink is out"),
            (Permanent("gone"), "gone", "gone"),
            (NotFound("no run 'x'"), "not_found", "no run 'x'"),
            (Mute(), "Mute", "<str() of the exception failed: RuntimeError>"),
            (Fatal(), "Fatal", "<str() of the exception failed: SystemExit>"),
            (ExceptionGroup("both", [ValueError("x")]), "ExceptionGroup", "both (1 sub-exception)"),
            (ValueError("a\ud800\0b"), "ValueError", "a\\ud800\\0b"),
        ],
        ids=lambda value: None,
    )
    def test_failure(
        self, harness: ExecutionHarness, error: BaseException, code: str, message: str
    ) -> None:
        outcome = failed(harness.outcome(raiser(error)))

        assert (outcome.failure.code, outcome.failure.message) == (code, message)
        assert outcome.retry_in is None
        assert not outcome.failure.retryable

    def test_failure_can_always_be_settled(self, harness: ExecutionHarness) -> None:
        for number, error in enumerate((Mute(), Fatal(), ValueError("\ud800"), RecursionError())):
            harness.executor(raiser(error), kind=f"k{number}")
            harness.bench.create(new_step("s", kind=f"k{number}"), id=f"r{number}")
            execution = harness.execution(harness.bench.claim_one(kinds=(f"k{number}",)))
            exchange = harness.bench.settle(execution.failed(error))
            assert (exchange.refused, exchange.lost) == ([], [])
            assert harness.store.result(f"r{number}", "s").error is not None

    def test_endless_recursion(self, harness: ExecutionHarness) -> None:
        def body() -> Any:
            return body()

        assert failed(harness.outcome(body)).failure.code == "RecursionError"

    def test_cause_is_the_traceback_with_the_authors_line(self, harness: ExecutionHarness) -> None:
        def body() -> None:
            try:
                raise KeyError("inner")
            except KeyError as error:
                raise ValueError("outer") from error

        cause = failed(harness.outcome(body)).failure.cause

        assert cause is not None
        assert 'raise KeyError("inner")' in cause
        assert cause.rstrip().endswith("ValueError: outer")

    def test_long_texts_are_cut(self, harness: ExecutionHarness) -> None:
        failure = failed(harness.outcome(raiser(ValueError("x" * 100_000)))).failure

        assert len(failure.message) == MAX_MESSAGE
        assert failure.cause is not None
        assert len(failure.cause) <= MAX_CAUSE + 1

    def test_details_are_kept(self, harness: ExecutionHarness) -> None:
        failure = failed(
            harness.outcome(raiser(Permanent("code", "m", details={"k": [1]})))
        ).failure

        assert failure.details == {"k": [1]}

    def test_details_that_are_not_json_say_so(self, harness: ExecutionHarness) -> None:
        failure = failed(harness.outcome(raiser(StepError("code", details={"k": {1}})))).failure

        assert failure.details == {
            "unusable_details": "details.k: a set is not JSON; use a sorted list"
        }

    def test_input_of_the_wrong_type(self, harness: ExecutionHarness) -> None:
        def body(count: int) -> None: ...

        failure = failed(harness.outcome(body)).failure

        assert (failure.code, failure.message) == (
            "invalid_payload",
            "input: input should be a valid integer, got None",
        )


class TestRetries:
    def test_policy_of_the_executor(self, harness: ExecutionHarness) -> None:
        outcome = harness.outcome(raiser(ValueError()), retry=Retry(initial=5))

        assert failed(outcome).retry_in == 5_000_000
        assert failed(outcome).failure.retryable

    def test_policy_of_the_step_comes_first(self, harness: ExecutionHarness) -> None:
        own = Retry(initial=7).to_json()
        harness.executor(raiser(ValueError()), retry=Retry(initial=5))
        claimed = harness.claim(step=new_step("s", kind="tried", retry=own))

        outcome = harness.execution(claimed, chance=lambda: 0.0).failed(ValueError())

        assert failed(outcome).retry_in == 7_000_000

    def test_asked_for_by_the_error(self, harness: ExecutionHarness) -> None:
        assert failed(harness.outcome(raiser(RetryAfter(9)))).retry_in == 9_000_000

    def test_without_a_policy(self, harness: ExecutionHarness) -> None:
        assert failed(harness.outcome(raiser(Retryable("busy")))).retry_in == 1_000_000

    def test_stored_policy_that_cannot_be_read_any_more(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None)
        claimed = harness.claim(step=new_step("s", kind="tried", retry='{"max_atempts":3}'))

        outcome = harness.execution(claimed).failed(ValueError("x"))

        assert (failed(outcome).failure.code, failed(outcome).retry_in) == ("ValueError", None)

    def test_describing_never_raises(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None)

        outcome = fail(harness.claim(), Retryable("c"), Retry(), lambda: 1 / 0)

        assert outcome.retry_in is None


class TestSignals:
    def test_suspend(self, harness: ExecutionHarness) -> None:
        wait = Wait(until=5)

        outcome = harness.outcome(raiser(Suspend(wait)))

        assert isinstance(outcome, Suspended)
        assert outcome.wait is wait

    def test_suspend_without_a_wait_is_a_failure(self, harness: ExecutionHarness) -> None:
        assert failed(harness.outcome(raiser(Suspend("what?")))).failure.code == "Suspend"

    def test_canceled(self, harness: ExecutionHarness) -> None:
        outcome = failed(harness.outcome(raiser(Canceled("stop")), retry=Retry()))

        assert (outcome.failure.code, outcome.retry_in) == ("canceled", None)

    def test_authors_except_does_not_catch_them(self, harness: ExecutionHarness) -> None:
        def body() -> None:
            try:
                raise Suspend(Wait(until=5))
            except Exception:
                raise AssertionError("swallowed") from None

        assert isinstance(harness.outcome(body), Suspended)


class TestBeginning:
    def test_begins_once(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None)
        seen: list[Any] = []
        execution = harness.execution(on_begin=seen.append)

        assert (execution.begin(), execution.begin()) == (True, False)
        assert execution.started
        assert seen == [execution]
        assert not execution.revoke()

    def test_revoked_execution_does_not_begin(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None)
        execution = harness.execution()

        assert execution.revoke()
        assert not execution.begin()
        assert not execution.started

    def test_canceled_execution_does_not_begin(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None)
        execution = harness.execution()
        execution.cancel()

        assert execution.context.cancelled
        assert not execution.begin()

    def test_unknown_kind(self, harness: ExecutionHarness) -> None:
        harness.bench.create(new_step("s", kind="tried"))
        claimed = harness.bench.claim_one(kinds=("tried",))

        with pytest.raises(NotFound, match="no executor 'tried'"):
            harness.execution(claimed)

    def test_kind_of_an_execution(self, harness: ExecutionHarness) -> None:
        harness.executor(lambda: None, timeout=timedelta(seconds=1))

        assert harness.execution().kind == "tried"
