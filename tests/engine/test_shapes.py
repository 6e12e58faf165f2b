"""Functions in every shape: what takes an input and runs, and what is refused when declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import lru_cache, partial, update_wrapper, wraps
from typing import Any

import pytest
from pydantic import BaseModel

from stepwell import InvalidPackage, InvalidPayload, Package, RunBuilder, StepContext, connect

TIMEOUT = 30


class Order(BaseModel, frozen=True):
    number: int


class Callable_:
    """An object that is called like a function, with attributes that executors have, too."""

    kind = "of its own"
    options = "of its own"

    def __call__(self, step: StepContext, order: Order) -> int:
        return order.number


class AsyncCallable:
    async def __call__(self, order: Order) -> int:
        return order.number


class Decorator:
    """A decorator that is a class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self._function = function

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._function(*args, **named)


class Shop:
    def price(self, order: Order) -> int:
        return order.number


def price(step: StepContext, order: Order, factor: int = 1) -> int:
    return order.number * factor


async def async_price(step: StepContext, order: Order, factor: int = 1) -> int:
    return order.number * factor


def first(factor: int, order: Order) -> int:
    return order.number * factor


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    return wrapper


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    return wrapper


def collected(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any) -> int:
        return sum(function(*args))

    return wrapper


@collected
def counted(order: Order) -> Iterator[int]:
    yield order.number


def promised(order: Order) -> Awaitable[int]:
    return async_price(None, order)  # type: ignore[arg-type]  # it uses no context


RUN = [
    partial(price, factor=1),
    partial(async_price, factor=1),
    partial(partial(price), factor=1),
    partial(first, 1),
    Callable_(),
    AsyncCallable(),
    partial(Callable_()),
    Shop().price,
    wrapped(price),
    wrapped(async_price),
    Decorator(price),
    lru_cache(partial(first, 1)),
    promised,
]


def names(value: object) -> str:
    return f"{type(value).__name__}-{getattr(value, '__name__', '')}"


@pytest.mark.parametrize("function", RUN, ids=names)
def test_every_shape_runs_as_executor_and_as_workflow(function: Any) -> None:
    package = Package("shop")
    made = package.executor("price")(function)
    workflow = package.workflow(name="whole")(function)

    @package.entrypoint
    def start(run: RunBuilder) -> None:
        run.step(made, Order(number=7), id="price")

    with connect("memory://", packages=[package]) as runtime:
        run = runtime.start_run("shop", entrypoint="start")
        whole = runtime.start_run(workflow, {"number": 5})
        runtime.drain(timeout=TIMEOUT)

        assert runtime.result(run.id, "price").value == 7
        assert whole.result() == 5
        assert made.kind == "price"
        with pytest.raises(InvalidPayload, match=r"input\.number: "):
            runtime.start_run(workflow, {"number": "x"})


def test_a_generator_that_a_decorator_uses_up_is_a_function() -> None:
    package = Package("shop")
    package.executor("counted")(counted)


def test_names_of_workflows_without_one() -> None:
    package = Package("shop")
    package.workflow(partial(price, factor=2))
    package.workflow(Callable_())

    assert list(package.entrypoints) == ["price", "Callable_"]


def generator(order: Order) -> Iterator[int]:
    yield order.number


async def async_generator(order: Order) -> AsyncIterator[int]:
    yield order.number


class GeneratorObject:
    def __call__(self, order: Order) -> Iterator[int]:
        yield order.number


@pytest.mark.parametrize(
    "function",
    [generator, async_generator, partial(generator), GeneratorObject()],
    ids=names,
)
def test_generator_functions_are_refused_when_declared(function: Any) -> None:
    package = Package("shop")

    declared: list[Callable[[Any], Any]] = [
        package.executor("price"),
        package.workflow(name="whole"),
        package.entrypoint(name="start"),
    ]
    for declare in declared:
        with pytest.raises(InvalidPackage, match="is a generator function, whose body would never"):
            declare(function)
    assert (package.executors, package.entrypoints) == ({}, {})


def anything(*args: Any) -> None: ...
def named(step: StepContext, **options: Any) -> None: ...


@pytest.mark.parametrize("function", [unwrapped(price), anything, named], ids=names)
def test_parameters_that_would_get_no_input_are_refused(function: Any) -> None:
    package = Package("shop")
    package.workflow(name="whole")(function)

    with pytest.raises(InvalidPackage, match="none of which can take the input; add a parameter"):
        connect("memory://", packages=[package])


def takes_nothing() -> None: ...
def takes_context(step: StepContext) -> None: ...
def takes_builder(run: RunBuilder) -> None: ...


class TestInputThatNobodyTakes:
    @pytest.mark.parametrize("function", [takes_nothing, takes_context], ids=names)
    @pytest.mark.parametrize("value", [{"number": 1}, 0, "", False, []], ids=repr)
    def test_of_a_step_and_of_a_workflow(self, function: Any, value: Any) -> None:
        package = Package("shop")
        made = package.executor("price")(function)
        workflow = package.workflow(name="whole")(function)

        @package.entrypoint
        def start(run: RunBuilder) -> None:
            run.step(made, value)

        told = r"input: .*\.takes_\w+ has no parameter for an input, got .*; add one, or pass"
        with connect("memory://", packages=[package]) as runtime:
            with pytest.raises(InvalidPayload, match=told):
                runtime.start_run("shop", entrypoint="start")
            with pytest.raises(InvalidPayload, match=told):
                runtime.start_run(workflow, value)
            assert runtime.runs() == []

    def test_of_a_run(self) -> None:
        package = Package("shop")
        package.entrypoint(name="start")(takes_builder)

        with connect("memory://", packages=[package]) as runtime:
            with pytest.raises(InvalidPayload, match=r"input: .*\.takes_builder has no parameter"):
                runtime.start_run("shop", {"number": 1})
            assert runtime.runs() == []

    def test_of_an_emitted_step_fails_the_step_that_emits(self) -> None:
        package = Package("shop")
        package.executor("price")(takes_context)

        @package.workflow
        def whole(step: StepContext) -> None:
            step.emit("price", {"number": 1})

        with connect("memory://", packages=[package]) as runtime:
            run = runtime.start_run(whole)
            runtime.drain(timeout=TIMEOUT)
            (step,) = runtime.steps(run.id)

        assert step.error is not None
        assert "has no parameter for an input" in step.error.message

    def test_no_input_needs_no_parameter(self) -> None:
        package = Package("shop")
        workflow = package.workflow(takes_context)

        with connect("memory://", packages=[package]) as runtime:
            run = runtime.start_run(workflow)
            runtime.drain(timeout=TIMEOUT)
            assert run.status() == "succeeded"


def test_a_process_pool_says_that_it_needs_a_function() -> None:
    package = Package("shop")
    made = package.executor("price", pool="process")(partial(price, factor=2))

    with pytest.raises(InvalidPackage, match="is not a function; pool='process' needs one"):
        made.__reduce__()
