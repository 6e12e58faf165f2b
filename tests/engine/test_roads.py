"""Every road a value takes: it arrives equal, as its declared type, or is refused at its start."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr

from stepwell import InvalidPayload, Package, Retry, RunBuilder, Runtime, StepContext, connect
from stepwell.engine.package import ExecutorFunction
from stepwell.engine.runtime.run_handle import RunHandle

TIMEOUT = 30


class Order(BaseModel):
    """What each road has to bring: aliases, keys and classes that JSON has no form for."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(0, validation_alias="orderNumber", serialization_alias="no")
    days: dict[date, int] = {}
    tags: set[int] = set()
    word: Annotated[
        SecretStr | None,
        PlainSerializer(lambda secret: secret and secret.get_secret_value(), when_used="json"),
    ] = None


class Secretive(BaseModel):
    word: SecretStr


ORDER = Order.model_construct(
    number=7, days={date(2030, 1, 2): 1}, tags={1, 2}, word=SecretStr("open")
)
LOST = Secretive(word=SecretStr("hunter2"))

Road = Callable[[Any, type[BaseModel]], Any]


class Lab:
    """A package of one body, whose runs are worked off here."""

    def __init__(self) -> None:
        self.package = Package("lab")
        self.runtime: Runtime | None = None

    def run(self, build: Callable[..., None], input: Any = None) -> RunHandle[Any]:
        """Start a run and work until it ends."""
        self.package.entrypoint(name="start")(build)
        self.runtime = connect("memory://", packages=[self.package])
        handle = self.runtime.start_run("lab", input)
        self.runtime.drain(handle.id, timeout=TIMEOUT)
        return handle

    def flow(self, body: Callable[..., Any], of: Any = None) -> Any:
        """The result of a run of one step with this body. Raises AssertionError when it failed."""
        if of is not None:
            body.__annotations__["return"] = of
        self.package.executor("flow")(body)
        handle = self.run(lambda run: run.step("flow", id="flow"))
        step = self.there.step(handle.id, "flow")
        assert step.error is None, step.error.message
        return self.there.result(handle.id, "flow").value

    @property
    def there(self) -> Runtime:
        assert self.runtime is not None
        return self.runtime


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    yield made
    if made.runtime is not None:
        made.runtime.close()


def by_run_input(lab: Lab, value: Any, of: Any) -> Any:
    seen = []

    def start(run: RunBuilder, order: Any) -> None:
        seen.append(order)
        run.step("noted")

    start.__annotations__["order"] = of
    lab.package.executor("noted")(lambda: None)
    lab.run(start, value)
    return seen[0]


