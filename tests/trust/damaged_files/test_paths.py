"""Names and ids from outside never lead out of the home folder, and what is in the way is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from stepwell import (
    InvalidInput,
    Package,
    RunBuilder,
    Settings,
    StepContext,
    StepwellError,
    connect,
)
from tests.trust.damaged_files.test_files import ATTACKS, files

PATIENCE = 60.0

named = Package("named")


@named.executor("named.store")
def store(step: StepContext, name: str) -> None:
    for each in (name, "plain"):
        with suppress(InvalidInput):  # what looks like a path is refused
            step.store_artifact(each, b"outside" * 1000)
    step.record(name, name, name)
    step.do(name, str.upper, name)


@named.entrypoint
def start(run: RunBuilder, name: str) -> None:
    run.step(store, name, id=name)


@pytest.mark.parametrize("name", ATTACKS)
def test_names_are_names_wherever_they_are_used(name: str, tmp_path: Path) -> None:
    home = tmp_path / "inside" / "home"
    home.mkdir(parents=True)

    with connect(
        f"sqlite:///{home}/engine.db",
        home=home,
        packages=[named],
        checkpoints=f"file:///{home}/checkpoints",
    ) as runtime:
        run = runtime.start_run("named", name, run_id=name)
        runtime.drain(run.id, timeout=PATIENCE)

        assert runtime.run(name).status == "succeeded"
        is_path = name in (".", "..") or not {"/", "\\"}.isdisjoint(name)
        kept = {ref.name for ref in runtime.artifacts(name)}
        assert kept == ({"plain"} if is_path else {name, "plain"})
        for ref in runtime.artifacts(name):
            with runtime.open_artifact(ref.id) as stream:
                assert len(stream.read()) == ref.size
        assert runtime.records("named", name) == {name: name}
        assert runtime.verify().ok

    assert files(tmp_path) == files(home)
    places = {path.relative_to(home).parts[0] for path in files(home)}
    assert places <= {"engine.db", "artifacts", "checkpoints", "projections"}


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../x", "/x", "a/b", "a\\b", "%2e%2e%2fx", "A", "x\n", "x\0", ".x", "~"]
)
def test_projection_names_that_could_lead_astray_are_refused(name: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with (
        connect(f"sqlite:///{home}/engine.db", home=home) as runtime,
        pytest.raises(InvalidInput, match="projection name"),
    ):
        runtime.projection(name).query("SELECT 1")

    assert files(tmp_path) == files(home)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


def a_dead_link(path: Path) -> None:
    path.symlink_to(path.parent / "missing" / "file")


def a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [a_fifo, a_folder, a_socket, a_dead_link, a_loop])
@pytest.mark.parametrize("place", ["engine.db", "projections/p.db", "artifacts", "checkpoints"])
def test_what_stands_where_a_file_should_be_is_told(
    make: Callable[[Path], None], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (make, place) in ((a_folder, "artifacts"), (a_folder, "checkpoints")):
        pytest.skip("is what should be there")
    monkeypatch.chdir(tmp_path)  # sockets have short names
    path = Path(place)
    path.parent.mkdir(exist_ok=True)
    make(path)

    with pytest.raises(StepwellError) as caught:
        use_everything()

    assert "\n" not in str(caught.value)
    assert place.split("/", maxsplit=1)[0] in str(caught.value)


def use_everything() -> None:
    """Use every place of the home folder; raises what a step was told as well."""
    with connect(
        "sqlite:///engine.db",
        home=".",
        packages=[named],
        checkpoints=f"file://{Path.cwd()}/checkpoints",
        settings=Settings(lease=1),  # a checkpointer is asked again for so long
    ) as runtime:
        runtime.projection("p").execute("CREATE TABLE t (x)")
        run = runtime.start_run("named", "x")
        runtime.drain(run.id, timeout=PATIENCE)
        error = runtime.result(run.id, "x").error
        if error is not None:
            raise StepwellError(error.message)
