"""Packages under trial: one that survives crashes, and ones with a mistake planted in them."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from stepwell import Package, Retry, RunBuilder, StepContext


class Order(BaseModel):
    id: str
    cents: int


class Bank:
    """The world outside: it takes a charge with a key once, and one without a key each time."""

    def __init__(self) -> None:
        self.charges: list[int] = []
        self._keys: set[str] = set()

    def charge(self, cents: int, key: str | None = None) -> str:
        if key is None or key not in self._keys:
            self.charges.append(cents)
        if key is not None:
            self._keys.add(key)
        return f"receipt {cents}"

    def reset(self) -> None:
        self.charges.clear()
        self._keys.clear()


bank = Bank()

careful = Package("careful")


@careful.executor("careful.pay")
def pay(step: StepContext, order: Order) -> str:
    receipt = step.do("charge", bank.charge, order.cents, step.idempotency_key)
    step.record("paid", order.id, {"receipt": receipt})
    step.artifact("receipt.txt", receipt)
    step.emit(thank, order.id, id="thank")
    return receipt


@careful.executor("careful.thank", retry=Retry(initial=timedelta(hours=2)))
async def thank(step: StepContext, order_id: str) -> str:
    async def text() -> str:
        return f"thank you for {order_id}"

    said = await step.do("text", text)
    if step.attempt == 1:
        raise ConnectionError("try again later")
    return said


@careful.entrypoint
def start(run: RunBuilder, order: Order) -> None:
    run.step(pay, order, id="pay")


careless = Package("careless")


@careless.executor("careless.pay")
def pay_without_key(step: StepContext, order: Order) -> str:
    step.do("prepare", str.upper, order.id)
    return bank.charge(order.cents)


@careless.executor("careless.operation")
def charge_in_operation(step: StepContext, order: Order) -> str:
    return step.do("charge", bank.charge, order.cents)


@careless.entrypoint(name="body")
def in_body(run: RunBuilder, order: Order) -> None:
    run.step(pay_without_key, order, id="pay")


@careless.entrypoint(name="operation")
def in_operation(run: RunBuilder, order: Order) -> None:
    run.step(charge_in_operation, order, id="pay")


patient = Package("patient")


@patient.workflow
def ask(step: StepContext, name: str) -> str:
    step.do("greet", str.title, name)
    step.sleep(timedelta(days=1))
    word = step.receive("word", str)
    decision = step.wait_for_approval(timeout=timedelta(days=2))
    step.set_value("word", word)
    return f"{word} {'yes' if decision.approved else 'no'} by {decision.by}"
