"""Packages for the tests of the command line: steps that succeed, fail, or wait at a gate."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from stepwell import Dependency, Package, Permanent, Queue, RunBuilder, StepContext

sample = Package("sample", title="The sample", queues=[Queue("slow", max_in_flight=3)])
twin = Package("twin")
both = [sample, twin]
not_a_package = 42


class Plan(BaseModel):
    """How many steps of each sort; `gates` are folders with the pipes `here` and `go`."""

    ok: int = 0
    fail: int = 0
    gates: list[str] = []
    files: bool = False
    note: str = ""


@sample.executor("sample.ok")
def ok(step: StepContext, value: str) -> str:
    step.record("notes", step.step.id, {"note": value})
    return value


@sample.executor("sample.fail")
def fail() -> None:
    raise Permanent("broken", "it \x1b[31mbroke\nin two", details={"part": "axle"})


@sample.executor("sample.gate")
def gate(folder: str) -> str:
    (Path(folder) / "here").write_text("here")  # blocks until somebody reads
    return (Path(folder) / "go").read_text()  # blocks until somebody writes


@sample.executor("sample.files")
def files(step: StepContext) -> None:
    step.artifact("note.txt", "a note\n", content_type="text/plain")
    step.store_artifact("raw.bin", bytes(range(256)), content_type="application/octet-stream")


@sample.entrypoint
def start(run: RunBuilder, plan: Plan) -> None:
    for number in range(plan.ok):
        run.step(ok, plan.note or f"value {number}", id=f"ok:{number}")
    broken: list[Any] = [run.step(fail, id=f"fail:{number}") for number in range(plan.fail)]
    if broken:
        run.step(ok, "after", id="after", after=broken)
    before: list[Any] = []
    for number, folder in enumerate(plan.gates):
        before = [Dependency(run.step(gate, folder, id=f"gate:{number}", after=before))]
    if plan.files:
        run.step(files, id="files")


@sample.entrypoint(name="two")
def two(run: RunBuilder) -> None:
    first = run.step(ok, "one", id="first")
    run.step(ok, "two\nlines", id="second", after=[first])


@twin.entrypoint
def only(run: RunBuilder) -> None:
    run.step("sample.ok", "twin", id="only")
