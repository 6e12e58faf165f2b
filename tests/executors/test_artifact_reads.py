"""A step reads artifacts: its own, those of its run, and those it was given the ids of."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepwell import ArtifactRef, RunHandle, Runtime, connect
from stepwell.engine.errors import CorruptData, InvalidInput, NotFound
from stepwell.engine.step.execution import Execution
from stepwell.executors.registry import Registry
from stepwell.stores.artifacts.memory import MemoryArtifactStore
from tests.executors.artifact_bodies import LARGE, POOLS, SMALL, Wanted, reading
from tests.executors.fakes import FakeReads, claimed, services

PATIENCE = 60
DIGESTS = [hashlib.sha256(body).hexdigest() for body in (SMALL, LARGE)]


def opened(place: str, home: Path) -> Runtime:
    """A runtime whose artifacts are in files, or in memory where a child cannot see them."""
    url = {"files": f"sqlite:///{home}/engine.db", "memory": "memory://"}.get(place, place)
    folder = None if place == "memory" else home
    return connect(url, packages=[reading], settings={"processes": 1}, home=folder)


def run_of(runtime: Runtime, pool: str, ids: list[str] | None = None) -> RunHandle[Any]:
    run = runtime.start_run("reading", Wanted(pool=pool, ids=ids or []))
    runtime.drain(run.id, timeout=PATIENCE)
    return run


def result_of(runtime: Runtime, run: RunHandle[Any]) -> Any:
    step = runtime.step(run.id, "read")
    assert step.error is None, step.error
    return runtime.result(run.id, "read").value


@pytest.mark.parametrize("place", ["files", "memory"])
@pytest.mark.parametrize("pool", POOLS)
def test_a_step_reads_what_an_earlier_one_made(tmp_path: Path, place: str, pool: str) -> None:
    with opened(place, tmp_path) as runtime:
        # given a run whose step made one artifact in the store and one beside it
        run = run_of(runtime, pool)

        # then a step that was given the references read both
        assert result_of(runtime, run) == DIGESTS

        # and one of another run, that was given their ids
        ids = [ref.id for ref in runtime.artifacts(run.id)]
        assert result_of(runtime, run_of(runtime, pool, ids)) == DIGESTS


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_on_postgresql_too(postgres_url: str, tmp_path: Path, pool: str) -> None:
    with opened(postgres_url, tmp_path) as runtime:
        assert result_of(runtime, run_of(runtime, pool)) == DIGESTS


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_damaged_bytes_are_never_given(tmp_path: Path, pool: str) -> None:
    with opened("files", tmp_path) as runtime:
        (_, large) = runtime.artifacts(run_of(runtime, "inline").id)
        file = tmp_path / "artifacts" / large.sha256[:2] / large.sha256
        file.chmod(0o644)
        file.write_bytes(LARGE[:-1] + b"!")

        run = run_of(runtime, pool, [large.id])

        error = runtime.step(run.id, "read").error
        assert error is not None
        assert error.code == "corrupt_data"
        assert f"damaged: expected sha256 {large.sha256}" in error.message


@pytest.mark.parametrize("pool", ["thread", "process"])
def test_what_is_not_there_is_said(tmp_path: Path, pool: str) -> None:
    with opened("files", tmp_path) as runtime:
        run = run_of(runtime, pool, ["nowhere"])

        error = runtime.step(run.id, "read").error
        assert error is not None
        assert (error.code, error.message) == ("not_found", "there is no artifact 'nowhere'")


class OneArtifact(FakeReads):
    """Reads of a store with one inline artifact."""

    def __init__(self, ref: ArtifactRef, body: bytes) -> None:
        super().__init__()
        self.ref, self.body = ref, body

    def artifact(self, artifact_id: str) -> tuple[ArtifactRef, bytes | None]:
        return self.ref, self.body


@pytest.fixture
def made() -> Execution:
    return Execution(claimed("shell.run"), "w", services(artifacts=MemoryArtifactStore()))


def given(ref: ArtifactRef, body: bytes) -> Execution:
    return Execution(claimed("shell.run"), "w", services(Registry(), OneArtifact(ref, body)))


def test_what_was_just_made_can_be_read(made: Execution) -> None:
    step = made.context

    for ref in (step.artifact("small", SMALL), step.store_artifact("large", LARGE)):
        body = SMALL if ref.name == "small" else LARGE
        assert step.artifact_bytes(ref) == step.artifact_bytes(ref.id) == body


def test_damaged_inline_bytes_are_never_given(made: Execution) -> None:
    ref = made.context.artifact("small", SMALL)

    with pytest.raises(CorruptData, match="damaged: expected sha256"):
        given(ref, b"other").context.open_artifact(ref.id)


def test_a_reference_to_bytes_that_were_made_anew_is_refused(made: Execution) -> None:
    old = made.context.artifact("small", SMALL)
    new = replace(old, sha256=hashlib.sha256(b"new").hexdigest())

    with pytest.raises(NotFound, match="it was made anew with others"):
        given(new, b"new").context.open_artifact(old)

    assert given(new, b"new").context.artifact_bytes(old.id) == b"new"


@pytest.mark.parametrize("wrong", [None, 7, b"id", {"id": "a"}, Path("a")])
def test_other_references_are_refused(made: Execution, wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="takes an ArtifactRef or the id of an artifact, got"):
        made.context.open_artifact(wrong)
