"""Workflows: a durable function as a whole run."""

from __future__ import annotations

from typing import Any, assert_type

import pytest
from pydantic import BaseModel

from stepwell import (
    Conflict,
    InvalidInput,
    InvalidPackage,
    InvalidPayload,
    NotFound,
    Package,
    RunBuilder,
    RunHandle,
    Runtime,
    StepContext,
    StepError,
    VirtualClock,
    WaitTimeout,
    connect,
)


class Order(BaseModel):
    item: str
    count: int = 1


class Bill(BaseModel):
    cents: int


shop = Package("shop")


@shop.workflow
def bill(step: StepContext, order: Order) -> Bill:
    return Bill(cents=step.do("price", len, order.item) * order.count)


@shop.workflow(name="later", max_recoveries=0)
async def bill_later(order: Order) -> Bill:
    return Bill(cents=order.count)


@shop.workflow
def fails(step: StepContext) -> None:
    raise StepError("no_stock", "nothing there", details={"left": 0})


@shop.entrypoint(name="graph")
def graph(run: RunBuilder, width: int) -> None:
    steps = [run.step(bill, {"item": "pen"}) for _ in range(width)]
    run.step(fails, id="caught", after=steps, allow_failure=True)


@pytest.fixture
def runtime() -> Any:
    with connect("memory://", packages=[shop], clock=VirtualClock()) as runtime:
        yield runtime


def test_typed_from_input_to_result(runtime: Runtime) -> None:
    run = runtime.start_run(bill, Order(item="pen", count=2), run_id="r1", tags=["a"])
    later = runtime.start_run(bill_later, {"item": "ink", "count": 3})
    assert_type(run, RunHandle[Bill])
    assert_type(later, RunHandle[Bill])
    runtime.drain()

    assert run.result() == Bill(cents=6)
    assert later.result() == Bill(cents=3)
    assert runtime.run("r1").entrypoint == "bill"
    assert [step.id for step in runtime.steps("r1")] == ["bill"]
    assert runtime.start_run("shop", {"item": "x"}, entrypoint="bill").name == "shop"


def test_handle_of_a_run_that_was_started_before(runtime: Runtime) -> None:
    runtime.start_run(bill, Order(item="pen", count=2), run_id="r1")
    runtime.start_run("shop", 1, entrypoint="graph", run_id="r2")
    runtime.drain()

    run = runtime.handle("r1", bill)

    assert_type(run, RunHandle[Bill])
    assert run.result() == runtime.handle("r1").result() == Bill(cents=6)
    assert runtime.handle("r2").status() == "succeeded"
    with pytest.raises(Conflict, match="run 'r2' is of shop/graph, not of 'bill'"):
        runtime.handle("r2", bill)
    with pytest.raises(NotFound):
        runtime.handle("r3")


def test_is_still_a_function() -> None:
    assert fails.kind == "shop.fails"
    assert repr(bill) == "<workflow shop.bill>"
    with pytest.raises(StepError):
        fails(None)  # type: ignore[arg-type]


def test_result_of_a_run_that_did_not_succeed(runtime: Runtime) -> None:
    failed, canceled = runtime.start_run(fails), runtime.start_run(bill, {"item": "x"})
    with pytest.raises(WaitTimeout):
        failed.result(timeout=0)
    canceled.cancel()
    runtime.drain()

    with pytest.raises(StepError, match=r"failed: step 'fails': nothing there") as error:
        failed.result()
    assert (error.value.code, error.value.details) == ("no_stock", {"left": 0})
    with pytest.raises(StepError, match="was canceled"):
        canceled.result()


def test_result_of_a_graph_is_that_of_its_last_step(runtime: Runtime) -> None:
    package = Package("one")

    @package.entrypoint
    def start(run: RunBuilder) -> None:
        run.step(bill, {"item": "pen"}, id="last", after=[run.step(bill, {"item": "x"})])

    runtime.register_package(package)
    one, many = runtime.start_run("one"), runtime.start_run("shop", 2, entrypoint="graph")
    runtime.drain()

    assert one.result() == {"cents": 3}
    assert many.status() == "succeeded"
    with pytest.raises(StepError):
        many.result()


def test_several_last_steps_have_no_one_result(runtime: Runtime) -> None:
    package = Package("two")

    @package.entrypoint
    def start(run: RunBuilder) -> None:
        run.step(bill, {"item": "pen"}, id="a")
        run.step(bill, {"item": "pen"}, id="b")

    runtime.register_package(package)
    run = runtime.start_run("two")
    runtime.drain()

    with pytest.raises(InvalidInput, match=r"has 2 last steps \('a', 'b'\)"):
        run.result()


def test_recoveries_are_stored_with_the_step(runtime: Runtime) -> None:
    new = runtime.internals.services.build_run("shop", {"item": "x"}, "later", "r")

    assert [step.max_recoveries for step in new.steps] == [0]
    assert runtime.runs(dead=True) == []


@pytest.mark.parametrize(
    ("call", "error", "expected"),
    [
        (lambda r: r.start_run(bill), InvalidPayload, "input.item: field required"),
        (lambda r: r.start_run(bill, {"item": 3}), InvalidPayload, "input.item"),
        (lambda r: r.start_run(bill, {}, entrypoint="fails"), InvalidInput, "is one itself"),
        (lambda r: r.start_run(bill, {}, tag=["a"]), InvalidInput, "unknown option 'tag'; did you"),
        (lambda r: r.runs(stauts="failed"), InvalidInput, "unknown filter 'stauts'; did you mean"),
        (lambda r: r.checkpoint("nowhere", "x"), NotFound, "nowhere"),
        (lambda r: r.start_run(bill, {"item": "x"}, run_id=""), InvalidInput, "run_id"),
    ],
)
def test_bad_input(runtime: Runtime, call: Any, error: type[Exception], expected: str) -> None:
    with pytest.raises(error, match=expected):
        call(runtime)
    assert runtime.runs() == []


def test_no_checkpoint_without_operations(runtime: Runtime) -> None:
    run = runtime.start_run(bill_later, {"item": "x"})
    runtime.drain()

    with pytest.raises(NotFound, match="there is no checkpoint"):
        runtime.checkpoint(run.id, "later")
    with pytest.raises(Conflict):
        runtime.start_run(bill, {"item": "x"}, run_id=run.id)


@pytest.mark.parametrize(
    ("declare", "expected"),
    [
        (lambda p: p.workflow("name"), "takes a function, got 'name'"),
        (lambda p: p.workflow(max_recoveries=-1), "must be a whole number from 0 to 1000, got -1"),
        (lambda p: p.workflow(retry=3), "workflow 'flow'.retry: must be a Retry"),
        (lambda p: p.workflow(pool=3), "workflow 'flow'.pool: must be the name of a pool"),
        (lambda p: p.workflow(name="there"), "'there' is declared twice"),
    ],
)
def test_bad_declarations(declare: Any, expected: str) -> None:
    package = Package("p")

    @package.workflow
    def there() -> None: ...

    def flow() -> None: ...

    with pytest.raises(InvalidPackage, match=expected):
        declare(package)(flow)


def test_checkpoints_must_be_a_checkpointer() -> None:
    with pytest.raises(InvalidInput, match="checkpoints: must be a URL or a checkpointer, got 3"):
        connect("memory://", checkpoints=3)  # type: ignore[arg-type]
