"""What authors say of their entrypoints: titles, tags, summaries, schemas."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, Field

from stepwell.engine.entrypoints import MAX_SUMMARY
from stepwell.engine.errors import InvalidPackage
from stepwell.engine.graph.builder import RunBuilder
from stepwell.engine.model import Queue
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.runtime.run_factory import RunFactory, RunLabels
from stepwell.engine.settings import Settings
from stepwell.engine.step.context import StepContext
from stepwell.executors.registry import Registry


class Order(BaseModel):
    """What somebody buys."""

    id: str = Field("o1", description="The number of the order.")
    amount: int = 0


class Opaque:
    """A class that pydantic knows no schema of."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        from pydantic_core import core_schema  # only this class needs it

        return core_schema.no_info_plain_validator_function(lambda value: value)


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(InvalidPackage) as caught:
        act()
    return str(caught.value)


def summarized(function: Any, raw_input: str, body: Any = None) -> str | None:
    """What an entrypoint with this summary function says of a run."""

    def start(run: RunBuilder, order: Order) -> None: ...

    package = Package("shop")
    package.entrypoint(name="start", summary=function)(body or start)
    return package.entrypoints["start"].summarize(raw_input)


class TestWhatIsSaid:
    def test_of_a_package_and_its_entrypoint(self) -> None:
        package = Package("shop", title="Web shop", description="Sells\n  pens.", tags=["web", "a"])

        @package.entrypoint(
            title="New order",
            description="Takes an order.",
            tags=["a", "order", "order"],
            trigger=False,
        )
        def start(run: RunBuilder, order: Order) -> None: ...

        found = package.entrypoints["start"]
        assert (package.description, package.tags) == ("Sells\npens.", ("web", "a"))
        assert (found.title, found.description) == ("New order", "Takes an order.")
        assert (found.tags, found.trigger) == (("web", "a", "order"), False)
        assert found.target == "shop:start"

    def test_defaults(self) -> None:
        package = Package("shop")

        @package.entrypoint
        def start(run: RunBuilder, order: Order) -> None:
            """Take an order,
            and send it.

            Then there is more to know.
            """

        @package.workflow
        def bare(step: StepContext) -> None: ...

        found, other = package.entrypoints.values()
        assert (package.description, package.tags) == ("", ())
        assert (found.title, found.description) == ("start", "Take an order, and send it.")
        assert (found.tags, found.trigger, found.summarize("{}")) == ((), True, None)
        assert (other.title, other.description) == ("bare", "")

    def test_a_workflow_takes_the_same(self) -> None:
        package = Package("shop", tags=["web"])

        @package.workflow(
            title="Order", tags=["order"], summary=lambda order: order.id, max_recoveries=2
        )
        def order(step: StepContext, order: Order) -> None:
            """Work on one order."""

        found = package.entrypoints["order"]
        assert (found.type, found.title, found.description) == (
            "workflow",
            "Order",
            "Work on one order.",
        )
        assert (found.tags, found.max_recoveries) == (("web", "order"), 2)
        assert found.summarize('{"id": "o7"}') == "o7"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"titel": "x"}, "package 'p': KIND: unknown option 'titel'; did you mean 'title'?"),
            ({"title": 3}, "package 'p': KIND 'x'.title: must be a text of 1 to 200 characters"),
            ({"title": " "}, "package 'p': KIND 'x'.title: must be a text of 1 to 200 characters"),
            ({"description": 3}, "package 'p': KIND 'x'.description: must be a text, got 3"),
            ({"tags": "a"}, "package 'p': KIND 'x'.tags: must be a list of strings, got 'a'"),
            ({"tags": [1]}, "package 'p': KIND 'x'.tags: must be a string, got int"),
            ({"tags": None}, "package 'p': KIND 'x'.tags: must be a list of strings, got None"),
            ({"summary": "text"}, "package 'p': KIND 'x'.summary: must be a plain function of"),
            ({"trigger": "no"}, "package 'p': KIND 'x'.trigger: must be True or False, got 'no'"),
            ({"input_schema": []}, "package 'p': KIND 'x'.input_schema: must be a JSON Schema"),
        ],
        ids=lambda value: None,
    )
    @pytest.mark.parametrize("kind", ["entrypoint", "workflow"])
    def test_wrong_options(self, kind: str, options: dict[str, Any], message: str) -> None:
        def declare() -> None:
            getattr(Package("p"), kind)(name="x", **options)(lambda: None)

        assert refusal(declare).startswith(message.replace("KIND", kind))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"title": 3}, "package 'p'.title: must be a text"),
            ({"description": 3}, "package 'p'.description: must be a text, got 3"),
            ({"tags": "a"}, "package 'p'.tags: must be a list of strings, got 'a'"),
        ],
        ids=lambda value: None,
    )
    def test_wrong_options_of_a_package(self, options: dict[str, Any], message: str) -> None:
        assert refusal(lambda: Package("p", **options)).startswith(message)

    def test_a_refused_workflow_leaves_nothing(self) -> None:
        package = Package("p")

        refusal(lambda: package.workflow(name="x", title="")(lambda: None))

        assert (package.executors, package.entrypoints) == ({}, {})