def by_step_input(lab: Lab, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def take(order: Any) -> None:
        seen.append(order)

    take.__annotations__["order"] = of
    lab.package.executor("take")(take)
    lab.run(lambda run: run.step("take", value))
    return seen[0]


def by_emitted_input(lab: Lab, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def take(order: Any) -> None:
        seen.append(order)

    take.__annotations__["order"] = of
    lab.package.executor("take")(take)

    def body(step: StepContext) -> None:
        step.emit("take", value)

    lab.flow(body)
    return seen[0]


def by_result(lab: Lab, value: Any, of: Any) -> Any:
    def flow() -> Any:
        return value

    lab.package.workflow(_annotated(flow, of))
    lab.runtime = connect("memory://", packages=[lab.package])
    handle = lab.runtime.start_run("lab")
    lab.runtime.drain(handle.id, timeout=TIMEOUT)
    step = lab.runtime.step(handle.id, "flow")
    assert step.error is None, step.error.message
    return handle.result()


def by_dependency(lab: Lab, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def give() -> Any:
        return value

    made: ExecutorFunction[Any, Any] = lab.package.executor("give")(_annotated(give, of))

    @lab.package.executor("take")
    def take(step: StepContext) -> None:
        seen.append((step.dependency("give", of), *step.dependencies(made).values()))

    def start(run: RunBuilder) -> None:
        run.step("take", id="take", after=run.step(made, id="give"))

    handle = lab.run(start)
    for step in lab.there.steps(handle.id):
        assert step.error is None, step.error.message
    assert seen[0][0] == seen[0][1]
    return seen[0][0]


def by_do(lab: Lab, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def get() -> Any:
        return value

    def body(step: StepContext) -> None:
        seen.append(step.do("get", _annotated(get, of)))

    lab.flow(body)
    return seen[0]


def by_message(lab: Lab, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def ask(step: StepContext) -> None:
        seen.append(step.receive("topic", of))

    lab.package.executor("ask")(ask)
    lab.package.entrypoint(name="start")(lambda run: run.step("ask"))
    lab.runtime = connect("memory://", packages=[lab.package])
    handle = lab.runtime.start_run("lab")
    lab.runtime.send(handle.id, "topic", value)
    lab.runtime.drain(handle.id, timeout=TIMEOUT)
    return seen[0]


def by_message_of_a_step(lab: Lab, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def send(step: StepContext) -> None:
        step.send(step.run.id, "topic", value)

    def ask(step: StepContext) -> None:
        seen.append(step.receive("topic", of))

    lab.package.executor("ask")(ask)
    lab.package.executor("send")(send)
    handle = lab.run(lambda run: run.step("ask", after=run.step("send")))
    for step in lab.there.steps(handle.id, status="failed"):
        assert step.error is not None
        raise AssertionError(step.error.message)
    return seen[0]


def by_record(lab: Lab, value: Any, of: Any) -> Any:
    def body(step: StepContext) -> None:
        step.record("orders", "one", value)

    lab.flow(body)
    return of.model_validate_json(
        json.dumps(lab.there.records("lab", "orders")["one"]), by_name=True
    )


def by_value(lab: Lab, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def body(step: StepContext) -> None:
        step.set_value("order", value)
        seen.append(step.wait_for_value(step.run.id, "order", of))

    lab.flow(body)
    return seen[0]


def by_key_value(lab: Lab, value: Any, of: Any) -> Any:
    lab.runtime = connect("memory://", packages=[])
    lab.runtime.kv.set("order", value)
    return of.model_validate_json(json.dumps(lab.runtime.kv.get("order")), by_name=True)


def _annotated(function: Callable[..., Any], of: Any) -> Callable[..., Any]:
    function.__annotations__["return"] = of
    return function


ROADS = [
    by_run_input,
    by_step_input,
    by_emitted_input,
    by_result,
    by_dependency,
    by_do,
    by_message,
    by_message_of_a_step,
    by_record,
    by_value,
    by_key_value,
]


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.__name__)
def test_arrives_as_it_was_handed_over(lab: Lab, road: Callable[..., Any]) -> None:
    assert road(lab, ORDER, Order) == ORDER


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.__name__)
def test_is_refused_where_it_is_handed_over(lab: Lab, road: Callable[..., Any]) -> None:
    with pytest.raises((InvalidPayload, AssertionError)) as caught:
        road(lab, LOST, Secretive)

    message = str(caught.value).splitlines()[0]
    assert ".word: a SecretStr is written as stars; to store it in full" in message
    assert "hunter2" not in message


class TestResults:
    @pytest.mark.parametrize(
        ("of", "value", "told"),
        [
            (int, "abc", "got 'abc'; it is annotated int"),
            (int, None, "got None; it is annotated int"),
            (type(None), 5, "result: must be None, as it is annotated, got 5"),
            (Order, {"number": "x"}, "result.number: input should be a valid integer"),
        ],
        ids=repr,
    )
    def test_of_another_type_fail_the_attempt(
        self, lab: Lab, of: Any, value: Any, told: str
    ) -> None:
        lab.package.executor("flow")(_annotated(lambda: value, of))

        handle = lab.run(lambda run: run.step("flow", id="flow"))

        step = lab.there.step(handle.id, "flow")
        assert step.error is not None
        assert (step.status, step.error.code) == ("failed", "invalid_payload")
        assert told in step.error.message

    @pytest.mark.parametrize("pool", ["thread", "inline", "asyncio"])
    def test_are_tried_again_by_the_retry_policy(self, lab: Lab, pool: str) -> None:
        values: list[Any] = ["abc", "def", 7]

        @lab.package.executor("flow", retry=Retry(max_attempts=5, initial=0), pool=pool)
        async def flow() -> int:
            return values.pop(0)  # type: ignore[no-any-return]  # that is what is tested

        handle = lab.run(lambda run: run.step(flow, id="flow"))

        assert (lab.there.step(handle.id, "flow").attempt, values) == (3, [])
        assert lab.there.result(handle.id, "flow").value == 7

    def test_set_on_the_context_by_a_function_that_returns_none(self, lab: Lab) -> None:
        @lab.package.executor("flow")
        def flow(step: StepContext) -> None:
            step.result(Order.model_validate({"orderNumber": 3}))

        taken: list[Any] = []

        @lab.package.executor("take")
        def take(step: StepContext) -> None:
            taken.append((step.dependencies(flow), step.dependency("flow", Order).number))

        handle = lab.run(lambda run: run.step(take, after=run.step(flow, id="flow")))

        assert lab.there.run(handle.id).status == "succeeded"
        assert taken[0][0]["flow"]["number"] == taken[0][1] == 3

    def test_of_an_annotation_that_pydantic_cannot_read_are_plain(self, lab: Lab) -> None:
        class Foreign:
            pass

        assert lab.flow(lambda: {"a": 1}, Foreign) == {"a": 1}


class TestLargeDependencies:
    SIZE, COUNT = 300_000, 20

    def test_are_held_once(self, lab: Lab) -> None:
        most: list[int] = []

        @lab.package.executor("give")
        def give(n: int) -> str:
            return chr(65 + n) * self.SIZE

        @lab.package.executor("join")
        def join(step: StepContext) -> int:
            tracemalloc.start()
            values = step.dependencies()
            most.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            again = step.dependencies(give)
            assert again == values
            assert step.dependency("give:3") == values["give:3"]
            return sum(map(len, values.values()))

        def start(run: RunBuilder) -> None:
            run.step(join, id="join", after=[run.step(give, n) for n in range(self.COUNT)])

        handle = lab.run(start)

        assert lab.there.result(handle.id, "join").value == self.SIZE * self.COUNT
        # All texts as they are read, and not more than one or two of them once more.
        assert most[0] < self.SIZE * (self.COUNT + 5)
