"""Workflows for the process pool: at the top level of a module, where a child finds them."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import Any

import stepwell.waits as waits
from stepwell.engine.errors import NotFound, WaitTimeout
from stepwell.engine.package import Package
from stepwell.engine.retry import Retry
from stepwell.engine.step.context import StepContext

durable = Package("durable")


def note(step: StepContext, name: str) -> int:
    """Count in the store of all, and say who did it."""
    count = step.kv.get(name, 0) + 1
    step.kv.set(name, count)
    return os.getpid()


@durable.workflow(pool="process")
def everything(step: StepContext) -> dict[str, Any]:
    step.variables["seen"] = [*step.variables.get("seen", ()), step.attempt]
    child = step.do("note", note, step, "first")
    beside = step.do_async("beside", note, step, "beside")
    step.sleep(timedelta(hours=1))
    order = step.receive("orders", timeout=60, default="none")
    step.set_value("state", "asking")
    step.send(step.run.id, "asking", {"for": order})
    decision = step.wait_for_approval()
    missing = ""
    try:
        step.get_value("nowhere", "x")
    except NotFound as error:
        missing = str(error)
    try:
        step.receive("never", timeout=0)
    except WaitTimeout as error:
        missing += f"; {error}"
    step.kv.set("gone", 1)
    step.kv.delete("gone")
    return {
        "child": child == beside.result(),
        "order": order,
        "asking": step.receive("asking"),
        "approved": decision.approved,
        "value": step.wait_for_value(step.run.id, "state"),
        "missing": missing,
        "kv": [entry.key for entry in step.kv.list()],
        "seen": step.variables["seen"],
    }


@durable.workflow(pool="process")
def picky(step: StepContext) -> int:
    return step.receive("numbers", int)


@durable.workflow(pool="process")
def beside(step: StepContext, other: str) -> list[Any]:
    first = step.wait_any(number=waits.Message("number", int), late=waits.Sleep(60))
    ended, note, _ = step.wait_all(
        waits.RunEnd(other, str), waits.Message("note", str), waits.Sleep(10)
    )
    return [first.name, first.value, ended.status, ended.result, note]


@durable.workflow(pool="process", retry=Retry(max_attempts=2, initial=0))
def dies(step: StepContext) -> str:
    step.do("before", note, step, "before")
    if step.kv.get("died") is None:
        step.kv.set("died", True)
        os.kill(os.getpid(), 9)
    return "done"


@durable.workflow(pool="process")
async def awaited(step: StepContext) -> int:
    async def one() -> int:
        return 1

    value = await step.do("one", one)
    step.sleep(1)
    return value


def cancel(step: StepContext) -> None:
    asked = threading.Event()
    step.on_cancel(asked.set)
    asked.wait()


@durable.workflow(pool="process")
def canceled(step: StepContext) -> None:
    step.set_value("begun", True)
    step.do("cancel", cancel, step)
    step.kv.set("after", True)