class TestTags:
    def test_are_given_to_each_run_before_those_of_the_start(self) -> None:
        package = Package("shop", tags=["web"])
        package.executor("work")(lambda: None)

        @package.entrypoint(tags=["order"])
        def start(run: RunBuilder) -> None:
            run.tags.append("built")
            run.step("work")

        factory = RunFactory(Registry([package]), {"shop": package}, Settings())
        given = RunLabels(tags=["web", "urgent"])

        assert factory.build("shop", None, None, "r").tags == '["web","order","built"]'
        labelled = factory.build("shop", None, None, "r", given).tags
        assert labelled == '["order","web","urgent","built"]'


class TestSummaries:
    def test_of_the_typed_input(self) -> None:
        said = summarized(lambda order: f"{order.amount + 1} for\n {order.id}\0", '{"amount": 2}')

        assert said == "3 for o1"

    def test_of_defaults_and_of_no_input(self) -> None:
        def optional(run: RunBuilder, order: Order | None = None) -> None: ...

        assert summarized(lambda order: order.id, "null") == "o1"
        assert summarized(repr, "null", optional) == "None"
        assert summarized(repr, "null", lambda: None) == "None"

    @pytest.mark.parametrize(
        ("length", "shown"), [(200, "x" * 200), (201, "x" * 199 + "…"), (9_999, "x" * 199 + "…")]
    )
    def test_are_cut(self, length: int, shown: str) -> None:
        said = summarized(lambda _: "x" * length, "{}")

        assert said == shown
        assert len(said or "") == MAX_SUMMARY

    @pytest.mark.parametrize(
        ("function", "warning"),
        [
            (lambda order: order.nothing, "raised AttributeError("),
            (lambda order: exec("raise SystemExit(3)"), "raised SystemExit(3)"),
            (lambda order: None, "must return a text, got None"),
            (lambda order: 7, "must return a text, got 7"),
            (lambda order: " \n", "must return a text, got ' \\n'"),
            (lambda: "no parameter", "raised TypeError("),
        ],
        ids=lambda value: None,
    )
    def test_that_fail_cost_a_warning(
        self, function: Any, warning: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "stepwell"):
            assert summarized(function, "{}") is None

        (record,) = caplog.records
        assert record.getMessage().startswith(f"shop:start: its summary {warning}")

    def test_a_coroutine_function_is_refused(self) -> None:
        async def summary(order: Order) -> str:
            return order.id

        assert "summary: must be a plain function" in refusal(lambda: summarized(summary, "{}"))


