"""Orders above a limit wait for an approval: once as a function, and once as a graph.

Both wait without a process, for at most two days.
"""

from datetime import timedelta

from pydantic import BaseModel

from stepwell import (
    Approval,
    Dependency,
    Package,
    RunBuilder,
    StepContext,
    WaitTimeout,
    connect,
)

approval = Package("approval", title="Orders that need an approval")

LIMIT = 100_000
PATIENCE = timedelta(days=2)


class Order(BaseModel):
    id: str
    cents: int


class Placed(BaseModel):
    order: str
    status: str
    why: str = ""


def tell(text: str) -> None:
    print(text)


def charge(order: Order) -> str:
    print(f"order {order.id}: charged {order.cents} cents")
    return f"receipt-{order.id}"


# --- as a function ----------------------------------------------------------------------------


@approval.workflow(name="order")
def place_order(step: StepContext, order: Order) -> Placed:
    if order.cents > LIMIT:
        step.do("ask", tell, f"order {order.id} waits for an approval")
        try:
            decision = step.wait_for_approval(timeout=PATIENCE)
        except WaitTimeout:
            return Placed(order=order.id, status="expired", why="nobody decided in time")
        if not decision.approved:
            return Placed(order=order.id, status="rejected", why=decision.comment)
    receipt = step.do("charge", charge, order)
    return Placed(order=order.id, status="placed", why=receipt)


# --- as a graph -------------------------------------------------------------------------------


@approval.executor("approval.decided")
def decided(step: StepContext, order: Order) -> Placed:
    decision = step.dependency("approval", Approval)
    if not decision.approved:
        return Placed(order=order.id, status="rejected", why=decision.comment)
    return Placed(order=order.id, status="placed", why=charge(order))


@approval.executor("approval.small")
def small(order: Order) -> Placed:
    return Placed(order=order.id, status="placed", why=charge(order))


@approval.executor("approval.expire")
def expire(order: Order) -> Placed:
    return Placed(order=order.id, status="expired", why="nobody decided in time")


@approval.entrypoint(name="graph")
def order_graph(run: RunBuilder, order: Order) -> None:
    if order.cents <= LIMIT:
        run.step(small, order, id="place")
        return
    asked = run.step("wait.approval", {"timeout": PATIENCE.total_seconds()}, id="approval")
    run.step(decided, order, id="place", after=asked)
    run.step(expire, order, id="expire", after=Dependency(asked, "failed"))


def main() -> None:
    with connect(packages=[approval]) as runtime:
        run = runtime.start_run(place_order, Order(id="o1", cents=250_000))
        runtime.run_once()
        print(f"its step is {runtime.step(run.id, 'order').status}")
        runtime.approve(run.id, by="ann", comment="within budget")
        runtime.drain(run.id, timeout=60)
        print(run.result())


if __name__ == "__main__":
    main()
