"""Scenarios of what is kept outside the run store: checkpoints, artifacts, projections, files."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

from stepwell import (
    Conflict,
    Package,
    RunBuilder,
    Runtime,
    StepContext,
)
from stepwell.cli.files import write_file
from stepwell.engine.checkpoints.checkpoint import Checkpoint
from stepwell.stores.artifacts.file import FileArtifactStore
from stepwell.stores.checkpoints.folder import Folder
from tests.trust.points.scenario import finish, start
from tests.trust.points.scenario_run import ScenarioRun

# Lines of operations of this size are folded soon.
LARGE = 40_000


# --- checkpoints in files -------------------------------------------------------------------------
filed = Package("filed")


@filed.workflow(max_recoveries=100)
def large(step: StepContext) -> list[int]:
    def effect(number: int) -> str:
        step.app.done(step.run.id, "large", f"op-{number}")
        if number == 1:  # as if a writer had been killed in the middle of a line
            path = Folder(step.app.folder / "checkpoints").path(step.idempotency_key)
            with path.open("ab") as file:
                file.write(b'{"half')
        return "x" * LARGE

    sizes = []
    for number in range(5):
        sizes.append(len(step.do(f"op-{number}", effect, number)))
        step.app.told("operation", step.run.id, "large", f"op-{number}")
    return sizes


def in_files(scenario: ScenarioRun) -> dict[str, Any]:
    return {"checkpoints": f"file://{scenario.folder / 'checkpoints'}"}


def play_files(scenario: ScenarioRun) -> None:
    with scenario.opened(filed, **in_files(scenario)) as runtime:
        with suppress(Conflict):
            runtime.start_run(large, run_id="r")
        finish(scenario, runtime, "r")
        for execution_id in ("kept", "dropped"):
            runtime.checkpointer.save_checkpoint(
                Checkpoint(id=execution_id, execution_id=execution_id)
            )
        scenario.told("checkpoint", "kept")
        runtime.checkpointer.delete_checkpoint("dropped")


# --- artifacts in files ---------------------------------------------------------------------------
arts = Package("arts")


@arts.executor("arts.make")
def make(step: StepContext) -> int:
    step.app.done(step.run.id, step.step.id)
    step.store_artifact("stored", b"bytes" * 50_000)
    step.artifact("inline", b"few bytes")
    return 1


@arts.entrypoint
def plan_arts(run: RunBuilder) -> None:
    run.step(make, id="make")


def play_artifacts(scenario: ScenarioRun) -> None:
    left = scenario.folder / "artifacts" / "tmp"
    if scenario.has("left"):
        left.mkdir(parents=True, exist_ok=True)
        (left / "0-0").touch()
    with scenario.opened(arts) as runtime:
        start(scenario, runtime, arts, "r")
        finish(scenario, runtime, "r")
        for artifact in runtime.artifacts("r"):
            text = {"stored": "bytes" * 50_000, "inline": "few bytes"}[artifact.name]
            scenario.told("artifact", artifact.id, text)
    scenario.once("left")
    left.mkdir(parents=True, exist_ok=True)
    (left / "0-0").touch()
    store = FileArtifactStore(scenario.folder / "artifacts")
    blob = store.put(b"to be deleted")
    store.delete(blob.sha256)


def artifacts_of(scenario: ScenarioRun, _: Runtime) -> list[str]:
    """The files under their digests; what a killed writer left elsewhere does not count."""
    root = scenario.folder / "artifacts"
    return sorted(path.name for path in root.glob("??/*"))


# --- projections ----------------------------------------------------------------------------------
books = Package("books")


@books.executor("books.enter")
def enter(step: StepContext, key: str) -> str:
    step.app.done(step.run.id, step.step.id)
    projection = step.projection("ledger")
    projection.execute("CREATE TABLE IF NOT EXISTS entries (key TEXT, amount BIGINT)")
    projection.once(lambda tx: tx.execute("INSERT INTO entries VALUES (?, 1)", (key,)))
    return key


@books.entrypoint
def plan_books(run: RunBuilder) -> None:
    run.step(enter, "pen", id="pen")
    run.step(enter, "ink", id="ink", after=["pen"])


def play_books(scenario: ScenarioRun) -> None:
    with scenario.opened(books, **beside(scenario)) as runtime:
        start(scenario, runtime, books, "r")
        finish(scenario, runtime, "r")
        scenario.told("row", "ledger", "pen")
        scenario.told("row", "ledger", "ink")


def beside(scenario: ScenarioRun) -> dict[str, Any]:
    """Projections in the store's server, where it has one."""
    return {"projections": scenario.url} if scenario.url.startswith("postgres") else {}


def entries(_: ScenarioRun, runtime: Runtime) -> Any:
    return runtime.projection("ledger").query("SELECT key, amount FROM entries ORDER BY key")


# --- files of commands ----------------------------------------------------------------------------
def play_output(scenario: ScenarioRun) -> None:
    path = scenario.folder / "output"
    if scenario.once("old"):
        path.write_text("old")
    assert path.read_text() in ("old", "new" * 9)
    write_file(io.BytesIO(b"new" * 9), path)
    assert path.read_text() == "new" * 9


def output_of(scenario: ScenarioRun, _: Runtime) -> str:
    return (scenario.folder / "output").read_text()
