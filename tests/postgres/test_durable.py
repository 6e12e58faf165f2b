"""A workflow of every kind of wait on PostgreSQL, worked on by a worker in the background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepwell import Package, StepContext, connect

PATIENCE = 60

package = Package("durable")


def count(step: StepContext) -> int:
    entry = step.kv.entry("count")
    return step.kv.set("count", 1, version=0 if entry is None else entry.version)


@package.workflow
def waits(step: StepContext) -> list[Any]:
    first = step.do("count", count, step)
    step.sleep(0.05)
    step.send(step.run.id, "self", {"first": first})
    message = step.receive("self")
    step.set_value("state", "asking")
    decision = step.wait_for_approval()
    return [message, decision.by, step.wait_for_value(step.run.id, "state")]


def test_all_waits(postgres_url: str, tmp_path: Path) -> None:
    with connect(postgres_url, home=tmp_path, packages=[package]) as runtime, runtime.worker():
        run = runtime.start_run(waits)
        runtime.wait_for_value(run.id, "state", PATIENCE)
        while runtime.step(run.id, "waits").status != "waiting":
            runtime.wait_for_value(run.id, "state", PATIENCE)
        runtime.approve(run.id, by="ann")

        assert run.result(PATIENCE) == [{"first": 1}, "ann", "asking"]
        recorded = runtime.checkpoint(run.id, "waits")
        assert [o.id for o in recorded.operations] == [
            *("count", "sleep", "receive", "set_value", "approval", "wait_for_value")
        ]
