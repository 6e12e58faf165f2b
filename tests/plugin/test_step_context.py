"""`step_context`: a real context for a function's unit test, that shows what was made."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta
from typing import Any

import pytest

from stepwell import InvalidInput, InvalidPayload, NotFound, StepContext
from stepwell.testing import MakeContext
from stepwell.testing import step_context as context_of_its_own
from stepwell.testing.contexts import Emitted, Sent
from tests.plugin.packages import Order, ask, bank, careful, pay, thank


@pytest.fixture(autouse=True)
def _a_new_bank() -> None:
    bank.reset()


def test_what_a_function_makes_is_shown(step_context: MakeContext) -> None:
    step = step_context(package=careful)

    assert pay(step, Order(id="o1", cents=7)) == "receipt 7"

    made = step.made
    assert made.records == {"paid": {"o1": {"receipt": "receipt 7"}}}
    assert made.artifacts == {"receipt.txt": b"receipt 7"}
    assert made.emitted == {"thank": Emitted("careful.thank", "o1", ())}
    assert made.operations == {"charge": "receipt 7"}
    assert bank.charges == [7]


def test_dependencies_are_given_by_step_id(step_context: MakeContext) -> None:
    given = {"pay": "receipt", "order": {"id": "o", "cents": 1}}
    step = step_context(dependencies=given, kinds={"pay": pay})

    assert step.dependency("order", Order) == Order(id="o", cents=1)
    assert step.dependencies() == given
    assert step.dependencies(pay) == {"pay": "receipt"}
    assert step.dependency_result("pay").status == "succeeded"
    with pytest.raises(NotFound, match="does not depend on 'pai'; did you mean 'pay'"):
        step.dependency("pai")


def test_the_attempt_and_the_app_are_what_the_test_says(step_context: MakeContext) -> None:
    step = step_context({"a": 1}, attempt=3, app="the app")

    assert (step.attempt, step.step.failures, step.app, step.input) == (3, 2, "the app", {"a": 1})
    assert step.idempotency_key == step_context().idempotency_key


def test_waits_pass_in_virtual_time(step_context: MakeContext) -> None:
    step = step_context(messages=[("word", "hello")])
    begun = step.runtime.clock.monotonic()

    step.sleep(timedelta(days=1))

    assert step.receive("word", str) == "hello"
    assert step.receive("word", str, timeout=60, default="none") == "none"
    assert step.runtime.clock.monotonic() - begun == timedelta(days=1, seconds=60).total_seconds()
    assert step.made.operations == {"sleep": None, "receive": "hello", "receive#2": None}


def test_a_wait_that_nothing_can_end_fails_the_test(step_context: MakeContext) -> None:
    with pytest.raises(pytest.fail.Exception, match="receive: waits for a message on topic"):
        ask(step_context(), "bob")


def test_what_a_real_context_refuses_is_refused(step_context: MakeContext) -> None:
    step = step_context()

    with pytest.raises(InvalidPayload, match="record a/b"):
        step.record("a", "b", object())
    with pytest.raises(NotFound):
        step.emit("no.such.kind")
    with pytest.raises(NotFound):
        step.send("nobody", "topic", 1)


def test_messages_and_the_result_are_shown(step_context: MakeContext) -> None:
    step = step_context()

    step.send(step.run.id, "word", {"a": 1})
    step.result(5)

    assert step.made.sent == [Sent(step.run.id, "word", {"a": 1})]
    assert step.made.result == 5


def test_artifacts_are_given_by_id_or_by_the_step_that_made_them(
    step_context: MakeContext,
) -> None:
    step = step_context(
        dependencies={"scan": None},
        artifacts={"a1": b"bytes", "a2": "text", ("scan", "page"): b"page"},
    )

    assert (step.artifact_bytes("a1"), step.artifact_bytes("a2")) == (b"bytes", b"text")
    (page,) = step.dependency_result("scan").artifacts
    with step.open_artifact(page) as stream:
        assert (page.name, stream.read()) == ("page", b"page")
    with pytest.raises(NotFound):
        step.artifact_bytes("a3")


def test_what_a_function_kept_it_can_read(step_context: MakeContext) -> None:
    step = step_context()

    small = step.artifact("small", b"s")
    large = step.store_artifact("large", b"l" * 100_000)

    assert step.artifact_bytes(small) == step.artifact_bytes(small.id) == b"s"
    assert step.artifact_bytes(large) == b"l" * 100_000


async def _thanked(step: StepContext) -> str:
    return await thank(step, "o1")


def test_an_async_function_is_awaited_by_the_test(step_context: MakeContext) -> None:
    step = step_context(attempt=2)

    assert asyncio.run(_thanked(step)) == "thank you for o1"
    assert step.made.operations == {"text": "thank you for o1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dependency": {}}, "unknown option 'dependency'; did you mean 'dependencies'"),
        ({"attempt": 0}, "attempt: must be a whole number from 1, got 0"),
        ({"artifacts": {"a": 1}}, r"artifacts\['a'\]: must be bytes or text, got 1"),
        ({"artifacts": {("b", "n"): b""}}, "'b' is none of the dependencies"),
    ],
)
def test_bad_options_are_refused_by_name(
    step_context: MakeContext, options: Any, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        step_context(None, **options)


def test_the_function_alone_closes_its_store_when_it_is_forgotten() -> None:
    step = context_of_its_own()
    dispose = step.dispose
    step.kv.set("a", 1)

    del step
    gc.collect()

    assert not dispose.alive
