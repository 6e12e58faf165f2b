"""Starting by name and JSON, and what is refused then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell.composition import connect
from stepwell.engine.errors import (
    Conflict,
    InvalidInput,
    InvalidPayload,
    NotFound,
    NotTriggerable,
    StepwellError,
)
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.package import Package
from stepwell.engine.runtime.runtime import Runtime
from stepwell.engine.step.context import StepContext


class Order(BaseModel):
    id: str
    amount: int = 1


shop = Package("shop", tags=["web"])
loud = Package("loud")


@shop.executor("shop.work")
def work() -> None: ...


@shop.entrypoint(tags=["order"])
def start(run: RunBuilder, order: Order) -> None:
    run.step(work, id="work")


@shop.workflow(trigger=False)
def close(step: StepContext) -> None: ...


@loud.workflow
def shout(step: StepContext, text: str) -> str:
    return text.upper()


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with connect("memory://", packages=[shop, loud]) as runtime:
        yield runtime


def refusal(act: Callable[[], Any], error: type[StepwellError]) -> str:
    with pytest.raises(error) as caught:
        act()
    assert type(caught.value) is error
    return str(caught.value)


@pytest.mark.parametrize(
    "given", ['{"id": "o1"}', b'{"id": "o1"}', {"id": "o1"}], ids=["text", "bytes", "values"]
)
def test_by_package_and_entrypoint(runtime: Runtime, given: Any) -> None:
    handle = runtime.trigger("shop:start", given, run_id="r", name="mine", tags=["t"])

    stored = runtime.run("r")
    assert (handle.id, stored.entrypoint, stored.name) == ("r", "start", "mine")
    assert (stored.input, stored.tags) == ({"id": "o1"}, ("web", "order", "t"))


def test_by_package_alone(runtime: Runtime) -> None:
    handle = runtime.trigger("loud", '"hello"')
    runtime.drain(handle.id, timeout=30)

    assert handle.result() == "HELLO"
    assert runtime.trigger("shop", {"id": "o1"}, entrypoint="start").package == "shop"


def test_what_its_author_does_not_allow(runtime: Runtime) -> None:
    assert refusal(lambda: runtime.trigger("shop:close"), NotTriggerable) == (
        "'shop:close' cannot be started from outside: it is declared with trigger=False"
    )
    assert runtime.runs() == []

    # The author's own code may.
    assert runtime.start_run(close).package == "shop"
    assert runtime.start_run("shop", entrypoint="close").package == "shop"


@pytest.mark.parametrize(
    ("target", "input", "options", "error", "message"),
    [
        ("shpo:start", None, {}, NotFound, "there is no package 'shpo'; did you mean 'shop'?"),
        ("shop:strat", None, {}, NotFound, "package 'shop' has no entrypoint 'strat'; did you me"),
        ("shop", None, {}, InvalidInput, "package 'shop' has several entrypoints; choose one of"),
        (shop, None, {}, InvalidInput, "trigger: must be a package or package:entrypoint, got <pa"),
        ("shop:start", None, {"entrypoint": "close"}, InvalidInput, "entrypoint: 'shop:start' nam"),
        ("shop:start", "{", {}, InvalidPayload, "input: not JSON: Expecting property name"),
        ("loud", "hello", {}, InvalidPayload, "input: not JSON: Expecting value at line 1, column"),
        ("shop:start", "NaN", {}, InvalidPayload, "input: NaN is not JSON"),
        ("shop:start", b"\xff", {}, InvalidPayload, "input: 'utf-8' codec can't decode"),
        ("shop:start", "{}", {}, InvalidPayload, "input.id: field required"),
        ("shop:start", {"id": 7}, {}, InvalidPayload, "input.id: input should be a valid string"),
        ("shop:start", {"id": "o"}, {"tag": 1}, InvalidInput, "start_run: unknown option 'tag'"),
    ],
    ids=lambda value: None,
)
def test_refused(
    runtime: Runtime,
    target: Any,
    input: Any,
    options: Any,
    error: type[StepwellError],
    message: str,
) -> None:
    said = refusal(lambda: runtime.trigger(target, input, **options), error)

    assert said.startswith(message)
    assert runtime.runs() == []


def test_a_text_that_is_no_json_is_told_to_be_quoted(runtime: Runtime) -> None:
    said = refusal(lambda: runtime.trigger("loud", "hello"), InvalidPayload)

    assert said.endswith("; a str is taken as JSON, where a text has quotes: json.dumps(text)")


def test_a_taken_id(runtime: Runtime) -> None:
    runtime.trigger("loud", '"a"', run_id="r")

    refusal(lambda: runtime.trigger("loud", '"b"', run_id="r"), Conflict)
