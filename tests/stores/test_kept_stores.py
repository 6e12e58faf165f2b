"""Stores of earlier versions are opened, and their runs go on from where they were."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from stepwell import connect
from stepwell.engine.clock import SystemClock
from stepwell.stores import opening
from stepwell.stores.sql.schema.migrations import LATEST
from tests.conftest import url_of
from tests.stores.kept import work
from tests.stores.kept.work import PATIENCE, kept

FOLDER = Path(work.__file__).parent
VERSIONS = sorted(path.name for path in FOLDER.glob("v*"))


def test_the_newest_schema_is_kept() -> None:
    """A migration comes with a store of the version it makes."""
    assert VERSIONS[-1] == f"v{LATEST}"


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, version: str, tmp_path: Path) -> Iterator[str]:
    """A kept store, as it was when its machine went off."""
    text = (FOLDER / version / f"{request.param}.sql").read_text(encoding="utf-8")
    if request.param == "sqlite":
        with closing(sqlite3.connect(tmp_path / "engine.db")) as made:
            made.executescript(text)
        yield f"sqlite:///{tmp_path}/engine.db"
        return
    server = request.getfixturevalue("postgres_server")
    name = Identifier(f"stepwell_kept_{os.getpid()}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(SQL("CREATE DATABASE {}").format(name))
    kept_url = url_of(server, f"stepwell_kept_{os.getpid()}")
    with psycopg.connect(kept_url) as connection:
        connection.execute(text.encode())
    opening.upgrade(kept_url, clock=SystemClock())
    yield kept_url
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_a_kept_store_goes_on(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MENDED", [True])
    with connect(url, home=tmp_path, packages=[kept]) as runtime:
        # given: runs in every state
        statuses = {run.id: run.status for run in runtime.runs()}
        assert statuses["ended"] == "succeeded"
        assert statuses["paused"] == "paused"
        assert {step.status for step in runtime.steps("claimed")} >= {"running", "ready", "pending"}
        assert runtime.step("talking", "talk").status == "ready"
        assert runtime.step("other", "publish").status == "waiting"
        assert runtime.step("held", "add:8").status == "held"
        assert runtime.verify().ok

        # when: what they wait for comes
        runtime.send("other", "go", None)
        runtime.resume_run("paused")
        runtime.release_step("held", "add:8")
        runtime.retry_run("failed")
        (child,) = [run_id for run_id in statuses if run_id.startswith("failed.")]
        runtime.send(child, "answers", {"text": "child"})
        runtime.drain(timeout=PATIENCE)
        for run_id in ("talking", child):
            runtime.approve(run_id, by="ann")
        runtime.drain(timeout=PATIENCE)

        # then: they all end well, and nothing that was recorded was done again
        assert {run.status for run in runtime.runs()} == {"succeeded"}
        assert runtime.result("talking", "talk").value == {
            "first": "recorded by the code that made the store",
            "answer": {"text": "yes €"},
            "value": "published",
            "by": "ann",
        }
        assert runtime.result("claimed", "total").value == 111
        assert runtime.kv.get("cursor") == {"at": 7}
        assert runtime.records("kept", "sums")["add:1"] == {"sum": 1, "text": "€ é"}
        (ref,) = runtime.artifacts("ended", "add:2")
        with runtime.open_artifact(ref.id) as stream:
            assert stream.read() == b"it is 2\n"
        assert not runtime.send("talking", "answers", "again", key="first")
        assert runtime.verify().ok
