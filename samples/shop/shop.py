"""A shop prices the lines of an order in parallel and adds them up."""

from datetime import timedelta

from pydantic import BaseModel

from stepwell import Package, Retry, RunBuilder, StepContext, connect

shop = Package("shop", title="Web shop")


class Order(BaseModel):
    id: str
    items: list[str]


class Line(BaseModel):
    item: str


class Price(BaseModel):
    item: str
    cents: int


@shop.executor("shop.price", retry=Retry(max_attempts=3), timeout=timedelta(seconds=10))
def price(step: StepContext, line: Line) -> Price:
    step.record("prices", line.item, {"cents": 100 * len(line.item)})
    return Price(item=line.item, cents=100 * len(line.item))


@shop.executor("shop.total")
def total(step: StepContext, order: Order) -> int:
    return sum(p.cents for p in step.dependencies(Price).values())


@shop.entrypoint
def start(run: RunBuilder, order: Order) -> None:
    lines = [run.step(price, Line(item=i), id=f"price:{i}") for i in order.items]
    run.step(total, order, id="total", after=lines)


if __name__ == "__main__":
    with connect("sqlite:///shop.db", packages=[shop]) as runtime:
        run = runtime.start_run("shop", Order(id="o1", items=["pen", "ink"]))
        runtime.drain(run_id=run.id, timeout=30)  # work in this thread until the run ends
        print(runtime.run(run.id).status, runtime.result(run.id, "total").value)
