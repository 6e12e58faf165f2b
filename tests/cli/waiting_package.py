"""A package whose steps wait: for messages, decisions, times and values."""

from __future__ import annotations

from pydantic import BaseModel

from stepwell import Package, RunBuilder, StepContext

waiting = Package("waiting")


class Waits(BaseModel):
    """The ids of the steps to wait with, and what each waits for."""

    topics: dict[str, str] = {}
    approvals: list[str] = []
    naps: list[str] = []
    many: int = 0


@waiting.executor("waiting.note")
def note() -> str:
    return "noted"


@waiting.executor("waiting.gather")
def gather() -> str:
    return "gathered"


@waiting.entrypoint
def start(run: RunBuilder, waits: Waits) -> None:
    for name, topic in waits.topics.items():
        waiting = run.step("wait.message", {"topic": topic}, id=name)
        run.step(note, id=f"after {name}", after=[waiting])
    for name in waits.approvals:
        run.step("wait.approval", {}, id=name)
    for name in waits.naps:
        run.step("wait.sleep", {"seconds": 86_400}, id=name)
    before = [run.step(note, id=f"note:{number}") for number in range(waits.many)]
    run.step(gather, id="gather", after=before)


@waiting.workflow
def picky(step: StepContext) -> int:
    return step.receive("numbers", int)


@waiting.workflow
def order(step: StepContext, item: str) -> str:
    step.do("reserve", str.upper, item)
    step.variables["item"] = item
    step.set_value("state", "reserved")
    step.set_value("price", {"cents": 5})
    step.set_value("state", "asked")
    paid = step.receive("paid")
    return f"{item}: {paid}"
