"""A damaged store gives what is right or one clear error: no traceback, no hang."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

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
STORES, LOGS = 450, 150
# Processor seconds that one look at a damaged store may take.
LONGEST = 1.0
# Exit codes: what was looked for is gone or was never there, or the store is damaged.
NOT_FOUND, REFUSED, DAMAGED = 3, 7, 8

T = TypeVar("T")

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
    """Every way to read a store, and one to write; each may fail by itself."""
    yield runtime.status
    yield runtime.workers
    yield runtime.runs
    yield lambda: [*runtime.kv.list()]
    yield lambda: runtime.records("mixed", "numbers")
    for run_id in ("r1", "open"):
        yield partial(runtime.run, run_id)
        yield partial(runtime.steps, run_id)
        yield partial(runtime.edges, run_id)
        yield partial(runtime.progress, run_id)
        yield partial(runtime.events, run_id)
        yield partial(runtime.messages, run_id)
        yield partial(runtime.last_values, run_id)
        yield partial(runtime.checkpoint, run_id, "talk")
        yield partial(runtime.result, run_id, "last")
        yield partial(check_artifacts, runtime, run_id)
    yield lambda: runtime.start_run("mixed", [3], run_id="new")


def check_artifacts(runtime: Runtime, run_id: str) -> None:
    """What is read has the digest that is told with it."""
    for ref in runtime.artifacts(run_id):
        with runtime.open_artifact(ref.id) as stream:
            assert hashlib.sha256(stream.read()).hexdigest() == ref.sha256


def damage_told(read: Callable[[], T]) -> tuple[T | None, str]:
    """What was read, or what was said of damage; every other error is one of the test."""
    begun = time.thread_time()
    try:
        return read(), ""
    except StepwellError as error:
        said, code = str(error), error.exit_code
    finally:
        assert time.thread_time() - begun < LONGEST
    assert "\n" not in said
    assert code in (NOT_FOUND, REFUSED, DAMAGED), said
    return None, said if code == DAMAGED else ""


def look(path: Path, *, verify: bool) -> list[str]:
    """Open the store and read all of it; returns what was said of damage."""
    open_it = partial(connect, f"sqlite:///{path}", home=path.parent, packages=[mixed])
    runtime, said = damage_told(open_it)
    if runtime is None:
        return [said]
    with runtime:
        told = [damage_told(read)[1] for read in look_at_everything(runtime)]
        if verify:
            found, said = damage_told(runtime.verify)
            told += [said] if found is None else map(str, found.violations)
    return [*filter(None, told)]


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("what", ["database", "log"])
def test_damaged_store(shard: int, what: str, whole: Path, tmp_path: Path, scale: float) -> None:
    name = "engine.db" if what == "database" else "late.db"
    path = tmp_path / "engine.db"
    target = path if what == "database" else tmp_path / "engine.db-wal"
    data = (whole / (name if what == "database" else "late.db-wal")).read_bytes()
    told: list[str] = []
    for number in range(round(scale * (STORES if what == "database" else LOGS) / SHARDS)):
        seed = shard * 1_000_000 + number
        for old in tmp_path.glob("engine.db*"):
            old.unlink()
        shutil.copy(whole / name, path)
        done, changed = damaged(data, seed)
        target.write_bytes(changed)

        try:
            told += look(path, verify=number % 4 == 0)
        except BaseException as error:
            error.add_note(f"seed {seed}: {done}")
            raise

    # SQLite takes a damaged log for one that ends there: an earlier state, and a whole one.
    assert bool(told) == (what == "database"), told


@pytest.mark.parametrize("seed", [3, 20, 41, 54])
def test_damaged_store_on_the_command_line(seed: int, whole: Path, tmp_path: Path) -> None:
    done, changed = damaged((whole / "engine.db").read_bytes(), seed)
    for command in ("verify", "list", "status"):
        (tmp_path / "engine.db").write_bytes(changed)

        ended = subprocess.run(
            [sys.executable, "-m", "stepwell", "--home", str(tmp_path), command],
            capture_output=True,
            text=True,
            check=False,
        )

        assert ended.returncode in (0, DAMAGED), (done, ended.stderr)
        assert "Traceback" not in ended.stderr, done
        assert len(ended.stderr.splitlines()) == (ended.returncode == DAMAGED), ended.stderr
