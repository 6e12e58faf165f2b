"""Features G1 to G6, through the public surface alone: packages, runs, steps, executors."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from stepwell import (
    Dependency,
    InvalidGraph,
    InvalidPackage,
    InvalidPayload,
    Package,
    Permanent,
    Queue,
    Retry,
    RunBuilder,
    StepContext,
    StepHandle,
    connect,
)
from tests.features.shop import Order, Price, package, work_off


def test_g1_package_with_name_title_and_entrypoint() -> None:
    shop = Package("shop", title="Web shop")

    @shop.executor("shop.total")
    def total(order: Order) -> int:
        return len(order.items)

    with pytest.raises(InvalidPackage, match="package 'shop' has no entrypoint"):
        connect("memory://", packages=[shop])

    @shop.entrypoint
    def start(run: RunBuilder, order: Order) -> None:
        run.step(total, order, id="total")

    with connect("memory://", packages=[shop]) as runtime:
        run = work_off(runtime, Order(id="o1", items=["pen", "ink"]))
        assert (shop.name, shop.title, run.package) == ("shop", "Web shop", "shop")
        assert runtime.result(run.id, "total").value == 2

    for name in ("", "two words", None):
        with pytest.raises(InvalidPackage, match=r"package\.name"):
            Package(name)  # type: ignore[arg-type]  # refused, whatever it is


def test_g2_typed_entrypoint_decodes_its_input_before_it_runs() -> None:
    seen: list[Any] = []

    def start(run: RunBuilder, order: Order) -> None:
        seen.append((order, json.loads(run.raw_input), run.input))
        run.step("nothing")

    shop = package(start)
    shop.executor("nothing")(lambda: None)
    with connect("memory://", packages=[shop]) as runtime:
        work_off(runtime, {"id": "o1", "items": ["pen"]})
        raw = {"id": "o1", "items": ["pen"]}
        assert seen == [(Order(id="o1", items=["pen"]), raw, raw)]

        with pytest.raises(InvalidPayload, match=r"^input\.items\[1\]: .* string, got 7$"):
            runtime.start_run("shop", {"id": "o2", "items": ["pen", 7]})
        with pytest.raises(InvalidPayload, match=r"^input\.id: field required$"):
            runtime.start_run("shop", {})
        assert len(seen) == len(runtime.runs()) == 1


def test_g3_run_builder_names_labels_and_adds_steps() -> None:
    def start(run: RunBuilder, count: int) -> None:
        run.name = "nightly"
        run.metadata["requested_by"] = "ann"
        handles = [run.step("nothing") for _ in range(count)]
        assert all(isinstance(handle, StepHandle) for handle in handles)

    shop = package(start)
    shop.executor("nothing")(lambda: None)
    with connect("memory://", packages=[shop]) as runtime:
        run = runtime.start_run("shop", 3)
        stored = runtime.run(run.id)
        assert (stored.name, stored.metadata) == ("nightly", {"requested_by": "ann"})
        ids = [step.id for step in runtime.steps(run.id)]
        assert ids == ["nothing:1", "nothing:2", "nothing:3"]

        with pytest.raises(InvalidGraph, match=r"made no step; call run\.step"):
            runtime.start_run("shop", 0)


def test_g4_dependencies_by_handle_id_and_condition() -> None:
    order: list[str] = []

    def start(run: RunBuilder) -> None:
        first = run.step("note", id="first")
        bad = run.step("fails", id="bad", allow_failure=True)
        run.step("note", id="by-handle", after=[first])
        run.step("note", id="by-id", after="by-handle")
        run.step("note", id="required", after=bad)
        run.step("note", id="optional", after=Dependency(bad, "finished"))
        run.step("note", id="catch", after=[Dependency("bad", "failed")])
        run.step("note", id="otherwise", after=[Dependency(first, "failed")])

    shop = package(start)

    @shop.executor("note", pool="inline")
    def note(step: StepContext) -> None:
        order.append(step.step.id)

    @shop.executor("fails")
    def fails() -> None:
        raise Permanent("bad")

    with connect("memory://", packages=[shop]) as runtime:
        run = work_off(runtime)
        statuses = {step.id: str(step.status) for step in runtime.steps(run.id)}

    assert order.index("first") < order.index("by-handle") < order.index("by-id")
    assert statuses == {
        "first": "succeeded",
        "bad": "failed",
        "by-handle": "succeeded",
        "by-id": "succeeded",
        "required": "canceled",
        "optional": "succeeded",
        "catch": "succeeded",
        "otherwise": "skipped",
    }


def test_g5_step_options() -> None:
    def start(run: RunBuilder) -> None:
        first = run.step("note", id="first", dedup_key="once", metadata={"k": 1})
        again = run.step("note", id="again", dedup_key="once")
        assert again == first
        run.step(
            "note",
            {"n": 1},
            id="second",
            after=first,
            queue="slow",
            retry=Retry(max_attempts=7),
            timeout=timedelta(seconds=5),
            priority=-2,
        )
        run.step("emits", id="emits")

    shop = package(start, queues=[Queue("slow")])
    shop.executor("note")(lambda number=None: None)

    @shop.executor("emits")
    def emits(step: StepContext) -> None:
        step.emit("note", id="child")
        step.emit("note", id="not-again", dedup_key="once")

    with connect("memory://", packages=[shop]) as runtime:
        run = work_off(runtime)
        steps = {step.id: step for step in runtime.steps(run.id)}

    assert list(steps) == ["first", "second", "emits", "child"]
    second = steps["second"]
    assert (second.kind, second.queue, second.priority) == ("note", "slow", -2)
    assert (second.max_attempts, second.timeout) == (7, timedelta(seconds=5))
    assert (steps["first"].metadata, steps["first"].dedup_key) == ({"k": 1}, "once")
    assert {step.package for step in steps.values()} == {"shop"}
    assert (steps["child"].parent, second.parent) == ("emits", None)


def test_g6_executors_in_every_shape_and_no_kind_twice() -> None:
    def start(run: RunBuilder) -> None:
        for kind in ("untyped", "typed", "coroutine", "object"):
            run.step(kind, {"item": "pen", "cents": 5}, id=kind)

    shop = package(start)

    @shop.executor("untyped")
    def untyped(step, value):  # type: ignore[no-untyped-def]
        return value["cents"]

    @shop.executor("typed")
    def typed(price: Price) -> Price:
        return Price(item=price.item, cents=price.cents * 2)

    @shop.executor("coroutine")
    async def coroutine(price: Price) -> str:
        await asyncio.sleep(0)
        return price.item

    @dataclass
    class Shout:
        kind: str = "object"

        def execute(self, step: StepContext) -> str:
            return str(step.input["item"]).upper()

    assert typed(Price(item="pen", cents=1)).cents == 2  # still a function
    with connect("memory://", packages=[shop]) as runtime:
        runtime.register_executor(Shout())
        run = work_off(runtime)
        values = {step.id: runtime.result(run.id, step.id).value for step in runtime.steps(run.id)}
        assert values == {
            "untyped": 5,
            "typed": {"item": "pen", "cents": 10},
            "coroutine": "pen",
            "object": "PEN",
        }
        assert {"untyped", "typed", "coroutine", "object"} <= set(runtime.kinds)
        for twice in (Shout(), Shout("typed")):
            with pytest.raises(InvalidPackage, match="is registered twice"):
                runtime.register_executor(twice)
