"""A damaged store gives what is right or one clear error: no traceback, no hang."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stepwell import (
    Package,
    Permanent,
    RunBuilder,
    Runtime,
    StepContext,
    StepwellError,
    connect,
)
from tests.trust.damaged_files.damage import damaged

PATIENCE = 60.0
SHARDS = 8
# Processor seconds that one look at a damaged store may take.
LONGEST = 1.0

mixed = Package("mixed")


@mixed.executor("mixed.make")
def make(step: StepContext, number: int) -> dict[str, int]:
    step.record("numbers", step.step.id, {"number": number})
    step.artifact("note.txt", f"the number is {number}\n" * 20)
    if number == 0:
        raise Permanent("zero", "it is zero")
    return {"number": number}


@mixed.executor("mixed.talk")
def talk(step: StepContext) -> str:
    step.do("first", str.upper, "a")
    step.set_value("state", "asking")
    return str(step.receive("answers"))


@mixed.entrypoint
def start(run: RunBuilder, numbers: list[int]) -> None:
    made = [run.step(make, number, id=f"make:{number}") for number in numbers]
    run.step(make, 99, id="last", after=made)
    run.step(talk, id="talk")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, its log folded back, and as `late.db` with a log that is not."""
    folder = tmp_path_factory.mktemp("whole")
    with connect(f"sqlite:///{folder}/engine.db", home=folder, packages=[mixed]) as runtime:
        for number, numbers in enumerate(([1, 2, 3], [0, 1], [5])):
            run = runtime.start_run("mixed", numbers, run_id=f"r{number}")
            runtime.send(run.id, "answers", number)
        runtime.drain(timeout=PATIENCE)
        runtime.start_run("mixed", [7], run_id="open")
        # Copies of a live store are only right while nobody writes: nobody does.
        shutil.copy(folder / "engine.db", folder / "late.db")
        shutil.copy(folder / "engine.db-wal", folder / "late.db-wal")
    assert not (folder / "engine.db-wal").exists()
    return folder


def look_at_everything(runtime: Runtime) -> Iterator[Callable[[], object]]:
    """Every way to read a store; each may fail by itself."""
    yield runtime.status
    yield runtime.queues
    yield runtime.workers
    yield runtime.runs
    yield lambda: runtime.kv.list()
    yield lambda: runtime.records("mixed", "numbers")
    for run_id in ("r0", "r1", "open"):
        yield lambda run_id=run_id: runtime.run(run_id)
        yield lambda run_id=run_id: runtime.steps(run_id)
        yield lambda run_id=run_id: runtime.edges(run_id)
        yield lambda run_id=run_id: runtime.progress(run_id)
        yield lambda run_id=run_id: runtime.events(run_id)
        yield lambda run_id=run_id: runtime.messages(run_id)
        yield lambda run_id=run_id: runtime.value_history(run_id, "state")
        yield lambda run_id=run_id: runtime.checkpoint(run_id, "talk")
        yield lambda run_id=run_id: runtime.result(run_id, "last")
        yield lambda run_id=run_id: check_artifacts(runtime, run_id)
    yield lambda: runtime.start_run("mixed", [3], run_id="new")
    yield runtime.run_once
    yield runtime.verify


def check_artifacts(runtime: Runtime, run_id: str) -> None:
    """What is read has the digest that is told with it."""
    for ref in runtime.artifacts(run_id):
        with runtime.open_artifact(ref.id) as stream:
            assert hashlib.sha256(stream.read()).hexdigest() == ref.sha256


def look(path: Path) -> list[str]:
    """Open the store and read all of it; returns what was said of damage."""
    said: list[str] = []

    def attempt(read: Callable[[], object]) -> object:
        begun = time.thread_time()
        try:
            return read()
        except StepwellError as error:
            assert "\n" not in str(error)
            assert error.exit_code != 1, repr(error)
            said.append(str(error))
            return None
        finally:
            assert time.thread_time() - begun < LONGEST

    def open_it() -> Runtime:
        return connect(f"sqlite:///{path}", home=path.parent, packages=[mixed])

    runtime = attempt(open_it)
    if isinstance(runtime, Runtime):
        with runtime:
            for read in look_at_everything(runtime):
                attempt(read)
    return said


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("what", ["database", "log"])
def test_damaged_store(shard: int, what: str, whole: Path, tmp_path: Path, scale: float) -> None:
    name = "engine.db" if what == "database" else "late.db"
    path = tmp_path / "engine.db"
    target = path if what == "database" else tmp_path / "engine.db-wal"
    data = (whole / (name if what == "database" else "late.db-wal")).read_bytes()
    told = 0
    for number in range(round(scale * (1_000 if what == "database" else 200) / SHARDS)):
        seed = shard * 1_000_000 + number
        for old in tmp_path.glob("engine.db*"):
            old.unlink()
        shutil.copy(whole / name, path)
        done, changed = damaged(data, seed)
        target.write_bytes(changed)

        try:
            told += bool(look(path))
        except BaseException as error:
            error.add_note(f"seed {seed}: {done}")
            raise

    assert told or what == "log"
