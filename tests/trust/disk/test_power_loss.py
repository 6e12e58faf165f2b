"""The power goes at any moment: what was acknowledged is there, whatever was not synced."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from stepwell import connect
from tests.trust.disk.children import Children, Ended, Job
from tests.trust.disk.images import Image, images
from tests.trust.disk.survivors import (
    Torn,
    artifacts_in,
    check_versions,
    missing,
    rows_in,
    stored_in,
)
from tests.trust.disk.work import SETTINGS
from tests.trust.disk.work import disk as package

SHARDS = 8
# Images of an ordinary run: of the run store, of files, and of a projection.
STORE, FILES, ROWS = 20_000, 3_000, 3_000
# Enough to see that a disk that is not waited for loses something.
CONTROL = 400
# One image in so many is read through, and in so many is opened by the product and worked on.
THOROUGH, WORKED_ON = 20, 500
LONGEST = 1_800

shards = pytest.mark.parametrize("shard", range(SHARDS))


def record(children: Children, disk: Path, program: str, *given: object) -> Ended:
    """Run a program of ours on the disk, with every call in its log."""
    program = f"tests.trust.disk.work:{program}"
    ended = children.run(Job(program=program, given=given, folder=disk))
    assert (ended.code, ended.err) == (0, "")
    assert ended.acknowledged
    return ended


def of_store(image: Image) -> set[str]:
    return {fact for fact in image.acknowledged if fact.startswith(("run ", "end ", "step "))}


@shards
@pytest.mark.timeout(LONGEST)
def test_no_acknowledged_step_is_lost(
    children: Children, disk: Path, image: Path, shard: int, scale: float
) -> None:
    ended = record(children, disk, "runs", f"{disk}/home", "full", 0, 3, 2)
    count = int(STORE * scale / SHARDS)

    for cut in images(disk, ended.calls, count, Random(shard)):
        cut.put_down(image, only="home/engine.db")
        store = image / "home" / "engine.db"
        there = stored_in(store, thoroughly=cut.number % THOROUGH == 0)
        assert not of_store(cut) - there, f"shard {shard}, {cut}"


@pytest.mark.timeout(LONGEST)
def test_after_a_power_loss_the_work_goes_on_to_its_end(
    children: Children, disk: Path, scale: float
) -> None:
    home = disk / "home"
    ended = record(children, disk, "runs", str(home), "full", 0, 2, 1)
    count = int(STORE * scale / WORKED_ON)

    for cut in images(disk, ended.calls, count, Random(0)):
        cut.put_down(disk)
        with connect(
            packages=[package],
            home=home,
            checkpoints=f"file://{home}/checkpoints",
            settings=SETTINGS,
        ) as runtime:
            assert not runtime.verify().violations, str(cut)
            runtime.drain(timeout=30)
            assert not runtime.verify().violations, str(cut)
            ends = {run.status.value for run in runtime.runs()}
        assert ends <= {"succeeded"}, str(cut)
        assert not missing(home, cut.acknowledged), str(cut)


@pytest.mark.parametrize("syncs", ["relaxed", "off"])
def test_the_images_do_lose_what_is_not_waited_for(
    children: Children, disk: Path, image: Path, syncs: str
) -> None:
    ended = record(children, disk, "runs", f"{disk}/home", syncs, 0, 2, 2)
    lost = torn = 0

    for cut in images(disk, ended.calls, CONTROL, Random(0)):
        cut.put_down(image, only="home/engine.db")
        try:
            lost += bool(of_store(cut) - stored_in(image / "home" / "engine.db", thoroughly=True))
        except Torn:
            torn += 1

    assert lost, f"nothing was lost in {CONTROL} images"
    if syncs == "relaxed":  # it says that commits can be lost, not that the store is harmed
        assert not torn


@pytest.mark.timeout(LONGEST)
def test_no_acknowledged_file_is_lost(
    children: Children, disk: Path, image: Path, scale: float
) -> None:
    ended = record(children, disk, "files", f"{disk}/home")

    for cut in images(disk, ended.calls, int(FILES * scale), Random(0)):
        cut.put_down(image)
        assert not lost_files(cut, image / "home"), str(cut)


@pytest.mark.parametrize("syncs", ["files", "none"])
def test_the_images_do_lose_files_that_are_not_synced(
    children: Children, disk: Path, image: Path, syncs: str
) -> None:
    ended = record(children, disk, "files", f"{disk}/home", syncs)
    lost = 0

    for cut in images(disk, ended.calls, CONTROL, Random(0)):
        cut.put_down(image)
        try:
            lost += bool(lost_files(cut, image / "home"))
        except Exception:
            lost += 1

    assert lost, f"nothing was lost in {CONTROL} images"


def lost_files(cut: Image, home: Path) -> list[str]:
    artifacts = {fact for fact in cut.acknowledged if fact.startswith("artifact ")}
    lost = check_versions(home / "checkpoints", cut.acknowledged)
    return [*lost, *(artifacts - artifacts_in(home / "artifacts"))]


@pytest.mark.timeout(LONGEST)
def test_no_acknowledged_row_of_a_projection_is_lost(
    children: Children, disk: Path, image: Path, scale: float
) -> None:
    ended = record(children, disk, "rows", f"{disk}/home", "full")

    for cut in images(disk, ended.calls, int(ROWS * scale), Random(0)):
        cut.put_down(image)
        there = rows_in(
            image / "home" / "projections" / "rows.db",
            "rows",
            thoroughly=cut.number % THOROUGH == 0,
        )
        assert not set(cut.acknowledged) - there, str(cut)


def test_the_images_do_lose_rows_of_a_relaxed_projection(
    children: Children, disk: Path, image: Path
) -> None:
    ended = record(children, disk, "rows", f"{disk}/home", "relaxed")
    lost = 0

    for cut in images(disk, ended.calls, CONTROL, Random(0)):
        cut.put_down(image)
        there = rows_in(image / "home" / "projections" / "rows.db", "rows", thoroughly=True)
        lost += bool(set(cut.acknowledged) - there)

    assert lost, f"nothing was lost in {CONTROL} images"
