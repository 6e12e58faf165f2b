"""How an author's function is called, from its annotations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell.engine.errors import InvalidPackage, InvalidPayload
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.signature import Signature
from stepwell.engine.step.context import StepContext


class Order(BaseModel):
    id: str
    lines: list[Line] = []


class Line(BaseModel):
    item: str


@dataclasses.dataclass
class Point:
    x: int


def nothing() -> None: ...
def only_context(step: StepContext) -> None: ...
def only_context_by_name(step) -> None: ...  # type: ignore[no-untyped-def]
def only_ctx(ctx) -> None: ...  # type: ignore[no-untyped-def]
def only_input(order: Order) -> None: ...
def both(step: StepContext, order: Order) -> int: ...  # type: ignore[empty-body]
def other_name(anything: StepContext, order: Order) -> None: ...
def plain_input(step: StepContext, value) -> None: ...  # type: ignore[no-untyped-def]
def step_that_is_an_input(step: Order) -> None: ...
def with_default(step: StepContext, order: Order, retries: int = 3) -> None: ...
def optional(step: StepContext, number: int = 3) -> None: ...
def with_more(step: StepContext, order: Order, *rest: Any, **named: Any) -> None: ...
def optional_order(order: Order | None) -> None: ...
def point(point: Point) -> None: ...
def numbers(values: list[int]) -> None: ...


CONTEXT = object()


def signature(function: Callable[..., Any], context: type = StepContext) -> Signature:
    return Signature(function, context, {"step", "ctx", "context"})


@pytest.mark.parametrize(
    ("function", "takes_context", "takes_input", "input_type"),
    [
        (nothing, False, False, None),
        (only_context, True, False, None),
        (only_context_by_name, True, False, None),
        (only_ctx, True, False, None),
        (only_input, False, True, Order),
        (both, True, True, Order),
        (other_name, True, True, Order),
        (plain_input, True, True, None),
        (step_that_is_an_input, False, True, Order),
        (with_default, True, True, Order),
        (optional, True, True, int),
        (with_more, True, True, Order),
        (point, False, True, Point),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_shape(
    function: Callable[..., Any], takes_context: bool, takes_input: bool, input_type: Any
) -> None:
    found = signature(function)
    found.prepare()

    assert (found.takes_context, found.takes_input) == (takes_context, takes_input)
    assert found.input_type == input_type


@pytest.mark.parametrize(
    ("function", "text", "arguments"),
    [
        (nothing, "7", ()),
        (only_context, "7", (CONTEXT,)),
        (only_input, '{"id":"o"}', (Order(id="o"),)),
        (both, '{"id":"o"}', (CONTEXT, Order(id="o"))),
        (plain_input, '{"id":["o"]}', (CONTEXT, {"id": ["o"]})),
        (optional_order, "null", (None,)),
        (optional, "5", (CONTEXT, 5)),
        (optional, "null", (CONTEXT,)),
        (point, '{"x":1}', (Point(1),)),
        (numbers, "[1,2]", ([1, 2],)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_arguments(function: Callable[..., Any], text: str, arguments: tuple[Any, ...]) -> None:
    assert signature(function).arguments(CONTEXT, text, "input") == arguments


def test_result_type() -> None:
    assert signature(both).result_type is int
    assert signature(only_ctx).result_type is type(None)
    assert signature(lambda: 1).result_type is None


def test_entrypoints_take_a_builder() -> None:
    def start(run: RunBuilder, order: Order) -> None: ...

    found = Signature(start, RunBuilder, {"run", "builder"})

    assert (found.takes_context, found.input_type) == (True, Order)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "input.id: field required"),
        ('{"id":1}', "input.id: input should be a valid string, got 1"),
        (
            '{"id":"o","lines":[{"item":"a"},{"item":null}]}',
            "input.lines[1].item: input should be a valid string, got None",
        ),
        (
            '{"id":1,"lines":[1,2,3,4]}',
            "input.id: input should be a valid string, got 1; "
            "input.lines[0]: input should be an object, got 1; "
            "input.lines[1]: input should be an object, got 2; and 2 more",
        ),
    ],
    ids=lambda value: None,
)
def test_input_of_the_wrong_type_names_the_field(text: str, message: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        signature(only_input).decode_input(text, "input")

    assert str(caught.value) == message


def three(step: StepContext, order: Order, more: int) -> None: ...
def two_inputs(order: Order, line: Line) -> None: ...
def keyword_only(step: StepContext, *, order: Order) -> None: ...
def unknown_type(order: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def no_type_for_pydantic(order: Callable[[int], 3]) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (three, "three: takes step, order, more; it may take the StepContext and one input"),
        (two_inputs, "two_inputs: takes order, line; it may take the StepContext and one input"),
        (keyword_only, "keyword_only: keyword-only parameters need a default"),
        (
            unknown_type,
            "unknown_type: cannot resolve an annotation: name 'Nowhere' is not defined; "
            "define the type at the top level of the module",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_refused_when_prepared(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(InvalidPackage) as caught:
        signature(function).prepare()

    assert str(caught.value) == f"{__name__}.{message}"


def test_type_that_pydantic_cannot_read() -> None:
    class Weird:
        pass

    def takes(value: Weird) -> None: ...

    takes.__annotations__["value"] = Weird

    with pytest.raises(InvalidPackage, match=r"takes: cannot take .*Weird.* as input: "):
        signature(takes).prepare()
