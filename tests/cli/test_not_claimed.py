"""A step that is ready and that nobody takes: `stepwell show` says why."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from stepwell import Queue, connect
from stepwell.cli import not_claimed
from stepwell.cli.commands import overview
from stepwell.engine.clock import SystemClock, to_datetime
from stepwell.engine.model import WorkerRow
from stepwell.stores import opening
from tests.cli.conftest import CommandLine
from tests.cli.sample_package import sample

# Rows are made when the tests are collected, and may be looked at much later.
SOON = to_datetime(SystemClock().micros()) + timedelta(hours=2)
LONG_AGO = SOON - timedelta(hours=4)


def worker(
    *,
    kinds: tuple[str, ...] = ("sample.ok",),
    queues: tuple[str, ...] | None = None,
    labels: tuple[str, ...] = (),
    seen_at: datetime = SOON,
) -> WorkerRow:
    return WorkerRow("w1", "host", 1, "0", queues, LONG_AGO, seen_at, kinds, labels)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (None, "no worker is running; start one: stepwell --store sqlite:////"),
        (worker(seen_at=LONG_AGO), "no worker is running"),
        (worker(kinds=("other",)), "no live worker runs steps of kind 'sample.ok'; start one"),
        (worker(queues=("slow",)), "no live worker of its kind works on queue 'default'"),
        (worker(), "no live worker has the labels that queue 'default' asks for: gpu"),
        (worker(labels=("gpu", "fast")), None),
    ],
)
def test_show_says_why_nobody_takes_a_step(
    cli: CommandLine, tmp_path: Path, row: WorkerRow | None, says: str | None
) -> None:
    # given: a ready step in a queue with a label, and a worker or none
    url = f"sqlite:///{tmp_path / 'engine.db'}"
    with connect(url, home=tmp_path, packages=[sample]) as runtime:
        runtime.define_queue(Queue("default", labels=("gpu",)))
        runtime.start_run("sample", entrypoint="two", run_id="r")
    if row is not None:
        note(url, row)

    # when
    shown = cli("--store", url, "show", "r", "first")
    as_json = cli.json("--store", url, "show", "r", "first")

    # then
    assert ("not claimed" in shown.stdout) == (says is not None)
    assert (says or "") in shown.stdout
    assert (as_json["not_claimed"] or "").startswith(says or "")


def test_a_step_that_waits_for_others_waits_for_no_worker(cli: CommandLine) -> None:
    cli.sample("start", "sample:two", "--run-id", "r")

    assert "not claimed" not in cli("show", "r", "second").stdout


def test_show_says_why_nobody_takes_anything_of_a_run(cli: CommandLine) -> None:
    # given: a run whose only ready step has no worker
    cli.sample("start", "sample:two", "--run-id", "r")

    # when, then
    assert "not claimed  no worker is running; start one: " in cli("show", "r").stdout
    assert cli.json("show", "r")["not_claimed"].startswith("no worker is running")
    # … and once it is paused, nothing is to be claimed
    cli("pause", "r")
    assert "not claimed" not in cli("show", "r").stdout


@pytest.mark.parametrize(("kinds", "says"), [(("sample.ok",), False), (("other",), True)])
def test_a_run_goes_on_if_any_worker_can_take_a_step(
    cli: CommandLine, kinds: tuple[str, ...], says: bool
) -> None:
    cli.sample("start", "sample:two", "--run-id", "r")
    note("sqlite:///.stepwell/engine.db", worker(kinds=kinds))

    assert ("no live worker runs steps of kind" in cli("show", "r").stdout) == says


def test_a_killed_worker_is_silent_and_does_not_count(cli: CommandLine) -> None:
    # given: one worker that was seen, and one that was not for long
    cli.sample("start", "sample:two", "--run-id", "r")
    url = "sqlite:///.stepwell/engine.db"
    note(url, worker())
    note(url, replace(worker(seen_at=LONG_AGO), id="w2"))

    # when
    lines = {line.split()[0]: line for line in cli("workers").stdout.splitlines()[1:]}

    # then
    assert "silent" not in lines["w1"]
    assert re.search(r"  silent for \d h \d\d min$", lines["w2"])
    assert {row["id"]: row["silent"] for row in cli.json("workers")} == {"w1": False, "w2": True}
    assert cli.json("status")["workers"] == 1
    assert cli.json("status")["silent_workers"] == 1
    assert "workers     1, and 1 silent\n" in cli("status").stdout


@pytest.mark.parametrize(("ago", "silent"), [(29, False), (31, True)])
def test_a_worker_is_silent_from_one_lease_on(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, ago: int, silent: bool
) -> None:
    # given a worker that was seen so many seconds ago, and a lease of 30
    cli.sample("start", "sample:two", "--run-id", "r")
    monkeypatch.setattr(not_claimed, "wall_time", lambda: SOON)
    monkeypatch.setattr(overview, "wall_time", lambda: SOON)
    note("sqlite:///.stepwell/engine.db", worker(seen_at=SOON - timedelta(seconds=ago)))

    # when
    line = cli("workers").stdout.splitlines()[1]
    (row,) = cli.json("workers")

    # then
    assert line.endswith("  silent for 31 s") == silent
    assert (row["silent"], row["silent_for"]) == (silent, 31.0 if silent else None)
    assert ("no worker is running" in cli("show", "r").stdout) == silent


def note(url: str, row: WorkerRow) -> None:
    """Store a worker's row, as the worker does."""
    store = opening.open_run_store(url, clock=SystemClock())
    store.record_worker(row)
    store.close()