class TestSchemas:
    def schema(self, annotation: Any, **options: Any) -> Any:
        def start(run: RunBuilder, value: Any) -> None: ...

        start.__annotations__["value"] = annotation
        package = Package("p")
        package.entrypoint(**options)(start)
        return package.entrypoints["start"].input_schema

    def test_of_the_annotation(self) -> None:
        schema = self.schema(Order)

        assert schema["properties"]["id"] == {
            "default": "o1",
            "description": "The number of the order.",
            "title": "Id",
            "type": "string",
        }
        assert self.schema(list[int]) == {"type": "array", "items": {"type": "integer"}}

    def test_that_nobody_can_say(self) -> None:
        assert (self.schema(Any), self.schema(Opaque)) == ({}, {})

    def test_of_no_input(self) -> None:
        package = Package("p")
        package.entrypoint(name="x")(lambda: None)

        assert package.entrypoints["x"].input_schema is None

    def test_given_by_hand(self) -> None:
        given = {"type": "object", "properties": {"id": {"type": "string"}}}

        found = self.schema(Any, input_schema=given)
        given["type"] = "changed"

        assert found == {"type": "object", "properties": {"id": {"type": "string"}}}
        assert self.schema(Order, input_schema={}) == {}

    @pytest.mark.parametrize(
        ("schema", "message"),
        [
            (3, ": must be a JSON Schema as a dict, got 3"),
            ({"default": {1}}, ".default: a set is not JSON"),
            ({"type": "objekt"}, ".type: 'objekt' is no type of JSON; did you mean 'object'?"),
            ({"type": ["null", "int"]}, ".type: 'int' is no type of JSON"),
            ({"required": "id"}, ".required: must be a list of names, got 'id'"),
            ({"properties": []}, ".properties: must be a dict of schemas, got []"),
            ({"properties": {"a": 3}}, ".properties.a: must be a schema, got 3"),
            ({"items": {"anyOf": [{"type": "x"}]}}, ".items.anyOf[0].type: 'x' is no type"),
            ({"enum": "a"}, ".enum: must be a list, got 'a'"),
            ({"oneOf": {}}, ".oneOf: must be a list of schemas, got {}"),
        ],
        ids=lambda value: None,
    )
    def test_that_are_none(self, schema: Any, message: str) -> None:
        said = refusal(lambda: self.schema(Any, input_schema=schema))

        assert said.startswith(f"package 'p': entrypoint 'start'.input_schema{message}")

    def test_for_a_function_that_takes_no_input(self) -> None:
        package = Package("p")
        package.entrypoint(name="x", input_schema={"type": "string"})(lambda: None)

        assert refusal(package.prepare) == (
            "p:x: has an input_schema, but the function takes no input"
        )


class TestDescription:
    def test_of_everything(self) -> None:
        package = Package("shop", title="Web shop", tags=["web"], queues=[Queue("slow")])

        @package.executor("shop.price", queue="slow", retry=Retry(2), timeout=3, priority=-1)
        async def price(order: Order) -> None:
            """Ask for a price."""

        class Shout:
            """Says it loudly."""

            kind = "shop.shout"

            def execute(self, step: Any) -> None: ...

        package.add_executor(Shout())

        @package.workflow(trigger=False, max_recoveries=1)
        def order(step: StepContext) -> None: ...

        told = package.describe()

        assert (told.name, told.title, told.tags) == ("shop", "Web shop", ("web",))
        assert (told.queues, told.kinds) == (("slow",), ("shop.price", "shop.shout", "shop.order"))
        (entrypoint,) = told.entrypoints
        assert (entrypoint.name, entrypoint.type, entrypoint.tags) == (
            "order",
            "workflow",
            ("web",),
        )
        assert (entrypoint.takes_input, entrypoint.input_schema) == (False, None)
        assert (entrypoint.trigger, entrypoint.max_recoveries) == (False, 1)
        first, shout, work = told.executors
        assert (first.kind, first.description) == ("shop.price", "Ask for a price.")
        assert (first.queue, first.pool, first.priority) == ("slow", "asyncio", -1)
        assert (first.timeout, first.takes_input) == (timedelta(seconds=3), True)
        assert first.retry is not None
        assert (first.retry["max_attempts"], first.input_schema["title"]) == (2, "Order")  # type: ignore[index]  # it has one
        assert (shout.description, shout.pool, shout.input_schema) == (
            "Says it loudly.",
            "thread",
            {},
        )
        assert (work.kind, work.takes_input, work.input_schema) == ("shop.order", False, None)
