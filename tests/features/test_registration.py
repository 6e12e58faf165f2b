"""Features T1 and T18, as far as they tell of packages and start by name."""

from __future__ import annotations

import json

import pytest

from stepwell import (
    InvalidPackage,
    InvalidPayload,
    NotFound,
    NotTriggerable,
    Package,
    StepContext,
    connect,
)
from tests.features.shop import TIMEOUT, Order


def test_t1_a_function_is_registered_as_a_workflow() -> None:
    shop = Package("shop", description="Sells pens.", tags=["web"])

    @shop.workflow(
        name="order",
        title="New order",
        tags=["order"],
        max_recoveries=3,
        summary=lambda order: f"{len(order.items)} items for {order.id}",
        trigger=False,
    )
    def take(step: StepContext, order: Order) -> int:
        """Take an order and send it."""
        return len(order.items)

    @shop.workflow(input_schema={"type": "object", "properties": {"day": {"format": "date"}}})
    def close(step: StepContext, day: dict[str, str]) -> None: ...

    with connect("memory://", packages=[shop]) as runtime:
        told = runtime.packages["shop"].describe()
        order, closing = told.entrypoints
        assert (told.description, told.tags) == ("Sells pens.", ("web",))
        assert (order.name, order.type, order.title) == ("order", "workflow", "New order")
        assert (order.description, order.tags) == ("Take an order and send it.", ("web", "order"))
        assert (order.trigger, order.max_recoveries) == (False, 3)
        assert order.input_schema is not None
        assert [*order.input_schema["properties"]] == ["id", "items"]
        assert closing.input_schema == {
            "type": "object",
            "properties": {"day": {"format": "date"}},
        }

        run = runtime.start_run(take, Order(id="o1", items=["pen"]), tags=["urgent"])
        assert runtime.run(run.id).tags == ("web", "order", "urgent")

    with pytest.raises(InvalidPackage, match=r"unknown option 'trigerr'; did you mean 'trigger'"):
        shop.workflow(trigerr=False)  # type: ignore[call-overload]  # refused, also at run time


def test_t18_a_run_is_triggered_by_name() -> None:
    shop = Package("shop")

    @shop.workflow
    def order(step: StepContext, order: Order) -> int:
        return len(order.items)

    @shop.workflow(trigger=False)
    def close(step: StepContext) -> None: ...

    with connect("memory://", packages=[shop]) as runtime:
        run = runtime.trigger("shop:order", json.dumps({"id": "o1", "items": ["pen"]}))
        runtime.drain(run.id, timeout=TIMEOUT)
        assert run.result() == 1

        with pytest.raises(NotTriggerable, match="declared with trigger=False"):
            runtime.trigger("shop:close")
        with pytest.raises(NotFound, match="did you mean 'order'"):
            runtime.trigger("shop:odrer", "{}")
        with pytest.raises(InvalidPayload, match=r"^input\.id: field required"):
            runtime.trigger("shop:order", "{}")
        assert [each.id for each in runtime.runs()] == [run.id]
