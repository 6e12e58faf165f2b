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


class Roads:
    """A package of one body, whose runs are worked off here."""

    def __init__(self) -> None:
        self.package = Package("roads")
        self.runtime: Runtime | None = None

    def run(self, build: Callable[..., None], input: Any = None) -> RunHandle[Any]:
        """Start a run and work until it ends."""
        self.package.entrypoint(name="start")(build)
        self.runtime = connect("memory://", packages=[self.package])
        handle = self.runtime.start_run("roads", input)
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
def roads() -> Iterator[Roads]:
    made = Roads()
    yield made
    if made.runtime is not None:
        made.runtime.close()


def by_run_input(roads: Roads, value: Any, of: Any) -> Any:
    seen = []

    def start(run: RunBuilder, order: Any) -> None:
        seen.append(order)
        run.step("noted")

    start.__annotations__["order"] = of
    roads.package.executor("noted")(lambda: None)
    roads.run(start, value)
    return seen[0]


def by_step_input(roads: Roads, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def take(order: Any) -> None:
        seen.append(order)

    take.__annotations__["order"] = of
    roads.package.executor("take")(take)
    roads.run(lambda run: run.step("take", value))
    return seen[0]


def by_emitted_input(roads: Roads, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def take(order: Any) -> None:
        seen.append(order)

    take.__annotations__["order"] = of
    roads.package.executor("take")(take)

    def body(step: StepContext) -> None:
        step.emit("take", value)

    roads.flow(body)
    return seen[0]


def by_result(roads: Roads, value: Any, of: Any) -> Any:
    def flow() -> Any:
        return value

    roads.package.workflow(_annotated(flow, of))
    roads.runtime = connect("memory://", packages=[roads.package])
    handle = roads.runtime.start_run("roads")
    roads.runtime.drain(handle.id, timeout=TIMEOUT)
    step = roads.runtime.step(handle.id, "flow")
    assert step.error is None, step.error.message
    return handle.result()


def by_dependency(roads: Roads, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def give() -> Any:
        return value

    made: ExecutorFunction[Any, Any] = roads.package.executor("give")(_annotated(give, of))

    @roads.package.executor("take")
    def take(step: StepContext) -> None:
        seen.append((step.dependency("give", of), *step.dependencies(made).values()))

    def start(run: RunBuilder) -> None:
        run.step("take", id="take", after=run.step(made, id="give"))

    handle = roads.run(start)
    for step in roads.there.steps(handle.id):
        assert step.error is None, step.error.message
    assert seen[0][0] == seen[0][1]
    return seen[0][0]


def by_do(roads: Roads, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def get() -> Any:
        return value

    def body(step: StepContext) -> None:
        seen.append(step.do("get", _annotated(get, of)))

    roads.flow(body)
    return seen[0]


def by_message(roads: Roads, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def ask(step: StepContext) -> None:
        seen.append(step.receive("topic", of))

    roads.package.executor("ask")(ask)
    roads.package.entrypoint(name="start")(lambda run: run.step("ask"))
    roads.runtime = connect("memory://", packages=[roads.package])
    handle = roads.runtime.start_run("roads")
    roads.runtime.send(handle.id, "topic", value)
    roads.runtime.drain(handle.id, timeout=TIMEOUT)
    return seen[0]


def by_message_of_a_step(roads: Roads, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def send(step: StepContext) -> None:
        step.send(step.run.id, "topic", value)

    def ask(step: StepContext) -> None:
        seen.append(step.receive("topic", of))

    roads.package.executor("ask")(ask)
    roads.package.executor("send")(send)
    handle = roads.run(lambda run: run.step("ask", after=run.step("send")))
    for step in roads.there.steps(handle.id, status="failed"):
        assert step.error is not None
        raise AssertionError(step.error.message)
    return seen[0]


def by_record(roads: Roads, value: Any, of: Any) -> Any:
    def body(step: StepContext) -> None:
        step.record("orders", "one", value)

    roads.flow(body)
    return of.model_validate_json(
        json.dumps(roads.there.records("roads", "orders")["one"]), by_name=True
    )


def by_value(roads: Roads, value: Any, of: Any) -> Any:
    seen: list[Any] = []

    def body(step: StepContext) -> None:
        step.set_value("order", value)
        seen.append(step.wait_for_value(step.run.id, "order", of))

    roads.flow(body)
    return seen[0]


def by_key_value(roads: Roads, value: Any, of: Any) -> Any:
    roads.runtime = connect("memory://", packages=[])
    roads.runtime.kv.set("order", value)
    return of.model_validate_json(json.dumps(roads.runtime.kv.get("order")), by_name=True)


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
def test_arrives_as_it_was_handed_over(roads: Roads, road: Callable[..., Any]) -> None:
    assert road(roads, ORDER, Order) == ORDER


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.__name__)
def test_is_refused_where_it_is_handed_over(roads: Roads, road: Callable[..., Any]) -> None:
    with pytest.raises((InvalidPayload, AssertionError)) as caught:
        road(roads, LOST, Secretive)

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
        self, roads: Roads, of: Any, value: Any, told: str
    ) -> None:
        roads.package.executor("flow")(_annotated(lambda: value, of))

        handle = roads.run(lambda run: run.step("flow", id="flow"))

        step = roads.there.step(handle.id, "flow")
        assert step.error is not None
        assert (step.status, step.error.code) == ("failed", "invalid_payload")
        assert told in step.error.message

    @pytest.mark.parametrize("pool", ["thread", "inline", "asyncio"])
    def test_are_tried_again_by_the_retry_policy(self, roads: Roads, pool: str) -> None:
        values: list[Any] = ["abc", "def", 7]

        @roads.package.executor("flow", retry=Retry(max_attempts=5, initial=0), pool=pool)
        async def flow() -> int:
            return values.pop(0)  # type: ignore[no-any-return]  # that is what is tested

        handle = roads.run(lambda run: run.step(flow, id="flow"))

        assert (roads.there.step(handle.id, "flow").attempt, values) == (3, [])
        assert roads.there.result(handle.id, "flow").value == 7

    def test_set_on_the_context_by_a_function_that_returns_none(self, roads: Roads) -> None:
        @roads.package.executor("flow")
        def flow(step: StepContext) -> None:
            step.result(Order.model_validate({"orderNumber": 3}))

        taken: list[Any] = []

        @roads.package.executor("take")
        def take(step: StepContext) -> None:
            taken.append((step.dependencies(flow), step.dependency("flow", Order).number))

        handle = roads.run(lambda run: run.step(take, after=run.step(flow, id="flow")))

        assert roads.there.run(handle.id).status == "succeeded"
        assert taken[0][0]["flow"]["number"] == taken[0][1] == 3

    def test_of_an_annotation_that_pydantic_cannot_read_are_plain(self, roads: Roads) -> None:
        class Foreign:
            pass

        assert roads.flow(lambda: {"a": 1}, Foreign) == {"a": 1}


class TestLargeDependencies:
    SIZE, COUNT = 300_000, 20

    def test_are_held_once(self, roads: Roads) -> None:
        most: list[int] = []

        @roads.package.executor("give")
        def give(n: int) -> str:
            return chr(65 + n) * self.SIZE

        @roads.package.executor("join")
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

        handle = roads.run(start)

        assert roads.there.result(handle.id, "join").value == self.SIZE * self.COUNT
        # All texts as they are read, and not more than one or two of them once more.
        assert most[0] < self.SIZE * (self.COUNT + 5)
