"""The benchmark on PostgreSQL measures what it says, at a size that takes a moment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.package import DIAMOND
from benchmarks.postgres import workloads
from benchmarks.postgres.peers import PEERS, measure_peer
from benchmarks.postgres.raw import Limits, measure_limits
from benchmarks.postgres.server import durability
from benchmarks.report import Measure, table, write_json

NO_LIMITS = Limits(alone=100.0, grouped=1_000.0, rows=())
COUNT = 50


def test_a_fan_out_is_worked_off_by_two_worker_processes(postgres_server: str) -> None:
    found = workloads.fan_out(postgres_server, COUNT, repeats=1, limits=NO_LIMITS, goal=None)

    assert found.value > 0
    assert found.raw == NO_LIMITS.grouped


def test_diamonds_are_submitted_and_worked_off_together(postgres_server: str) -> None:
    found = workloads.diamonds(postgres_server, COUNT, repeats=1, limits=NO_LIMITS, goal=None)

    # The last run cannot end before it was submitted.
    assert found.notes["runs/s submitted"] >= found.value / DIAMOND


def test_a_one_step_run_takes_milliseconds(postgres_server: str) -> None:
    found = workloads.latency(postgres_server, 10, None, elsewhere=False)

    assert 0 < found.value <= found.notes["p99"]


def test_the_raw_limit_grows_with_the_group(postgres_server: str) -> None:
    limits = measure_limits(postgres_server, repeats=1, scale=0.02)

    assert limits.grouped > limits.alone
    assert limits.rows[0].name.endswith("groups of 1, 1 connection")


def test_a_peer_that_is_not_installed_is_skipped_in_one_line(
    postgres_server: str, tmp_path: Path
) -> None:
    found = measure_peer(PEERS[0], postgres_server, 1, 0.01, NO_LIMITS, tmp_path / "python")

    assert found.measures == []
    assert found.about == "DBOS: skipped, not installed; run: make bench-peers"


def test_what_the_server_promises_is_told(postgres_server: str) -> None:
    assert durability(postgres_server).startswith("synchronous_commit=on")


@pytest.mark.parametrize(
    ("value", "goal", "best", "met"),
    [
        (9.0, 10.0, "more", False),
        (10.0, 10.0, "more", True),
        (9.0, 10.0, "less", True),
        (11.0, 10.0, "less", False),
        (1.0, None, "more", True),
    ],
)
def test_a_goal_is_met_or_missed(value: float, goal: float | None, best: str, met: bool) -> None:
    item = Measure("work", value, "steps/s", goal, best)

    assert item.met is met
    assert ("MISSED" in table([item])[-1]) is not met


def test_the_file_holds_every_row_and_the_lines_above(tmp_path: Path) -> None:
    path = tmp_path / "new" / "found.json"

    write_json(path, ["2 cores"], [Measure("work", 12.0, "steps/s", 10.0, raw=24.0)])

    found = json.loads(path.read_text())
    assert found["about"] == ["2 cores"]
    assert [(row["name"], row["value"], row["met"]) for row in found["rows"]] == [
        ("work", 12.0, True)
    ]
